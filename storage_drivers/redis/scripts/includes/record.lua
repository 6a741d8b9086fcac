-- A message record: what changes with a claim comes first, then what never changes (the tail).
-- codec.py writes and reads the same form and explains its fields.
-- keys: messages

-- expires_ms, visible_ms, ttl_s, claim_count, length of the claim id; if that is not 0, the
-- length of the lease in ms (8 bytes) and the claim id follow.
local HEADER = '>I8I8I4I4B'
local HEADER_BYTES = 25

-- Returns the records of messages; false for those that are gone.
local function read(members)
  return #members > 0 and redis.call('HMGET', messages, unpack(members)) or {}
end

-- PERF: eight fields with those that `locate` adds, so that the table never grows.
local function message_of(member, record)
  local expires_ms, _, ttl_s, claim_count, claim_bytes = struct.unpack(HEADER, record)
  return {
    member = member, record = record, expires_ms = expires_ms, ttl_s = ttl_s,
    claim_count = claim_count, claim_bytes = claim_bytes, page = false, slot = 0,
  }
end

-- The length of the body. The length of the origin stands 25 bytes into the tail.
local function body_bytes_of(m)
  local at = HEADER_BYTES + (m.claim_bytes > 0 and m.claim_bytes + 8 or 0) + 26
  return #m.record - at - 1 - struct.unpack('>I2', m.record, at)
end

-- The id of the claim that the message is leased by; empty when none is.
local function holder_of(m, now_ms)
  if m.claim_bytes == 0 or m.expires_ms <= now_ms
    or struct.unpack('>I8', m.record, 9) <= now_ms then
    return ''
  end
  return string.sub(m.record, HEADER_BYTES + 9, HEADER_BYTES + 8 + m.claim_bytes)
end
