-- Ends a live credential whose revocation is on the list already. O(log n). Frees memory before
-- it writes, so it works when the server is full.
-- keys: credentials live
-- args: now_ms:number id:text
-- returns: 1 ended | 0 there was none

local record = redis.call('HGET', credentials, 'r' .. id)
if not record then
  return 0
end
local expires_ms, created_ms, kind = struct.unpack('>I8I8Bc0', record)
if expires_ms <= now_ms or kind == '' then
  return 0
end
redis.call('ZREM', live, kind .. ':' .. id)
redis.call('HDEL', credentials, 'u' .. id)
redis.call('HSET', credentials, 'r' .. id, struct.pack('>I8I8B', expires_ms, created_ms, 0))
return 1
