-- Gives a record another header.
-- keys:

local function tail_at(m)
  return HEADER_BYTES + 1 + (m.claim_bytes > 0 and m.claim_bytes + 8 or 0)
end

-- `lease` is as in a record, or empty with `claim_bytes` 0.
local function rewritten(m, visible_ms, claim_bytes, lease)
  return struct.pack(HEADER, m.expires_ms, visible_ms, m.ttl_s, m.claim_count, claim_bytes)
    .. lease .. string.sub(m.record, tail_at(m))
end
