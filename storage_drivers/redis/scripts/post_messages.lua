-- Stores messages with the next sequences, all or none. O(messages * log n).
-- keys: meta seq messages ready held delayed expires idempotency
-- uses: lists record idempotency
-- args: now_ms:number queue_version:text fingerprint:text window_ms:number records...
-- returns: the first sequence | first and last (a repeat) | QUEUE_CHANGED | KEY_REUSED

local stored = redis.call('HMGET', meta, 'version', 'incarnation')
local answer = first_answer(stored[2], fingerprint, now_ms)
if answer then
  return answer
end
if stored[1] ~= queue_version then
  return QUEUE_CHANGED
end

local last = redis.call('INCRBY', seq, #records)
local first = last - #records + 1
local fields, ready_now, hidden, due, ends = {}, {}, {}, {}, {}
local function append(list, score, member)
  list[#list + 1] = score
  list[#list + 1] = member
end
for i, record in ipairs(records) do
  local sequence = first + i - 1
  local member = member_of(sequence)
  local _, _, expires_ms, visible_ms = struct.unpack(HEADER, record)
  append(fields, member, record)
  append(ends, expires_ms, member)
  if visible_ms > now_ms then
    append(due, visible_ms, member)
    append(hidden, sequence, member)
  else
    append(ready_now, sequence, member)
  end
end
call_with('HSET', messages, fields)
call_with('ZADD', expires, ends)
call_with('ZADD', ready, ready_now)
call_with('ZADD', held, hidden)
call_with('ZADD', delayed, due)

remember(stored[2], fingerprint, {first, last}, now_ms, window_ms)
return first
