-- Leases ready messages, lowest sequences first, and takes those claimed too often out of
-- sight for their move to the dead-letter queue. All in one step; O(limit + log n), and each
-- call promotes and clears away a bounded number of others.
-- keys: meta messages ready order waiting expires leased moving claim idempotency
-- uses: lists letters record rewrite pages walk due pick lease claimed answers idempotency
-- args: now_ms:number queue_version:text claim_id:text limit:number lease_ms:number grace_ms:number fingerprint:text window_ms:number policy...
--   policy: max_claims, max_moves, queue, target, target_version, target_ttl_s (-1: the message's
--   own expiry stays); nothing without dead-lettering
-- returns: number of messages moving, then member, record, ... of those leased
--   | the id of the first claim (a repeat) | QUEUE_CHANGED | KEY_REUSED | AGAIN

local stored = redis.call('HMGET', meta, 'version', 'incarnation')
local repeated = first_answer(stored[2], fingerprint, now_ms)
if repeated then
  return repeated
end
if stored[1] ~= queue_version then
  return QUEUE_CHANGED
end
local _, is_all = promote(now_ms, BATCH)
if not is_all then
  return AGAIN
end
drop_expired(now_ms, BATCH)
local max_claims, max_moves = tonumber(policy[1] or 0), tonumber(policy[2] or 0)
local chosen, exhausted = pick(now_ms, limit, max_claims, max_moves)
if not chosen then
  return AGAIN
end

-- The tail of a record begins with media, posted_ms and client (25 bytes), then the length of
-- the origin and the origin. Reason 0 is max_claim_count; see codec.py.
local function dead_letter(m, queue, target_ttl_s)
  local at = tail_at(m)
  local former = struct.unpack('>I2', m.record, at + 25)
  local origin = struct.pack('>I8I4I8B', (struct.unpack('>I7', m.member)), m.claim_count, now_ms, 0) .. queue
  if target_ttl_s >= 0 then
    m.ttl_s, m.expires_ms = target_ttl_s, now_ms + target_ttl_s * 1000
  end
  return struct.pack(HEADER, m.expires_ms, 0, m.ttl_s, 0, 0) .. string.sub(m.record, at, at + 24)
    .. struct.pack('>I2', #origin) .. origin .. string.sub(m.record, at + 27 + former)
end

local moves = {}
for _, m in ipairs(exhausted) do
  moves[#moves + 1] = m.member
  local record = dead_letter(m, policy[3], tonumber(policy[6]))
  moves[#moves + 1] = cmsgpack.pack({policy[4], policy[5], record})
end
remove(exhausted)
call_with('HSET', moving, moves)

local answer = {#exhausted}
if #chosen > 0 then
  local indexed = {}
  -- A claim id may be used once more while it holds messages.
  for i, m in ipairs(claimed(claim, claim_id, now_ms)) do
    indexed[i] = m.member
  end
  for i = 1, #chosen do
    chosen[i].claim_count = chosen[i].claim_count + 1
    indexed[#indexed + 1] = chosen[i].member
  end
  start_leases(chosen, claim_id, lease_ms, grace_ms, now_ms)
  index_claim(claim, table.concat(indexed), now_ms, lease_ms)
  remember(stored[2], fingerprint, claim_id, now_ms, window_ms)
  answer_with(answer, chosen)
end
save()
return answer
