-- Finds and forgets the messages of a claim. O(messages of the claim).
-- keys: messages

local MEMBER_BYTES = 7

-- Returns the messages that are under a live lease of the claim.
local function claimed(claim, claim_id, now_ms)
  local members = redis.call('GET', claim) or ''
  local found, held = {}, {}
  for at = 1, #members, MEMBER_BYTES do
    found[#found + 1] = string.sub(members, at, at + MEMBER_BYTES - 1)
  end
  for i, record in ipairs(read(found)) do
    local m = record and message_of(found[i], record)
    if m and holder_of(m, now_ms) == claim_id then
      held[#held + 1] = m
    end
  end
  return held
end

-- Takes messages that are gone off the list of the claim: with the last one goes the list.
-- NOTE: or each finished claim would take up memory until long after its lease.
local function forget_claimed(claim, gone)
  local members = redis.call('GET', claim)
  if not members then
    return
  end
  local is_gone, left = {}, {}
  for _, m in ipairs(gone) do
    is_gone[m.member] = true
  end
  for at = 1, #members, MEMBER_BYTES do
    local member = string.sub(members, at, at + MEMBER_BYTES - 1)
    if not is_gone[member] then
      left[#left + 1] = member
    end
  end
  if #left == 0 then
    redis.call('UNLINK', claim)
  else
    redis.call('SET', claim, table.concat(left), 'KEEPTTL')
  end
end
