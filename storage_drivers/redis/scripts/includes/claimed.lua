-- Finds the messages that are under a live lease of a claim. O(messages of the claim).
-- keys: messages

local MEMBER_BYTES = 7

local function claimed(claim, claim_id, now_ms)
  local members = redis.call('GET', claim) or ''
  local found = {}
  for at = 1, #members, MEMBER_BYTES do
    local member = string.sub(members, at, at + MEMBER_BYTES - 1)
    local record = redis.call('HGET', messages, member)
    local m = record and unpack_record(record)
    if m and is_leased(m, now_ms, claim_id) then
      m.member, m.record = member, record
      found[#found + 1] = m
    end
  end
  return found
end
