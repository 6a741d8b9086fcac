-- The one counter behind all sequences.

-- name: last ()
SELECT last_seq FROM sequence;

-- name: advance (last_seq)
UPDATE sequence SET last_seq = ?;
