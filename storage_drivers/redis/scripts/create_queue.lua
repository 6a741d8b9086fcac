-- Creates the queue unless it exists; exactly one of concurrent calls does.
-- Its sequence continues above that of a former life.
-- keys: meta seq
-- args: metadata:text version:text now_ms:number first_sequence:number
-- returns: 1 created | 0 existed, then metadata, version, created_ms

local created = redis.call('EXISTS', meta) == 0
if created then
  -- One is left out, so that no two lives begin with the same sequence: it names this life.
  local last = tonumber(redis.call('GET', seq) or 0)
  local first = string.format('%.0f', math.max(last + 1, first_sequence))
  redis.call('SET', seq, first)
  redis.call('HSET', meta, 'metadata', metadata, 'version', version, 'created_ms', now_ms,
    'incarnation', first, 'token', version)
end
return {created and 1 or 0, unpack(redis.call('HMGET', meta, 'metadata', 'version', 'created_ms'))}
