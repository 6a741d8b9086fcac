-- Promotes and clears away up to `limit` messages of one queue. O(limit + log n).
-- keys: meta messages ready order waiting expires leased moving
-- uses: lists letters record pages due
-- args: now_ms:number limit:number
-- returns: messages dealt with, 1 if there may be more, messages waiting for their move, 1 if
--   the queue exists

local promoted, is_promoted = promote(now_ms, limit)
local dropped, is_dropped = drop_expired(now_ms, limit - promoted)
local is_all = is_promoted and is_dropped
return {promoted + dropped, is_all and 0 or 1, redis.call('HLEN', moving),
  redis.call('EXISTS', meta)}
