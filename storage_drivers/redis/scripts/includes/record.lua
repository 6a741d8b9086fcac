-- A message record: what changes with a claim comes first, then what never changes (the tail).
-- codec.py writes and reads the same form and explains its fields.
-- keys: messages

-- expires_ms, visible_ms, ttl_s, claim_count, length of the claim id; if that is not 0, the
-- length of the lease in ms (8 bytes) and the claim id follow.
local HEADER = '>I8I8I4I4B'
local HEADER_BYTES = 25

-- Reads the records of these messages; those that are gone have none.
local function read(found)
  local members = {}
  for i = 1, #found do
    members[i] = found[i].member
  end
  local records = #members > 0 and redis.call('HMGET', messages, unpack(members)) or {}
  for i = 1, #found do
    local m, record = found[i], records[i]
    m.record = record
    if record then
      m.expires_ms, m.visible_ms, m.ttl_s, m.claim_count, m.claim_bytes =
        struct.unpack(HEADER, record)
    end
  end
end

local function tail_at(m)
  return HEADER_BYTES + 1 + (m.claim_bytes > 0 and m.claim_bytes + 8 or 0)
end

-- Returns the record with another header; `lease` is as in the record, or empty.
local function rewritten(m, claim_bytes, lease)
  return struct.pack(HEADER, m.expires_ms, m.visible_ms, m.ttl_s, m.claim_count, claim_bytes)
    .. lease .. string.sub(m.record, tail_at(m))
end

-- The id of the claim that the message is leased by; empty when none is.
local function holder_of(m, now_ms)
  if m.claim_bytes == 0 or m.visible_ms <= now_ms or m.expires_ms <= now_ms then
    return ''
  end
  return string.sub(m.record, HEADER_BYTES + 9, HEADER_BYTES + 8 + m.claim_bytes)
end

-- The name of a message in the hash is its sequence in seven bytes.
local function sequence_of(member)
  return (struct.unpack('>I7', member))
end

-- Adds members and records to an answer.
local function answer_with(answer, found)
  for i = 1, #found do
    answer[#answer + 1] = found[i].member
    answer[#answer + 1] = found[i].record
  end
  return answer
end
