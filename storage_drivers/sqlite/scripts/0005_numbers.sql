-- Messages are numbered in each queue, and a queue remembers the last one that it was given.
--
-- last_seq is that of the last message of the queue, or one from before its first message. In
-- a file of the version before, the last sequence of any queue stands in for it.
--
-- earliest_ms becomes quiet_until_ms so that a server of the version before, which may still
-- run for a moment, fails with an error: it would not number.

ALTER TABLE messages ADD COLUMN number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE buckets ADD COLUMN last_number INTEGER NOT NULL DEFAULT 0;
ALTER TABLE buckets ADD COLUMN last_seq INTEGER NOT NULL DEFAULT 0;

CREATE TEMP TABLE numbering (seq INTEGER PRIMARY KEY, number INTEGER NOT NULL);

INSERT INTO numbering (seq, number)
SELECT seq, row_number() OVER (PARTITION BY bucket_id ORDER BY seq) FROM messages;

UPDATE messages SET number =
    (SELECT numbering.number FROM numbering WHERE numbering.seq = messages.seq);

DROP TABLE numbering;

UPDATE buckets SET
    last_number = (SELECT count(*) FROM messages WHERE messages.bucket_id = buckets.bucket_id),
    last_seq = (SELECT sequence.last_seq FROM sequence);

ALTER TABLE buckets RENAME COLUMN earliest_ms TO quiet_until_ms;
