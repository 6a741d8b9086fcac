-- Counts what has not been removed from a queue. O(1).
-- keys: meta messages order leased
-- args:
-- returns: queues (0 or 1), messages, bytes of bodies, messages under a lease

if redis.call('EXISTS', meta) == 0 then
  return {0, 0, 0, 0}
end
local body_bytes = redis.call('HGET', messages, 'bytes')
local others = redis.call('ZCARD', order) + (body_bytes and 1 or 0)
return {1, redis.call('HLEN', messages) - others, tonumber(body_bytes or 0),
  tonumber(redis.call('GET', leased) or 0)}
