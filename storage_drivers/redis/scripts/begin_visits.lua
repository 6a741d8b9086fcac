-- Takes scopes that want a visit off their turn, so that others visit others; who does not come to
-- the end of a visit leaves it to the next one. O(limit * log n). Works when the server is full.
-- keys: scopes visits
-- args: now_ms:number limit:number next_ms:number
-- returns: number of these visits, then tags of scopes

redis.call('ZREM', scopes, '')
local tags = redis.call('ZRANGEBYSCORE', scopes, '-inf', now_ms, 'LIMIT', 0, limit)
-- No tag is empty.
local number = redis.call('HINCRBY', visits, '', 1)
for _, tag in ipairs(tags) do
  redis.call('ZADD', scopes, next_ms, tag)
  redis.call('HSET', visits, tag, number)
end
return {number, unpack(tags)}
