-- Takes queues whose turn to be swept has come, and puts off their next turn, so that other
-- processes take other queues.
-- keys: due
-- uses: lists
-- args: now_ms:number limit:number next_ms:number
-- returns: tags of queues

local tags = redis.call('ZRANGEBYSCORE', due, '-inf', now_ms, 'LIMIT', 0, limit)
local turns = {}
for i, tag in ipairs(tags) do
  turns[2 * i - 1], turns[2 * i] = next_ms, tag
end
call_with('ZADD', due, turns)
return tags
