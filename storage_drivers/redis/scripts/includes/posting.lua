-- Gives messages the next sequences, stores them and tells who watches. O(messages).
-- keys: seq messages ready order waiting expires

-- Returns the first and the last sequence.
local function post(posted, now_ms)
  local last = redis.call('INCRBY', seq, #posted)
  local first = last - #posted + 1
  local body_bytes = -BARE_BYTES * #posted
  for i = 1, #posted do
    body_bytes = body_bytes + #posted[i]
  end
  append(first, posted, body_bytes, now_ms)
  tell(messages)
  return first, last
end
