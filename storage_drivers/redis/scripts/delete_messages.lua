-- Deletes messages whose state allows it. O(messages * log n).
-- keys: messages ready held leased delayed expires claim
-- uses: lists record remove claimed
-- args: now_ms:number condition:text claim_count:number claims_and_members...
--   condition: "any" state | "free" of a live lease | "claim": leased by one of the claims;
--   the key `claim` is of the first of them
-- returns: member, CLAIMED | NOT_CLAIMED, ... for those refused

local claims = {}
for i = 1, claim_count do
  claims[claims_and_members[i]] = true
end

local function refusal(m)
  if condition == 'any' then
    return nil
  end
  if is_leased(m, now_ms) then
    return not claims[m.claim_id] and CLAIMED or nil
  end
  return condition == 'claim' and NOT_CLAIMED or nil
end

local gone, refused = {}, {}
for i = claim_count + 1, #claims_and_members do
  local member = claims_and_members[i]
  local record = redis.call('HGET', messages, member)
  if record then
    local m = unpack_record(record)
    local code = m.expires_ms > now_ms and refusal(m)
    if code then
      refused[#refused + 1] = member
      refused[#refused + 1] = code
    else
      gone[#gone + 1] = member
    end
  end
end
remove(gone)
if claim_count > 0 and #gone > 0 then
  forget_claimed(claim, gone)
end
return refused
