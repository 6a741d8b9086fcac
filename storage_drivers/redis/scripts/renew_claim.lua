-- Starts the lease of all messages under the live claim anew. O(messages of it + log n).
-- keys: meta messages ready order waiting expires leased claim idempotency
-- uses: lists letters record rewrite pages lease claimed idempotency tell
-- args: now_ms:number claim_id:text lease_ms:number grace_ms:number fingerprint:text window_ms:number
-- returns: 0 renewed, now or by the first of repeated calls | CLAIM_LOST | KEY_REUSED

local incarnation = redis.call('HGET', meta, 'incarnation')
local answer = first_answer(incarnation, fingerprint, now_ms)
if answer then
  return answer
end
local held = claimed(claim, claim_id, now_ms)
if #held == 0 then
  return CLAIM_LOST
end
local members = {}
for i, m in ipairs(held) do
  members[i] = m.member
end
locate(held)
start_leases(held, claim_id, lease_ms, grace_ms, now_ms)
save()
index_claim(claim, table.concat(members), now_ms, lease_ms)
remember(incarnation, fingerprint, 0, now_ms, window_ms)
tell(messages)
return 0
