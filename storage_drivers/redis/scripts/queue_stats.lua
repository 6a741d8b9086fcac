-- Counts the messages that have not expired and finds the first and the last. O(log n), and
-- each call clears away a bounded number of expired ones.
-- keys: messages ready held leased delayed expires
-- uses: lists record remove answers
-- args: now_ms:number
-- returns: claimed, total, packed oldest and newest if any | AGAIN

drop_expired(now_ms, BATCH)

-- The first (position 0) or last (-1) live message of `order`; AGAIN when too many expired
-- ones were in the way, all removed.
local function live_end(order, position)
  for _ = 1, BATCH do
    local member = redis.call('ZRANGE', order, position, position)[1]
    if not member then
      return nil
    end
    local m = unpack_record(redis.call('HGET', messages, member))
    if m.expires_ms > now_ms then
      return member
    end
    remove({member})
  end
  return AGAIN
end

local function sorted_ends(position)
  local sequences = {}
  for _, order in ipairs({ready, held}) do
    local member = live_end(order, position)
    if member == AGAIN then
      return AGAIN
    end
    sequences[#sequences + 1] = member and sequence_of(member)
  end
  table.sort(sequences)
  return sequences
end

local oldest, newest = sorted_ends(0), sorted_ends(-1)
if oldest == AGAIN or newest == AGAIN then
  return AGAIN
end
local ends = {}
for i, sequence in ipairs({oldest[1], newest[#newest]}) do
  local member = member_of(sequence)
  ends[i] = {member = member, record = redis.call('HGET', messages, member)}
end
local later = '(' .. string.format('%.0f', now_ms)
return {
  redis.call('ZCOUNT', leased, later, '+inf'),
  redis.call('ZCOUNT', expires, later, '+inf'),
  pack_messages(ends),
}
