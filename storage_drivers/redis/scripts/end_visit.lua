-- Notes when a scope wants its next visit, or takes it off the list, unless it was announced or
-- visited by another since this visit began. O(log n).
-- keys: scopes visits
-- args: tag:text number:text next_ms:text
--   next_ms: empty for never
-- returns: 1 noted | 0 left alone

if redis.call('HGET', visits, tag) ~= number then
  return 0
end
redis.call('HDEL', visits, tag)
if next_ms == '' then
  redis.call('ZREM', scopes, tag)
else
  redis.call('ZADD', scopes, next_ms, tag)
end
return 1
