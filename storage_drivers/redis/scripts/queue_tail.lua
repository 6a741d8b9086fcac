-- Tells the last sequence that the queue gave out, or where it begins. O(1).
-- keys: meta seq
-- args:
-- returns: the sequence | 0 there is no queue

if redis.call('EXISTS', meta) == 0 then
  return 0
end
return tonumber(redis.call('GET', seq))
