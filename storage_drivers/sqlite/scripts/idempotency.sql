-- Statements on remembered answers. Records of a deleted queue are out of reach, as its
-- queue_id is never used again, and go when their window ends.

-- name: recall (queue_id, key, now_ms)
SELECT fingerprint, answer FROM idempotency
WHERE queue_id = ? AND key = ? AND expires_ms > ?;

-- name: remember (queue_id, key, fingerprint, expires_ms, answer)
INSERT OR REPLACE INTO idempotency (queue_id, key, fingerprint, expires_ms, answer)
VALUES (?, ?, ?, ?, ?);
