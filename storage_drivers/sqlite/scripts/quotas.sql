-- Statements on limits, usage and buckets of tokens. Names are bytes (UTF-8).

-- name: put (project, document)
INSERT OR REPLACE INTO quotas (project, document) VALUES (?, ?);

-- name: get (project)
SELECT document FROM quotas WHERE project = ?;

-- name: delete (project)
DELETE FROM quotas WHERE project = ?;

-- name: list (first, limit)
SELECT project, document FROM quotas WHERE project >= ? ORDER BY project LIMIT ?;

-- name: usage (project)
-- Adds up the counts of all queues.
SELECT count(*), ifnull(sum(total), 0), ifnull(sum(body_bytes), 0), ifnull(sum(claimed), 0)
FROM queues JOIN buckets USING (bucket_id) WHERE project = ?;

-- name: tokens (project, bucket)
SELECT level, latest_ms FROM tokens WHERE project = ? AND bucket = ?;

-- name: save_tokens (project, bucket, level, latest_ms, full_ms)
INSERT OR REPLACE INTO tokens (project, bucket, level, latest_ms, full_ms)
VALUES (?, ?, ?, ?, ?);

-- name: forget_full (now_ms, limit)
DELETE FROM tokens WHERE (project, bucket) IN (
    SELECT project, bucket FROM tokens WHERE full_ms <= ? LIMIT ?);
