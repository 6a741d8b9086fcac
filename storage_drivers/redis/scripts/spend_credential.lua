-- Uses a credential once if it is live and has a use left. O(1).
-- keys: credentials
-- args: now_ms:number id:text
-- returns: 1 used | 0 not allowed

local stored = redis.call('HMGET', credentials, 'r' .. id, 'u' .. id)
if not stored[1] then
  return 0
end
local expires_ms, _, kind_bytes = struct.unpack('>I8I8B', stored[1])
if expires_ms <= now_ms or kind_bytes == 0 then
  return 0
end
if not stored[2] then
  return 1
end
if tonumber(stored[2]) <= 0 then
  return 0
end
-- Lets the script go on when the server is full: it takes no room.
redis.call('HDEL', credentials, '')
redis.call('HINCRBY', credentials, 'u' .. id, -1)
return 1
