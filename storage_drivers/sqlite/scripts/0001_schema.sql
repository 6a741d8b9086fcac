-- The first schema.
--
-- queues       one row for each life of a queue; ids are never used again
-- buckets      what a queue holds, with the counts that make `stats` cheap; purging gives the
--              queue another bucket
-- garbage      buckets that no queue has any more; the sweep removes their messages
-- messages     state 0 ready, 1 delayed, 2 claimed. visible_ms is NULL when ready, else the end
--              of the delay or the lease; claim_id and lease_ms are set when claimed
-- bodies       the bodies that are too long for a message's own row, whose body is NULL then: so
--              claiming, renewing and promoting never write a long body again
-- idempotency  the answers of writes that carried a key
-- sequence     one row: the last sequence handed out, in any queue

CREATE TABLE queues (
    queue_id   INTEGER PRIMARY KEY AUTOINCREMENT,
    project    BLOB NOT NULL,
    name       BLOB NOT NULL,
    bucket_id  INTEGER NOT NULL,
    version    INTEGER NOT NULL,
    created_ms INTEGER NOT NULL,
    metadata   BLOB NOT NULL,
    UNIQUE (project, name)
);

-- No message of a bucket expires or becomes ready before due_ms. A lower bound: the earliest
-- message may be gone already.
CREATE TABLE buckets (
    bucket_id INTEGER PRIMARY KEY AUTOINCREMENT,
    total     INTEGER NOT NULL DEFAULT 0,
    claimed   INTEGER NOT NULL DEFAULT 0,
    due_ms    INTEGER NOT NULL DEFAULT 9223372036854775807
);

CREATE INDEX buckets_due ON buckets (due_ms);

CREATE TABLE garbage (bucket_id INTEGER PRIMARY KEY);

CREATE TABLE messages (
    seq         INTEGER PRIMARY KEY,
    bucket_id   INTEGER NOT NULL,
    state       INTEGER NOT NULL,
    visible_ms  INTEGER,
    expires_ms  INTEGER NOT NULL,
    posted_ms   INTEGER NOT NULL,
    ttl_s       INTEGER NOT NULL,
    media       INTEGER NOT NULL,
    claim_count INTEGER NOT NULL DEFAULT 0,
    client_id   BLOB NOT NULL,
    claim_id    BLOB,
    lease_ms    INTEGER,
    dead_letter TEXT,
    body        BLOB
);

CREATE TABLE bodies (
    seq  INTEGER PRIMARY KEY,
    body BLOB NOT NULL
);

-- The row id ends every index entry, so each of these also orders by sequence.
CREATE INDEX messages_state ON messages (bucket_id, state);
CREATE INDEX messages_expiry ON messages (bucket_id, expires_ms);
CREATE INDEX messages_waiting ON messages (bucket_id, state, visible_ms)
    WHERE visible_ms IS NOT NULL;
CREATE INDEX messages_claim ON messages (bucket_id, claim_id) WHERE claim_id IS NOT NULL;

CREATE TRIGGER messages_inserted AFTER INSERT ON messages BEGIN
    UPDATE buckets SET total = total + 1 WHERE bucket_id = NEW.bucket_id;
    UPDATE buckets SET due_ms = min(NEW.expires_ms, ifnull(NEW.visible_ms, NEW.expires_ms))
        WHERE bucket_id = NEW.bucket_id
          AND due_ms > min(NEW.expires_ms, ifnull(NEW.visible_ms, NEW.expires_ms));
END;

CREATE TRIGGER messages_deleted AFTER DELETE ON messages BEGIN
    UPDATE buckets SET total = total - 1, claimed = claimed - (OLD.state = 2)
        WHERE bucket_id = OLD.bucket_id;
END;

CREATE TRIGGER messages_deleted_long AFTER DELETE ON messages WHEN OLD.body IS NULL BEGIN
    DELETE FROM bodies WHERE seq = OLD.seq;
END;

CREATE TRIGGER messages_moved AFTER UPDATE OF state, visible_ms ON messages BEGIN
    UPDATE buckets SET claimed = claimed + (NEW.state = 2) - (OLD.state = 2)
        WHERE bucket_id = NEW.bucket_id AND (NEW.state = 2) <> (OLD.state = 2);
    UPDATE buckets SET due_ms = NEW.visible_ms
        WHERE bucket_id = NEW.bucket_id AND due_ms > NEW.visible_ms;
END;

CREATE TABLE idempotency (
    record_id   INTEGER PRIMARY KEY,
    queue_id    INTEGER NOT NULL,
    key         BLOB NOT NULL,
    fingerprint BLOB NOT NULL,
    expires_ms  INTEGER NOT NULL,
    answer      TEXT NOT NULL,
    UNIQUE (queue_id, key)
);

CREATE INDEX idempotency_expiry ON idempotency (expires_ms);

CREATE TABLE sequence (last_seq INTEGER NOT NULL);

INSERT INTO sequence (last_seq) VALUES (0);
