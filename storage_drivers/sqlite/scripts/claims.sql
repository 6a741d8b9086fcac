-- Statements on claims. {message} stands for the columns that make a message, see layout.py.
-- INDEXED BY: without it SQLite may prefer another index and look through the whole queue.

-- name: lease (claim_id, visible_ms, lease_ms, seqs)
-- {seqs} stands for as many question marks.
-- PERF: OR FAIL saves a copy of every page that is written. It makes no difference else, as a
-- write that fails is undone as a whole.
UPDATE OR FAIL messages
SET state = 2, claim_id = ?, visible_ms = ?, lease_ms = ?, claim_count = claim_count + 1
WHERE seq IN ({seqs});

-- name: hold (claim_id, visible_ms, lease_ms, seqs)
-- Leases without counting it as a claim.
UPDATE OR FAIL messages SET state = 2, claim_id = ?, visible_ms = ?, lease_ms = ?
WHERE seq IN ({seqs});

-- name: extend (ttl_s, expires_ms, bucket_id, claim_id, now_ms, now_ms, lease_end_ms)
-- Lets no message under the live lease expire before its end.
UPDATE messages INDEXED BY messages_claim SET ttl_s = ?, expires_ms = ?
WHERE bucket_id = ? AND claim_id = ? AND visible_ms > ? AND expires_ms > ? AND expires_ms < ?;

-- name: get (bucket_id, claim_id, now_ms, now_ms)
-- Returns the messages under the live lease, and its length.
SELECT {message}, lease_ms FROM messages INDEXED BY messages_claim
WHERE bucket_id = ? AND claim_id = ? AND visible_ms > ? AND expires_ms > ? ORDER BY seq;

-- name: renew (visible_ms, lease_ms, bucket_id, claim_id, now_ms, now_ms)
UPDATE messages INDEXED BY messages_claim SET visible_ms = ?, lease_ms = ?
WHERE bucket_id = ? AND claim_id = ? AND visible_ms > ? AND expires_ms > ?;

-- name: release (bucket_id, claim_id)
UPDATE messages INDEXED BY messages_claim
SET state = 0, visible_ms = NULL, claim_id = NULL, lease_ms = NULL
WHERE bucket_id = ? AND claim_id = ?;

-- name: bury (new_seq, bucket_id, expires_ms, ttl_s, dead_letter, number, seq)
-- Posts a message anew in the bucket of a dead-letter queue; NULL keeps expires_ms and ttl_s.
INSERT INTO messages
    (seq, bucket_id, state, expires_ms, posted_ms, ttl_s, media, client_id, dead_letter, body,
     number)
SELECT ?, ?, 0, ifnull(?, expires_ms), posted_ms, ifnull(?, ttl_s), media, client_id, ?, body, ?
FROM messages WHERE seq = ?;

-- name: move_body (new_seq, seq)
UPDATE bodies SET seq = ? WHERE seq = ?;
