-- Starts leases on messages: `visible_ms` is the end of the lease, and a message that would
-- expire before it lives on for the grace time after it.
-- keys: messages ready held leased expires

local function start_leases(chosen, claim_id, lease_ms, grace_ms, now_ms)
  local ends_ms = now_ms + lease_ms
  local members, sequences, records, ends, expiring = {}, {}, {}, {}, {}
  for i, m in ipairs(chosen) do
    members[i] = m.member
    sequences[2 * i - 1], sequences[2 * i] = sequence_of(m.member), m.member
    m.claim_id, m.lease_ms, m.visible_ms = claim_id, lease_ms, ends_ms
    if m.expires_ms < ends_ms then
      m.ttl_s = math.floor((lease_ms + grace_ms) / 1000)
      m.expires_ms = ends_ms + grace_ms
      expiring[#expiring + 1] = m.expires_ms
      expiring[#expiring + 1] = m.member
    end
    m.record = pack_record(m)
    records[#records + 1] = m.member
    records[#records + 1] = m.record
    ends[#ends + 1] = ends_ms
    ends[#ends + 1] = m.member
  end
  -- NOTE: also when a lease is renewed. A server whose clock is ahead may have promoted the
  -- message, and the next claim must not find it.
  call_with('ZREM', ready, members)
  call_with('ZADD', held, sequences)
  call_with('HSET', messages, records)
  call_with('ZADD', leased, ends)
  call_with('ZADD', expires, expiring)
end

-- Remembers which messages a claim took. NOTE: only a way to find them; whether they are
-- still leased stands on their records. The store forgets it ten minutes
-- after the lease: so far its clock may be ahead of ours.
local function index_claim(claim, members, now_ms, lease_ms)
  redis.call('SET', claim, members, 'PXAT', now_ms + lease_ms + 600000)
end
