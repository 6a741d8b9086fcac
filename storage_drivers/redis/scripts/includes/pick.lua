-- Chooses ready messages, lowest sequences first, without changing live ones.
-- keys: messages ready held leased delayed expires

-- Sorts live ready messages into `chosen` (up to `limit`) and, when `max_claims` is not 0,
-- those claimed that often into `exhausted` (up to `max_moves`, then it stops looking).
-- Returns nil, with the expired messages in front removed, when too many of them were in the
-- way: the caller answers AGAIN.
local function pick(now_ms, limit, max_claims, max_moves)
  local chosen, exhausted, expired = {}, {}, {}
  local at, step = 0, math.min(limit, BATCH)
  local function is_full()
    return #chosen >= limit or #expired >= BATCH
      or (max_claims > 0 and #exhausted >= max_moves)
  end
  while not is_full() do
    local members = redis.call('ZRANGE', ready, at, at + step - 1)
    if #members == 0 then
      break
    end
    for i, record in ipairs(redis.call('HMGET', messages, unpack(members))) do
      local m = unpack_record(record)
      m.member = members[i]
      if m.expires_ms <= now_ms then
        expired[#expired + 1] = m.member
      elseif max_claims > 0 and m.claim_count >= max_claims then
        exhausted[#exhausted + 1] = m
      else
        chosen[#chosen + 1] = m
      end
      if is_full() then
        break
      end
    end
    at = at + #members
    step = READ_MORE
  end
  local in_the_way = #expired >= BATCH
  remove(expired)
  if in_the_way then
    return nil
  end
  return chosen, exhausted
end
