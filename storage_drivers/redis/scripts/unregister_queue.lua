-- Takes a deleted queue out of the project's index, unless it is registered for a new life:
-- only an entry with this token, or one registered at or before `stale_ms`.
-- keys: names tokens
-- args: name:text token:text stale_ms:number
-- returns: 1 removed | 0 left alone

local entry = redis.call('HGET', tokens, name)
if not entry then
  return 0
end
local entry_token, registered_ms = string.match(entry, '^(%S*) (%d+)$')
if entry_token ~= token and tonumber(registered_ms) > stale_ms then
  return 0
end
redis.call('HDEL', tokens, name)
return redis.call('ZREM', names, name)
