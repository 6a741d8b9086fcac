-- Puts an id on the list of what is revoked in all projects; again changes nothing. O(log n), and
-- clears away those that expired since the last one. Works when the server is full.
-- keys: version revoked
-- args: now_ms:number id:text expires_ms:number
-- returns: 1 added | 0 it was there

-- An hour later than need be: so far the clocks of others may be behind ours. NOTE: removing comes
-- first, as a full server lets a script end that began so.
redis.call('ZREMRANGEBYSCORE', revoked, '-inf', now_ms - 3600000)
local listed_ms = redis.call('ZSCORE', revoked, id)
if listed_ms and tonumber(listed_ms) >= expires_ms then
  return 0
end
redis.call('ZADD', revoked, expires_ms, id)
local last = redis.call('ZRANGE', revoked, -1, -1, 'WITHSCORES')
redis.call('PEXPIREAT', revoked, tonumber(last[2]) + 86400000)
local latest = tonumber(redis.call('GET', version) or 0)
redis.call('SET', version, string.format('%.0f', math.max(latest + 1, now_ms)))
return 1
