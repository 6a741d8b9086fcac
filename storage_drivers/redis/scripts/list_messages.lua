-- Lists messages by sequence, from behind a marker. O((page + hidden) * log n).
-- keys: messages ready held leased delayed
-- uses: lists record promote answers
-- args: now_ms:number after_seq:number limit:number include_claimed:number include_delayed:number client:text max_hidden:number
-- returns: the marker to continue from (0: none), packed messages | AGAIN

-- NOTE: before anything is listed, or a pager would pass by a message that is ready by now.
if promote(now_ms, BATCH) == BATCH then
  return AGAIN
end

local orders = {ready}
if include_claimed == 1 or include_delayed == 1 then
  orders = {ready, held}
end

-- The lowest `count` members above `cursor`, of all orders.
-- NOTE: compared as numbers; Lua compares strings by the locale of the server.
local function members_after(cursor, count)
  local above = '(' .. string.format('%.0f', cursor)
  local sequences = {}
  for _, order in ipairs(orders) do
    for _, member in ipairs(
      redis.call('ZRANGEBYSCORE', order, above, '+inf', 'LIMIT', 0, count)) do
      sequences[#sequences + 1] = sequence_of(member)
    end
  end
  table.sort(sequences)
  local members = {}
  for i = 1, math.min(#sequences, count) do
    members[i] = member_of(sequences[i])
  end
  return members
end

local function is_shown(m)
  if m.expires_ms <= now_ms or m.client == client then
    return false
  end
  if m.visible_ms <= now_ms then
    return true
  end
  if m.claim_id ~= '' then
    return include_claimed == 1
  end
  return include_delayed == 1
end

local shown, hidden, marker, cursor, step = {}, 0, 0, after_seq, math.min(limit, BATCH)
while #shown < limit and hidden < max_hidden do
  local members = members_after(cursor, step)
  if #members == 0 then
    break
  end
  for i, record in ipairs(redis.call('HMGET', messages, unpack(members))) do
    cursor = sequence_of(members[i])
    if is_shown(unpack_record(record)) then
      shown[#shown + 1] = {member = members[i], record = record}
      marker = cursor
    else
      hidden = hidden + 1
    end
    if hidden == max_hidden then
      marker = cursor
    end
    if #shown == limit or hidden == max_hidden then
      break
    end
  end
  step = READ_MORE
end
return {marker, pack_messages(shown)}
