-- Statements on queues and their buckets. Names are bytes (UTF-8), times milliseconds.

-- name: locate (project, name)
-- Returns what a write needs to know of a queue.
SELECT queue_id, bucket_id, version, quiet_until_ms, last_number
FROM queues JOIN buckets USING (bucket_id)
WHERE project = ? AND name = ?;

-- name: get (project, name)
SELECT name, metadata, version, created_ms FROM queues WHERE project = ? AND name = ?;

-- name: list (project, first, limit)
SELECT name, metadata, version, created_ms FROM queues
WHERE project = ? AND name >= ? ORDER BY name LIMIT ?;

-- name: count (project)
SELECT count(*) FROM queues WHERE project = ?;

-- name: create_bucket (last_seq)
INSERT INTO buckets (last_seq) VALUES (?);

-- name: follow_bucket (bucket_id)
-- Creates the bucket that comes after another in the same queue.
INSERT INTO buckets (last_number, last_seq)
SELECT last_number, last_seq FROM buckets WHERE bucket_id = ?;

-- name: tail (project, name)
SELECT last_seq, last_number FROM queues JOIN buckets USING (bucket_id)
WHERE project = ? AND name = ?;

-- name: create (project, name, bucket_id, version, created_ms, metadata)
INSERT INTO queues (project, name, bucket_id, version, created_ms, metadata)
VALUES (?, ?, ?, ?, ?, ?);

-- name: update (metadata, version, project, name, expected_version)
UPDATE queues SET metadata = ?, version = ? WHERE project = ? AND name = ? AND version = ?;

-- name: replace_bucket (bucket_id, queue_id)
UPDATE queues SET bucket_id = ? WHERE queue_id = ?;

-- name: delete (queue_id)
DELETE FROM queues WHERE queue_id = ?;

-- name: drop_bucket (bucket_id)
DELETE FROM buckets WHERE bucket_id = ?;

-- name: discard_bucket (bucket_id)
INSERT INTO garbage (bucket_id) VALUES (?);

-- name: count_change (total, claimed, body_bytes, bucket_id)
-- Adds to the counts.
UPDATE buckets SET total = total + ?, claimed = claimed + ?, body_bytes = body_bytes + ?
WHERE bucket_id = ?;

-- name: count_new (total, claimed, body_bytes, last_number, last_seq, bucket_id)
-- The same when there were new messages among it.
UPDATE buckets SET total = total + ?, claimed = claimed + ?, body_bytes = body_bytes + ?,
    last_number = ?, last_seq = ?
WHERE bucket_id = ?;

-- name: due_sooner (quiet_until_ms, bucket_id)
UPDATE buckets SET quiet_until_ms = ? WHERE bucket_id = ?;

-- name: counters (bucket_id)
SELECT total, claimed FROM buckets WHERE bucket_id = ?;

-- name: count_expired (now_ms, bucket_id, now_ms)
-- Returns also how many of them are under a lease, which a hold may have made longer.
SELECT count(*), ifnull(sum(state = 2 AND visible_ms > ?), 0)
FROM messages INDEXED BY messages_expiry
WHERE bucket_id = ? AND expires_ms <= ?;

-- name: count_lapsed (bucket_id, now_ms)
SELECT count(*) FROM messages WHERE bucket_id = ? AND state = 2 AND visible_ms <= ?;

-- name: oldest (bucket_id, state, now_ms)
SELECT seq FROM messages INDEXED BY messages_state
WHERE bucket_id = ? AND state = ? AND expires_ms > ?
ORDER BY seq LIMIT 1;

-- name: newest (bucket_id, state, now_ms)
SELECT seq FROM messages INDEXED BY messages_state
WHERE bucket_id = ? AND state = ? AND expires_ms > ?
ORDER BY seq DESC LIMIT 1;
