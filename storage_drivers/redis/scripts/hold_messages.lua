-- Leases those of the given messages that are ready, without counting it as a claim and without
-- letting them live longer. O(messages + log n).
-- keys: messages ready order waiting expires leased claim
-- uses: lists letters record rewrite pages lease claimed answers
-- args: now_ms:number claim_id:text lease_ms:number members...
-- returns: member, record, ... of those leased

local chosen, indexed = {}, {}
for i, record in ipairs(read(members)) do
  local m = record and message_of(members[i], record)
  if m and m.expires_ms > now_ms and struct.unpack('>I8', record, 9) <= now_ms then
    chosen[#chosen + 1] = m
  end
end
if #chosen == 0 then
  return {}
end
for i, m in ipairs(claimed(claim, claim_id, now_ms)) do
  indexed[i] = m.member
end
for _, m in ipairs(chosen) do
  indexed[#indexed + 1] = m.member
end
locate(chosen)
start_leases(chosen, claim_id, lease_ms, nil, now_ms)
save()
index_claim(claim, table.concat(indexed), now_ms, lease_ms)
return answer_with({}, chosen)
