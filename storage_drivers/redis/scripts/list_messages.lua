-- Lists messages by sequence, from behind a marker. O(page + hidden + log n).
-- keys: messages ready order waiting expires leased
-- uses: lists letters record pages walk due
-- args: now_ms:number after_seq:number limit:number include_claimed:number include_delayed:number client:text max_hidden:number
-- returns: the marker to continue from (0: none), then member, record, ... | AGAIN

-- NOTE: before anything is listed, or a pager would pass by a message that is ready by now.
local _, is_all = promote(now_ms, BATCH)
if not is_all then
  return AGAIN
end

local function is_shown(m)
  if m.expires_ms <= now_ms then
    return false
  end
  if client ~= '' then
    -- Behind media and posted_ms; see codec.py.
    local at = tail_at(m) + 9
    if string.sub(m.record, at, at + 15) == client then
      return false
    end
  end
  if m.visible_ms <= now_ms then
    return true
  end
  if m.claim_bytes > 0 then
    return include_claimed == 1
  end
  return include_delayed == 1
end

local next_messages
if include_claimed == 1 or include_delayed == 1 then
  next_messages = walk(order, '[RLD]', after_seq)
else
  next_messages = walk(ready, READY, after_seq)
end
local shown, hidden, marker, step = {}, 0, nil, math.min(limit, BATCH)
while #shown < limit and hidden < max_hidden do
  local found = next_messages(step)
  if #found == 0 then
    break
  end
  read(found)
  for i = 1, #found do
    local m = found[i]
    if is_shown(m) then
      shown[#shown + 1] = m
      marker = m.member
    else
      hidden = hidden + 1
      if hidden == max_hidden then
        marker = m.member
      end
    end
    if #shown == limit or hidden == max_hidden then
      break
    end
  end
  step = READ_MORE
end
return answer_with({marker and sequence_of(marker) or 0}, shown)
