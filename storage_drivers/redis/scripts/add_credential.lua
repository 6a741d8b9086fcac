-- Remembers a credential unless its id is known and has not expired, revoked or not. O(log n), and
-- each call clears away a bounded number of those that have expired.
-- keys: credentials live expiring
-- uses: lists credentials
-- args: now_ms:number id:text kind:text expires_ms:number uses_left:text record:text
--   uses_left: empty for any number
-- returns: 1 added | 0 known | AGAIN

drop_expired(now_ms)
local known = redis.call('HGET', credentials, 'r' .. id)
if known then
  return struct.unpack('>I8', known) > now_ms and 0 or AGAIN
end
redis.call('HSET', credentials, 'r' .. id, record)
if uses_left ~= '' then
  redis.call('HSET', credentials, 'u' .. id, uses_left)
end
local entry = kind .. ':' .. id
redis.call('ZADD', live, 0, entry)
redis.call('ZADD', expiring, expires_ms, entry)
-- The store forgets a project that has no credentials any more by itself, a day later.
local last = redis.call('ZRANGE', expiring, -1, -1, 'WITHSCORES')
for _, key in ipairs({credentials, live, expiring}) do
  redis.call('PEXPIREAT', key, tonumber(last[2]) + 86400000)
end
return 1
