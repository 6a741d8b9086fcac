-- Statements on messages. {message} stands for the columns that make a message, {body_bytes} for
-- the length of its body, see layout.py.
-- INDEXED BY, NOT INDEXED: without it SQLite may prefer another index and sort the whole queue.

-- name: insert (rows)
-- {rows} stands for rows of question marks, with the values of `codec.new_values`.
-- PERF: OR FAIL as in claims.sql.
INSERT OR FAIL INTO messages
    (seq, bucket_id, state, visible_ms, expires_ms, posted_ms, ttl_s, media, client_id, body,
     number)
VALUES {rows};

-- name: insert_body (seq, body)
INSERT INTO bodies (seq, body) VALUES (?, ?);

-- name: get (seq, bucket_id, now_ms)
SELECT {message} FROM messages WHERE seq = ? AND bucket_id = ? AND expires_ms > ?;

-- name: page (seqs)
-- {seqs} stands for as many question marks.
SELECT {message} FROM messages WHERE seq IN ({seqs}) ORDER BY seq;

-- name: stream (bucket_id, state, after_seq)
-- Returns what a listing needs to choose by, in order; read lazily, so it has no limit.
SELECT seq, expires_ms, client_id FROM messages INDEXED BY messages_state
WHERE bucket_id = ? AND state = ? AND seq > ? ORDER BY seq;

-- name: due (bucket_id, state, now_ms, after_seq)
-- Returns messages that are ready by now, though they still look delayed or claimed.
SELECT seq, expires_ms, client_id FROM messages INDEXED BY messages_waiting
WHERE bucket_id = ? AND state = ? AND visible_ms <= ? AND seq > ?;

-- name: states (bucket_id, now_ms, seqs)
-- Returns what a deletion depends on, whether the body is long, and how long it is.
SELECT seq, state, claim_id, visible_ms, body IS NULL, {body_bytes}
FROM messages NOT INDEXED
WHERE bucket_id = ? AND expires_ms > ? AND seq IN ({seqs});

-- name: next_due (bucket_id, state)
SELECT min(visible_ms) FROM messages INDEXED BY messages_waiting
WHERE bucket_id = ? AND state = ? AND visible_ms IS NOT NULL;

-- name: ready (bucket_id, now_ms, limit)
SELECT {message} FROM messages INDEXED BY messages_state
WHERE bucket_id = ? AND state = 0 AND expires_ms > ? ORDER BY seq LIMIT ?;

-- name: ready_of (bucket_id, now_ms, seqs)
SELECT {message} FROM messages NOT INDEXED
WHERE bucket_id = ? AND state = 0 AND expires_ms > ? AND seq IN ({seqs});

-- name: delete (seqs)
DELETE FROM messages WHERE seq IN ({seqs});

-- name: delete_bodies (seqs)
DELETE FROM bodies WHERE seq IN ({seqs});
