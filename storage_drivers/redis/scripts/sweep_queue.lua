-- Promotes and clears away up to `limit` messages of one queue. O(limit * log n).
-- keys: meta messages ready held leased delayed expires moving
-- uses: lists record promote remove
-- args: now_ms:number limit:number
-- returns: messages dealt with, messages waiting for their move, 1 if the queue exists

local promoted = promote(now_ms, limit)
local dealt = promoted + drop_expired(now_ms, limit - promoted)
return {dealt, redis.call('HLEN', moving), redis.call('EXISTS', meta)}
