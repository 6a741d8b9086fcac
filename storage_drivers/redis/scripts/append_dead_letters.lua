-- Posts messages that another queue gave up, each once however often this is repeated: what
-- has arrived is remembered in `moved` until the message has expired, and an expired one is
-- not posted. O(messages * log n).
-- keys: meta seq messages ready order waiting expires moved
-- uses: lists letters append tell
-- args: now_ms:number entries...
--   entries: origin (seven bytes of sequence, name of the queue), record, ...
-- returns: how many were posted | QUEUE_MISSING

if redis.call('EXISTS', meta) == 0 then
  return QUEUE_MISSING
end
local posted, body_bytes = {}, 0
for i = 1, #entries, 2 do
  local origin, record = entries[i], entries[i + 1]
  local expires_ms = struct.unpack('>I8', record)
  if expires_ms > now_ms and redis.call('ZADD', moved, 'NX', expires_ms, origin) == 1 then
    posted[#posted + 1] = record
    -- The length of the origin is the last that stands before it.
    local origin_bytes = struct.unpack('>I2', record, BARE_BYTES - 1)
    body_bytes = body_bytes + #record - BARE_BYTES - origin_bytes
  end
end
if #posted > 0 then
  append(redis.call('INCRBY', seq, #posted) - #posted + 1, posted, body_bytes, now_ms)
  tell(messages)
end
call_with('ZREM', moved, redis.call('ZRANGEBYSCORE', moved, '-inf', now_ms, 'LIMIT', 0, BATCH))
local last = redis.call('ZRANGE', moved, -1, -1, 'WITHSCORES')
if last[2] then
  redis.call('PEXPIREAT', moved, tonumber(last[2]) + 86400000)
end
return #posted
