-- Statements that tidy up. All are bounded by a limit. {body_bytes} is the length of a body, see
-- layout.py.

-- name: expired (bucket_id, now_ms, limit)
-- Returns sequences, states, whether the body has a row of its own, and how long it is.
SELECT seq, state, body IS NULL, {body_bytes}
FROM messages INDEXED BY messages_expiry
WHERE bucket_id = ? AND expires_ms <= ? ORDER BY expires_ms LIMIT ?;

-- name: promote (bucket_id, state, now_ms, limit)
UPDATE messages SET state = 0, visible_ms = NULL, claim_id = NULL, lease_ms = NULL
WHERE seq IN (
    SELECT seq FROM messages WHERE bucket_id = ? AND state = ? AND visible_ms <= ?
    LIMIT ?);

-- name: postpone (bucket_id)
-- Computes quiet_until_ms anew.
UPDATE buckets SET quiet_until_ms = min(
    ifnull((SELECT min(expires_ms) FROM messages
            WHERE bucket_id = buckets.bucket_id), 9223372036854775807),
    ifnull((SELECT min(visible_ms) FROM messages
            WHERE bucket_id = buckets.bucket_id AND state = 1
            AND visible_ms IS NOT NULL), 9223372036854775807),
    ifnull((SELECT min(visible_ms) FROM messages
            WHERE bucket_id = buckets.bucket_id AND state = 2
            AND visible_ms IS NOT NULL), 9223372036854775807))
WHERE bucket_id = ?;

-- name: due (bucket_id)
SELECT quiet_until_ms FROM buckets WHERE bucket_id = ?;

-- name: backlog (bucket_id, now_ms, limit, and the same again)
-- Counts what `expired` and `promote` would find, each up to the limit.
SELECT max(
    (SELECT count(*) FROM (
        SELECT 1 FROM messages WHERE bucket_id = ? AND expires_ms <= ? LIMIT ?)),
    (SELECT count(*) FROM (
        SELECT 1 FROM messages WHERE bucket_id = ? AND state IN (1, 2) AND visible_ms <= ?
        LIMIT ?)));

-- name: due_buckets (now_ms, limit)
SELECT bucket_id, quiet_until_ms FROM buckets WHERE quiet_until_ms <= ?
ORDER BY quiet_until_ms LIMIT ?;

-- name: garbage (limit)
SELECT bucket_id FROM garbage LIMIT ?;

-- name: contents (bucket_id, limit)
-- Returns the same as `expired`.
SELECT seq, state, body IS NULL, {body_bytes}
FROM messages INDEXED BY messages_state WHERE bucket_id = ? LIMIT ?;

-- name: forget_bucket (bucket_id)
DELETE FROM garbage WHERE bucket_id = ?;

-- name: forget_answers (now_ms, limit)
DELETE FROM idempotency WHERE record_id IN (
    SELECT record_id FROM idempotency WHERE expires_ms <= ? LIMIT ?);

-- name: forget_records (now_ms, limit)
DELETE FROM records WHERE record_id IN (
    SELECT record_id FROM records WHERE expires_ms <= ? LIMIT ?);

-- name: count_free_pages ()
PRAGMA freelist_count;

-- name: shrink ()
-- Moves the last page of the file to a free place and cuts it off. For one page only: with more,
-- the pragma wants to be stepped, which Python does not do for a statement without columns.
PRAGMA incremental_vacuum(1);
