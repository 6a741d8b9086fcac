-- What is kept about projects, and the bytes of what they keep.
--
-- credentials  what was given out, until it expires; revoked 1 once it was revoked
-- revocations  one row: the version of what is revoked
-- quotas       the limits of projects
-- tokens       what buckets of tokens held at latest_ms; left alone, one is full at full_ms

CREATE TABLE credentials (
    row_id     INTEGER PRIMARY KEY,
    project    BLOB NOT NULL,
    id         BLOB NOT NULL,
    kind       TEXT NOT NULL,
    document   BLOB NOT NULL,
    created_ms INTEGER NOT NULL,
    expires_ms INTEGER NOT NULL,
    uses_left  INTEGER,
    revoked    INTEGER NOT NULL DEFAULT 0,
    UNIQUE (project, id)
);

CREATE INDEX credentials_kind ON credentials (project, kind, id, expires_ms) WHERE revoked = 0;
CREATE INDEX credentials_expiry ON credentials (expires_ms);
CREATE INDEX credentials_revoked ON credentials (expires_ms, id) WHERE revoked = 1;

CREATE TABLE revocations (version INTEGER NOT NULL);

INSERT INTO revocations (version) VALUES (0);

CREATE TABLE quotas (
    project  BLOB PRIMARY KEY,
    document BLOB NOT NULL
) WITHOUT ROWID;

CREATE TABLE tokens (
    project   BLOB NOT NULL,
    bucket    BLOB NOT NULL,
    level     REAL NOT NULL,
    latest_ms INTEGER NOT NULL,
    full_ms   INTEGER NOT NULL,
    PRIMARY KEY (project, bucket)
) WITHOUT ROWID;

CREATE INDEX tokens_full ON tokens (full_ms);

-- The sum of the lengths of all bodies in the bucket.
ALTER TABLE buckets ADD COLUMN body_bytes INTEGER NOT NULL DEFAULT 0;

UPDATE buckets SET body_bytes =
    (SELECT ifnull(sum(ifnull(length(body),
            (SELECT length(bodies.body) FROM bodies WHERE bodies.seq = messages.seq))), 0)
     FROM messages WHERE messages.bucket_id = buckets.bucket_id);
