-- Creates the queue unless it exists; exactly one of concurrent calls does.
-- Its sequence continues above that of a former life.
-- keys: meta seq
-- args: metadata:text version:text now_ms:number first_sequence:number
-- returns: 1 created | 0 existed, then metadata, version, created_ms

local created = redis.call('EXISTS', meta) == 0
if created then
  redis.call('HSET', meta, 'metadata', metadata, 'version', version, 'created_ms', now_ms,
    'incarnation', version)
  local last = tonumber(redis.call('GET', seq) or 0)
  redis.call('SET', seq, string.format('%.0f', math.max(last, first_sequence)))
end
return {created and 1 or 0, unpack(redis.call('HMGET', meta, 'metadata', 'version', 'created_ms'))}
