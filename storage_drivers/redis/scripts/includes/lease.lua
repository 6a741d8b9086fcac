-- Starts leases on messages: `visible_ms` is the end of the lease, and a message that would
-- expire before it lives on for the grace time after it, unless that is nil.
-- keys: messages ready order waiting expires leased

-- The pages of the messages are known. The caller saves.
-- NOTE: also when a lease is renewed, all states are set. A server whose clock is ahead may
-- have promoted the message, and the next claim must not find it.
local function start_leases(chosen, claim_id, lease_ms, grace_ms, now_ms)
  local ends_ms, page = now_ms + lease_ms, nil
  local lease = struct.pack('>I8', lease_ms) .. claim_id
  go_on_when_full()
  for i = 1, #chosen do
    local m = chosen[i]
    if grace_ms and m.expires_ms < ends_ms then
      m.ttl_s = math.floor((lease_ms + grace_ms) / 1000)
      m.expires_ms = ends_ms + grace_ms
    end
    m.record = rewritten(m, ends_ms, #claim_id, lease)
    write(m.member, m.record)
    if m.page ~= page then
      page = m.page
      redis.call('ZADD', waiting, 'LT', ends_ms, page.name)
    end
  end
  set_states(chosen, LEASED)
end

-- Remembers which messages a claim took. NOTE: only a way to find them; whether they are
-- still leased stands on their records. The store forgets it ten minutes
-- after the lease: so far its clock may be ahead of ours.
local function index_claim(claim, members, now_ms, lease_ms)
  redis.call('SET', claim, members, 'PXAT', now_ms + lease_ms + 600000)
end
