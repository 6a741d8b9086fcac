-- Posts messages at the end of the queue. O(messages).
-- keys: messages ready order waiting expires
-- PERF: by itself, without what other scripts need of pages: to post is what is done most.

-- What a record takes besides the body and the origin of a dead letter, when no claim is on it.
local BARE_BYTES = 52

-- `first` is above all sequences so far; the records get it and the next ones. `body_bytes` is
-- what there is more of bodies then.
local function append(first, records, body_bytes, now_ms)
  local written, count, at, size = {}, #records, 1, 0
  while at <= count do
    local slot = (first + at - 1) % PAGE
    local number = (first + at - 1 - slot) / PAGE
    local name = struct.pack('>I6', number)
    local stored = redis.call('HGET', messages, name)
    local letters, stored_ms = '', nil
    if stored then
      stored_ms, letters = struct.unpack('>I6', stored), string.sub(stored, 7)
    end
    local was_ready = string.find(letters, READY, 1, true)
    local states, earliest_ms, first_end_ms = {}, stored_ms, nil
    for i = at, math.min(count, at + PAGE - 1 - slot) do
      local record = records[i]
      local expires_ms, visible_ms = struct.unpack('>I8I8', record)
      if not earliest_ms or expires_ms < earliest_ms then
        earliest_ms = expires_ms
      end
      if visible_ms > now_ms then
        first_end_ms = math.min(first_end_ms or visible_ms, visible_ms)
      end
      states[i - at + 1] = visible_ms > now_ms and DELAYED or READY
      written[size + 1], written[size + 2] = struct.pack('>I7', first + i - 1), record
      size = size + 2
    end
    at = at + #states
    local added = table.concat(states)
    letters = letters .. string.rep(GONE, slot - #letters) .. added
    written[size + 1], written[size + 2] = name, struct.pack('>I6', earliest_ms) .. letters
    size = size + 2
    if not was_ready and string.find(added, READY, 1, true) then
      redis.call('ZADD', ready, number, name)
    end
    if not stored then
      redis.call('ZADD', order, number, name)
    end
    if earliest_ms ~= stored_ms then
      redis.call('ZADD', expires, earliest_ms, name)
    end
    if first_end_ms then
      redis.call('ZADD', waiting, 'LT', first_end_ms, name)
    end
  end
  call_with('HSET', messages, written)
  redis.call('HINCRBY', messages, 'bytes', body_bytes)
end
