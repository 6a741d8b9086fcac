-- Removes messages, wherever they are. O(removed * log n).
-- keys: messages ready held leased delayed expires

local function remove(members)
  call_with('HDEL', messages, members)
  for _, order in ipairs({ready, held, leased, delayed, expires}) do
    call_with('ZREM', order, members)
  end
end

-- Returns how many expired messages were removed, `bound` at the most.
local function drop_expired(now_ms, bound)
  local expired = redis.call('ZRANGEBYSCORE', expires, '-inf', now_ms, 'LIMIT', 0, bound)
  remove(expired)
  return #expired
end
