-- Chooses ready messages, lowest sequences first, without changing live ones.
-- keys: messages ready order waiting expires leased

-- Sorts live ready messages into `chosen` (up to `limit`) and, when `max_claims` is not 0,
-- those claimed that often into `exhausted` (up to `max_moves`, then it stops looking).
-- Returns nil, with the expired messages in front removed, when too many of them were in the
-- way: the caller answers AGAIN.
local function pick(now_ms, limit, max_claims, max_moves)
  local chosen, exhausted, expired = {}, {}, {}
  local next_ready, step = walk(ready, READY, 0), math.min(limit, BATCH)
  local function is_full()
    return #chosen >= limit or #expired >= BATCH
      or (max_claims > 0 and #exhausted >= max_moves)
  end
  while not is_full() do
    local found = next_ready(step)
    if #found == 0 then
      break
    end
    local records = read(found)
    for i = 1, #found do
      local m = message_of(found[i], records[i])
      if m.expires_ms <= now_ms then
        expired[#expired + 1] = m
      elseif max_claims > 0 and m.claim_count >= max_claims then
        exhausted[#exhausted + 1] = m
      else
        chosen[#chosen + 1] = m
      end
      if is_full() then
        break
      end
    end
    step = READ_MORE
  end
  locate(expired)
  remove(expired)
  if #expired >= BATCH then
    save()
    return nil
  end
  locate(chosen)
  locate(exhausted)
  return chosen, exhausted
end
