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

local function is_shown(record)
  local expires_ms, visible_ms, _, _, claim_bytes = struct.unpack(HEADER, record)
  if expires_ms <= now_ms then
    return false
  end
  if client ~= '' then
    -- Behind the claim, media and posted_ms; see codec.py.
    local at = HEADER_BYTES + 10 + (claim_bytes > 0 and claim_bytes + 8 or 0)
    if string.sub(record, at, at + 15) == client then
      return false
    end
  end
  if visible_ms <= now_ms then
    return true
  end
  if claim_bytes > 0 then
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
local answer, shown, hidden, marker, step = {0}, 0, 0, nil, math.min(limit, BATCH)
while shown < limit and hidden < max_hidden do
  local found = next_messages(step)
  if #found == 0 then
    break
  end
  for i, record in ipairs(read(found)) do
    if is_shown(record) then
      shown = shown + 1
      answer[2 * shown], answer[2 * shown + 1] = found[i], record
      marker = found[i]
    else
      hidden = hidden + 1
    end
    if hidden == max_hidden then
      marker = found[i]
    end
    if shown == limit or hidden == max_hidden then
      break
    end
  end
  step = READ_MORE
end
answer[1] = marker and struct.unpack('>I7', marker) or 0
return answer
