-- Notices what became due: leases and delays that ended, messages that expired. O(noticed).
-- keys: messages ready order waiting expires leased

-- How many pages one call looks at.
local PAGES = 8

-- Returns the messages of a page whose state matches the pattern.
local function in_page(page, pattern)
  local members, found, slot = {}, {}, string.find(page.states, pattern)
  local first = number_of(page) * PAGE - 1
  while slot do
    members[#members + 1] = struct.pack('>I7', first + slot)
    slot = string.find(page.states, pattern, slot + 1)
  end
  for i, record in ipairs(read(members)) do
    found[i] = message_of(members[i], record)
  end
  locate(found)
  return found
end

local function promote_in(page, now_ms, limit)
  local promoted, next_ms = {}, nil
  for _, m in ipairs(in_page(page, '[LD]')) do
    local visible_ms = struct.unpack('>I8', m.record, 9)
    if visible_ms <= now_ms and #promoted < limit then
      promoted[#promoted + 1] = m
    else
      next_ms = math.min(next_ms or visible_ms, visible_ms)
    end
  end
  set_states(promoted, READY)
  if next_ms then
    redis.call('ZADD', waiting, next_ms, page.name)
  else
    redis.call('ZREM', waiting, page.name)
  end
  return #promoted
end

local function drop_in(page, now_ms, limit)
  local gone, next_ms = {}, nil
  for _, m in ipairs(in_page(page, '[RLD]')) do
    if m.expires_ms <= now_ms and #gone < limit then
      gone[#gone + 1] = m
    else
      next_ms = math.min(next_ms or m.expires_ms, m.expires_ms)
    end
  end
  remove(gone)
  page.expires_ms = next_ms
  return #gone
end

local function all_due(index, now_ms, limit, deal)
  local names = redis.call('ZRANGEBYSCORE', index, '-inf', now_ms, 'LIMIT', 0, PAGES)
  local dealt = 0
  if #names > 0 then
    go_on_when_full()
    for i = 1, #names do
      dealt = dealt + deal(page_named(names[i]), now_ms, limit - dealt)
    end
    save()
  end
  return dealt, #names < PAGES and dealt < limit
end

-- Makes messages ready whose lease or delay has ended, `limit` at the most. Returns how many,
-- and whether that was all.
local function promote(now_ms, limit)
  return all_due(waiting, now_ms, limit, promote_in)
end

-- Removes expired messages, `limit` at the most. Returns how many, and whether that was all.
local function drop_expired(now_ms, limit)
  return all_due(expires, now_ms, limit, drop_in)
end
