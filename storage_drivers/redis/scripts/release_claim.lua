-- Makes the messages under the live claim ready. O(messages of it * log n).
-- keys: messages ready held leased claim
-- uses: lists record claimed
-- args: now_ms:number claim_id:text
-- returns: how many messages were released

local members, records, sequences = {}, {}, {}
for i, m in ipairs(claimed(claim, claim_id, now_ms)) do
  m.claim_id, m.visible_ms = '', 0
  members[i] = m.member
  records[2 * i - 1], records[2 * i] = m.member, pack_record(m)
  sequences[2 * i - 1], sequences[2 * i] = sequence_of(m.member), m.member
end
call_with('ZREM', leased, members)
call_with('ZREM', held, members)
call_with('HSET', messages, records)
call_with('ZADD', ready, sequences)
redis.call('UNLINK', claim)
return #members
