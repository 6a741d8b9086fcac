-- Deletes messages whose state allows it. O(messages + log n).
-- keys: messages ready order waiting expires leased claim
-- uses: lists letters record pages claimed
-- args: now_ms:number condition:text claim_count:number claims_and_members...
--   condition: "any" state | "free" of a live lease | "claim": leased by one of the claims;
--   the key `claim` is of the first of them
-- returns: member, CLAIMED | NOT_CLAIMED, ... for those refused

local claims = {}
for i = 1, claim_count do
  claims[claims_and_members[i]] = true
end

local function refusal(m)
  if condition == 'any' or m.expires_ms <= now_ms then
    return nil
  end
  local holder = holder_of(m, now_ms)
  if holder ~= '' then
    return not claims[holder] and CLAIMED or nil
  end
  return condition == 'claim' and NOT_CLAIMED or nil
end

local found, gone, refused = {}, {}, {}
for i = claim_count + 1, #claims_and_members do
  found[i - claim_count] = claims_and_members[i]
end
for i, record in ipairs(read(found)) do
  local m = record and message_of(found[i], record)
  local code = m and refusal(m)
  if code then
    refused[#refused + 1] = m.member
    refused[#refused + 1] = code
  elseif m then
    gone[#gone + 1] = m
  end
end
locate(gone)
remove(gone)
save()
if claim_count > 0 and #gone > 0 then
  forget_claimed(claim, gone)
end
return refused
