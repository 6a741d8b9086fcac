-- Makes messages ready whose lease or delay has ended. O(promoted * log n).
-- keys: ready held leased delayed

local function promote_from(waiting, now_ms, bound)
  local due = redis.call('ZRANGEBYSCORE', waiting, '-inf', now_ms, 'LIMIT', 0, bound)
  -- NOTE: what frees memory comes first, here and wherever consumers are at work. A full Redis
  -- refuses a first write that takes memory, but lets a script end that has written: so
  -- messages can be claimed and deleted until there is room again.
  call_with('ZREM', waiting, due)
  call_with('ZREM', held, due)
  local scored = {}
  for _, member in ipairs(due) do
    scored[#scored + 1] = sequence_of(member)
    scored[#scored + 1] = member
  end
  call_with('ZADD', ready, scored)
  return #due
end

-- Returns how many were promoted; `bound` of them means that more may be due.
local function promote(now_ms, bound)
  local promoted = promote_from(leased, now_ms, bound)
  return promoted + promote_from(delayed, now_ms, bound - promoted)
end
