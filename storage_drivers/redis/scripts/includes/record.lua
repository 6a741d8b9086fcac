-- A message record: fixed header, lease (if claimed), origin (if dead-lettered), body.
-- codec.py writes and reads the same form and explains its fields.
-- keys:

local HEADER = '>BI8I8I8I4I4c16BI2'

local function unpack_record(record)
  local m, claim_bytes, origin_bytes, at = {}, 0, 0, 0
  m.media, m.posted_ms, m.expires_ms, m.visible_ms, m.ttl_s, m.claim_count, m.client,
    claim_bytes, origin_bytes, at = struct.unpack(HEADER, record)
  m.claim_id = ''
  if claim_bytes > 0 then
    m.lease_ms = struct.unpack('>I8', record, at)
    m.claim_id = string.sub(record, at + 8, at + 7 + claim_bytes)
    at = at + 8 + claim_bytes
  end
  m.origin = string.sub(record, at, at + origin_bytes - 1)
  m.body = string.sub(record, at + origin_bytes)
  return m
end

local function pack_record(m)
  local lease = ''
  if m.claim_id ~= '' then
    lease = struct.pack('>I8', m.lease_ms) .. m.claim_id
  end
  return struct.pack(HEADER, m.media, m.posted_ms, m.expires_ms, m.visible_ms, m.ttl_s,
    m.claim_count, m.client, #m.claim_id, #m.origin) .. lease .. m.origin .. m.body
end

-- The message is under a live lease, of `claim_id` if one is named.
local function is_leased(m, now_ms, claim_id)
  return m.visible_ms > now_ms and m.expires_ms > now_ms and m.claim_id ~= ''
    and (claim_id == nil or m.claim_id == claim_id)
end

-- A member of the ordered sets is the sequence in seven bytes.
local function member_of(sequence)
  return struct.pack('>I7', sequence)
end

local function sequence_of(member)
  return (struct.unpack('>I7', member))
end
