-- Statements on credentials. Projects and ids are bytes (UTF-8), times milliseconds.

-- name: add (project, id, kind, document, created_ms, expires_ms, uses_left, now_ms)
-- Leaves alone what is there and has not expired, revoked or not.
INSERT INTO credentials (project, id, kind, document, created_ms, expires_ms, uses_left)
VALUES (?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (project, id) DO UPDATE SET
    kind = excluded.kind, document = excluded.document, created_ms = excluded.created_ms,
    expires_ms = excluded.expires_ms, uses_left = excluded.uses_left, revoked = 0
WHERE expires_ms <= ?;

-- name: get (project, id, now_ms)
SELECT id, kind, document, created_ms, expires_ms, uses_left FROM credentials
WHERE project = ? AND id = ? AND expires_ms > ? AND revoked = 0;

-- name: list (project, kind, after, now_ms, limit)
SELECT id, kind, document, created_ms, expires_ms, uses_left
FROM credentials INDEXED BY credentials_kind
WHERE project = ? AND kind = ? AND id > ? AND expires_ms > ? AND revoked = 0
ORDER BY id LIMIT ?;

-- name: spend (project, id)
UPDATE credentials SET uses_left = uses_left - 1 WHERE project = ? AND id = ?;

-- name: revoke (project, id, now_ms)
UPDATE credentials SET revoked = 1
WHERE project = ? AND id = ? AND expires_ms > ? AND revoked = 0;

-- name: advance (now_ms)
UPDATE revocations SET version = max(version + 1, ?);

-- name: version ()
SELECT version FROM revocations;

-- name: revoked (now_ms)
SELECT id FROM credentials WHERE revoked = 1 AND expires_ms > ?;

-- name: forget (now_ms, limit)
DELETE FROM credentials WHERE row_id IN (
    SELECT row_id FROM credentials WHERE expires_ms <= ? LIMIT ?);
