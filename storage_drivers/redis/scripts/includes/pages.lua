-- Reads pages, changes the states of messages in them and stores what changed.
-- keys: messages ready order waiting expires leased

local pages, touched, written, leased_more, gone_bytes = {}, {}, {}, 0, 0

local function page_named(name)
  local page = pages[name]
  if not page then
    local stored = redis.call('HGET', messages, name)
    local expires_ms, states = struct.unpack('>I6', stored), string.sub(stored, 7)
    page = {
      name = name, states = states, stored = states,
      expires_ms = expires_ms, stored_ms = expires_ms,
    }
    pages[name] = page
    touched[#touched + 1] = page
  end
  return page
end

-- Finds the page and the place in it of messages.
local function locate(found)
  local number, page
  for i = 1, #found do
    local m = found[i]
    local sequence = struct.unpack('>I7', m.member)
    local slot = sequence % PAGE
    -- PERF: neighbours are in the same page.
    if sequence - slot ~= number then
      number = sequence - slot
      page = page_named(struct.pack('>I6', number / PAGE))
    end
    m.page, m.slot = page, slot + 1
  end
end

-- Gives the slots from `first` to `last` of a page, no more than were posted, a state.
local function set_slots(page, first, last, state)
  local before = string.sub(page.states, first, last)
  local after = string.rep(state, last - first + 1)
  if before == after then
    return
  end
  local _, were_leased = string.gsub(before, LEASED, '')
  leased_more = leased_more - were_leased + (state == LEASED and #after or 0)
  page.states = string.sub(page.states, 1, first - 1) .. after
    .. string.sub(page.states, last + 1)
end

-- Gives messages whose page is known a state. PERF: neighbours together.
local function set_states(found, state)
  local from = 1
  while from <= #found do
    local page, first, to = found[from].page, found[from].slot, from
    while to < #found and found[to + 1].page == page
      and found[to + 1].slot == first + to + 1 - from do
      to = to + 1
    end
    set_slots(page, first, first + to - from, state)
    from = to + 1
  end
end

local function write(member, record)
  written[#written + 1] = member
  written[#written + 1] = record
end

local function number_of(page)
  return (struct.unpack('>I6', page.name))
end

local function save_page(page)
  local is_ready = string.find(page.states, READY, 1, true)
  local was_ready = string.find(page.stored, READY, 1, true)
  -- NOTE: the last page stays when it is empty, or a queue that is never long would make and
  -- drop a page for each message; it goes when its earliest expiry has come.
  local is_kept = is_ready or string.find(page.states, '[LD]')
    or (#page.states < PAGE and page.expires_ms)
  if was_ready and not is_ready then
    redis.call('ZREM', ready, page.name)
  elseif is_ready and not was_ready then
    redis.call('ZADD', ready, number_of(page), page.name)
  end
  if is_kept then
    write(page.name, struct.pack('>I6', page.expires_ms) .. page.states)
    if page.expires_ms ~= page.stored_ms then
      redis.call('ZADD', expires, page.expires_ms, page.name)
    end
  else
    redis.call('HDEL', messages, page.name)
    for _, index in ipairs({order, expires, waiting}) do
      redis.call('ZREM', index, page.name)
    end
  end
  page.stored, page.stored_ms = page.states, page.expires_ms
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
  if gone_bytes ~= 0 then
    redis.call('HINCRBY', messages, 'bytes', -gone_bytes)
    gone_bytes = 0
  end
end

-- Removes messages whose page is known. The caller saves.
local function remove(gone)
  local members = {}
  for i = 1, #gone do
    members[i] = gone[i].member
    gone_bytes = gone_bytes + body_bytes_of(gone[i])
  end
  set_states(gone, GONE)
  call_with('HDEL', messages, members)
end

-- A full Redis refuses a first write that takes memory, but lets a script end that has
-- written. This writes nothing, so that consumers can go on until there is room again.
local function go_on_when_full()
  redis.call('ZREM', ready, '')
end
