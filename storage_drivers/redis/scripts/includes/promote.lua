-- Makes messages ready whose lease or delay has ended. O(promoted * log n).
-- keys: ready held leased delayed

local function promote_from(waiting, now_ms, bound)
  local due = redis.call('ZRANGEBYSCORE', waiting, '-inf', now_ms, 'LIMIT', 0, bound)
  local scored = {}
  for _, member in ipairs(due) do
    scored[#scored + 1] = sequence_of(member)
    scored[#scored + 1] = member
  end
  call_with('ZADD', ready, scored)
  call_with('ZREM', waiting, due)
  call_with('ZREM', held, due)
  return #due
end

-- Returns how many were promoted; `bound` of them means that more may be due.
local function promote(now_ms, bound)
  local promoted = promote_from(leased, now_ms, bound)
  return promoted + promote_from(delayed, now_ms, bound - promoted)
end
