-- Replaces the metadata if the queue is still at the expected version.
-- keys: meta
-- args: metadata:text expected_version:text version:text
-- returns: created_ms | QUEUE_MISSING | QUEUE_CHANGED

local stored = redis.call('HMGET', meta, 'version', 'created_ms')
if not stored[1] then
  return QUEUE_MISSING
end
if stored[1] ~= expected_version then
  return QUEUE_CHANGED
end
redis.call('HSET', meta, 'metadata', metadata, 'version', version)
return tonumber(stored[2])
