-- Statements that tidy up. All are bounded by a limit.

-- name: remove_expired (bucket_id, now_ms, limit)
DELETE FROM messages WHERE seq IN (
    SELECT seq FROM messages WHERE bucket_id = ? AND expires_ms <= ?
    ORDER BY expires_ms LIMIT ?);

-- name: promote (bucket_id, now_ms, limit)
UPDATE messages SET state = 0, visible_ms = NULL, claim_id = NULL, lease_ms = NULL
WHERE seq IN (
    SELECT seq FROM messages WHERE bucket_id = ? AND state IN (1, 2) AND visible_ms <= ?
    LIMIT ?);

-- name: postpone (bucket_id)
-- Computes due_ms anew.
UPDATE buckets SET due_ms = min(
    ifnull((SELECT min(expires_ms) FROM messages WHERE bucket_id = ?1), 9223372036854775807),
    ifnull((SELECT min(visible_ms) FROM messages WHERE bucket_id = ?1 AND state = 1
            AND visible_ms IS NOT NULL), 9223372036854775807),
    ifnull((SELECT min(visible_ms) FROM messages WHERE bucket_id = ?1 AND state = 2
            AND visible_ms IS NOT NULL), 9223372036854775807))
WHERE bucket_id = ?1;

-- name: backlog (bucket_id, now_ms, limit)
-- Counts what `remove_expired` and `promote` would find, each up to the limit.
SELECT max(
    (SELECT count(*) FROM (
        SELECT 1 FROM messages WHERE bucket_id = ?1 AND expires_ms <= ?2 LIMIT ?3)),
    (SELECT count(*) FROM (
        SELECT 1 FROM messages WHERE bucket_id = ?1 AND state IN (1, 2) AND visible_ms <= ?2
        LIMIT ?3)));

-- name: due_buckets (now_ms, limit)
SELECT bucket_id FROM buckets WHERE due_ms <= ? ORDER BY due_ms LIMIT ?;

-- name: garbage (limit)
SELECT bucket_id FROM garbage LIMIT ?;

-- name: empty_bucket (bucket_id, limit)
DELETE FROM messages WHERE seq IN (SELECT seq FROM messages WHERE bucket_id = ? LIMIT ?);

-- name: forget_bucket (bucket_id)
DELETE FROM garbage WHERE bucket_id = ?;

-- name: forget_answers (now_ms, limit)
DELETE FROM idempotency WHERE record_id IN (
    SELECT record_id FROM idempotency WHERE expires_ms <= ? LIMIT ?);
