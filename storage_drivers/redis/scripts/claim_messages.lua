-- Leases ready messages, lowest sequences first, and takes those claimed too often out of
-- sight for their move to the dead-letter queue. All in one step; O(limit * log n), and each
-- call promotes and clears away a bounded number of others.
-- keys: meta messages ready held leased delayed expires moving claim idempotency
-- uses: lists record promote remove pick lease claimed answers idempotency
-- args: now_ms:number queue_version:text claim_id:text limit:number lease_ms:number grace_ms:number fingerprint:text window_ms:number max_claims:number max_moves:number queue:text target:text target_version:text target_ttl_s:number
--   max_claims 0: no dead-lettering. target_ttl_s -1: the message's own expiry stays.
-- returns: number of messages moving, packed messages that were leased
--   | the id of the first claim (a repeat) | QUEUE_CHANGED | KEY_REUSED | AGAIN

local stored = redis.call('HMGET', meta, 'version', 'incarnation')
local repeated = first_answer(stored[2], fingerprint, now_ms)
if repeated then
  return repeated
end
if stored[1] ~= queue_version then
  return QUEUE_CHANGED
end
if promote(now_ms, BATCH) == BATCH then
  return AGAIN
end
drop_expired(now_ms, BATCH)
local chosen, exhausted = pick(now_ms, limit, max_claims, max_moves)
if not chosen then
  return AGAIN
end

-- reason 0 is max_claim_count; see codec.py
local function origin_of(m)
  return struct.pack('>I8I4I8B', sequence_of(m.member), m.claim_count, now_ms, 0) .. queue
end

local moves, moved = {}, {}
for _, m in ipairs(exhausted) do
  m.origin = origin_of(m)
  m.claim_id, m.claim_count, m.visible_ms = '', 0, 0
  if target_ttl_s >= 0 then
    m.ttl_s, m.expires_ms = target_ttl_s, now_ms + target_ttl_s * 1000
  end
  moved[#moved + 1] = m.member
  moves[#moves + 1] = m.member
  moves[#moves + 1] = cmsgpack.pack({target, target_version, pack_record(m)})
end
remove(moved)
call_with('HSET', moving, moves)

if #chosen > 0 then
  local indexed = {}
  -- A claim id may be used once more while it holds messages.
  for i, m in ipairs(claimed(claim, claim_id, now_ms)) do
    indexed[i] = m.member
  end
  for _, m in ipairs(chosen) do
    m.claim_count = m.claim_count + 1
    indexed[#indexed + 1] = m.member
  end
  start_leases(chosen, claim_id, lease_ms, grace_ms, now_ms)
  index_claim(claim, table.concat(indexed), now_ms, lease_ms)
  remember(stored[2], fingerprint, claim_id, now_ms, window_ms)
end
return {#exhausted, pack_messages(chosen)}
