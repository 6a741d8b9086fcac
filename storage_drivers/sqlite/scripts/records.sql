-- Statements on records. Names and keys are bytes (UTF-8), times milliseconds.

-- name: create (project, kind, scope, key, document, version, due_ms, expires_ms, now_ms)
-- Leaves alone what is there and has not expired.
INSERT INTO records (project, kind, scope, key, document, version, due_ms, expires_ms)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (project, kind, scope, key) DO UPDATE SET
    document = excluded.document, version = excluded.version, due_ms = excluded.due_ms,
    expires_ms = excluded.expires_ms
WHERE expires_ms <= ?;

-- name: get (project, kind, scope, key, now_ms)
SELECT kind, scope, key, document, version, due_ms, expires_ms FROM records
WHERE project = ? AND kind = ? AND scope = ? AND key = ?
  AND (expires_ms IS NULL OR expires_ms > ?);

-- name: replace (document, due_ms, expires_ms, project, kind, scope, key, version, now_ms)
UPDATE records SET document = ?, due_ms = ?, expires_ms = ?, version = version + 1
WHERE project = ? AND kind = ? AND scope = ? AND key = ? AND version = ?
  AND (expires_ms IS NULL OR expires_ms > ?);

-- name: delete (project, kind, scope, key, version, now_ms)
-- At any version if it is NULL.
DELETE FROM records
WHERE project = ? AND kind = ? AND scope = ? AND key = ?
  AND version = ifnull(?, version) AND (expires_ms IS NULL OR expires_ms > ?);

-- name: list (project, kind, scope, first, end)
-- Returns the keys from `first` to before `end`, in order; read lazily, so it has no limit.
SELECT kind, scope, key, document, version, due_ms, expires_ms, record_id FROM records
WHERE project = ? AND kind = ? AND scope = ? AND key >= ? AND key < ? ORDER BY key;

-- name: is_due (now_ms)
SELECT 1 FROM records INDEXED BY records_due WHERE due_ms <= ? LIMIT 1;

-- name: due (now_ms)
-- Returns what is due, in order; read lazily, so it has no limit.
SELECT kind, scope, key, document, version, due_ms, expires_ms, record_id, project
FROM records INDEXED BY records_due WHERE due_ms <= ? ORDER BY due_ms;

-- name: lease (due_ms, seqs)
-- {seqs} stands for as many question marks, for record ids.
UPDATE records SET due_ms = ?, version = version + 1 WHERE record_id IN ({seqs});

-- name: remove (seqs)
DELETE FROM records WHERE record_id IN ({seqs});
