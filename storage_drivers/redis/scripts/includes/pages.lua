-- Pages: 64 neighbouring sequences and the state of each, one letter. A page has a name of six
-- bytes in the hash `messages` and there its value: the earliest expiry in it (six bytes, ms),
-- then the letters up to the last message posted. All indexes are of pages, not of messages.
-- PERF: so a message costs one entry in one hash, and a batch one change of each index.
-- NOTE: times in indexes may be too early, never too late: who finds a page by its time looks
-- at the records, which are the truth, and then notes the right time.
-- keys: messages ready order waiting expires leased

local PAGE = 64
local READY, LEASED, DELAYED, GONE = 'R', 'L', 'D', '.'

local pages, touched, written, leased_more = {}, {}, {}, 0

local function page_named(name)
  local page = pages[name]
  if not page then
    local stored = redis.call('HGET', messages, name)
    page = {name = name, states = ''}
    if stored then
      page.expires_ms, page.states = struct.unpack('>I6', stored), string.sub(stored, 7)
    end
    page.stored, page.stored_ms = stored and page.states, page.expires_ms
    pages[name] = page
    touched[#touched + 1] = page
  end
  return page
end

-- Finds the page and the place in it of messages that have a member.
local function locate(found)
  for i = 1, #found do
    local m = found[i]
    local sequence = sequence_of(m.member)
    m.page = page_named(struct.pack('>I6', math.floor(sequence / PAGE)))
    m.slot = sequence % PAGE + 1
  end
end

local function set_state(page, slot, state)
  local states = page.states
  local before = string.sub(states, slot, slot)
  if before == state then
    return
  end
  if before == LEASED then
    leased_more = leased_more - 1
  elseif state == LEASED then
    leased_more = leased_more + 1
  end
  page.states = string.sub(states, 1, slot - 1) .. string.rep(GONE, slot - 1 - #states)
    .. state .. string.sub(states, slot + 1)
end

local function write(member, record)
  written[#written + 1] = member
  written[#written + 1] = record
end

local function set_index(index, page, was_in, is_in, score)
  if is_in and not was_in then
    redis.call('ZADD', index, score or struct.unpack('>I6', page.name), page.name)
  elseif was_in and not is_in then
    redis.call('ZREM', index, page.name)
  end
end

local function save_page(page)
  local is_ready = string.find(page.states, READY, 1, true)
  local was_ready = page.stored and string.find(page.stored, READY, 1, true)
  -- NOTE: the last page stays when it is empty, or a queue that is never long would make and
  -- drop a page for each message; it goes when its earliest expiry has come.
  local is_kept = is_ready or string.find(page.states, '[LD]')
    or (#page.states < PAGE and page.expires_ms)
  set_index(ready, page, was_ready, is_ready)
  set_index(order, page, page.stored, is_kept)
  if is_kept then
    write(page.name, struct.pack('>I6', page.expires_ms) .. page.states)
    set_index(expires, page, page.expires_ms == page.stored_ms, true, page.expires_ms)
  elseif page.stored then
    redis.call('HDEL', messages, page.name)
    redis.call('ZREM', expires, page.name)
    redis.call('ZREM', waiting, page.name)
  end
  page.stored, page.stored_ms = is_kept and page.states, page.expires_ms
end

-- Stores what was written and what became of the pages.
local function save()
  for i = 1, #touched do
    local page = touched[i]
    if page.states ~= page.stored or page.expires_ms ~= page.stored_ms then
      save_page(page)
    end
  end
  call_with('HSET', messages, written)
  written = {}
  if leased_more ~= 0 then
    redis.call('INCRBY', leased, leased_more)
    leased_more = 0
  end
end

-- Removes messages whose page is known. The caller saves.
local function remove(gone)
  local members = {}
  for i = 1, #gone do
    members[i] = gone[i].member
    set_state(gone[i].page, gone[i].slot, GONE)
  end
  call_with('HDEL', messages, members)
end

-- A full Redis refuses a first write that takes memory, but lets a script end that has
-- written. This writes nothing, so that consumers can go on until there is room again.
local function go_on_when_full()
  redis.call('ZREM', ready, '')
end

-- Notes that a page has a message whose lease or delay ends then, or later.
local function wait_until(ends_ms, page)
  redis.call('ZADD', waiting, 'LT', ends_ms, page.name)
end
