-- What the slot of a scope knows of the lists that the scope is on: see visits.py.
-- keys: notice

-- How often the scope was visited; the times at or before which the next visits for due and for
-- expiring records will be; when a writer last put it on the lists. NOTE: kept for a day, so none
-- who read it as it was before is still about to write when the count begins anew.
local NOTICE = '>I8I8I8I8'

-- NOTE: not for longer, as a failover may have lost the list, which is on another node.
local TRUSTED_MS = 10000

local function read_notice(now_ms)
  local stored = redis.call('GET', notice)
  if not stored then
    return 0, NEVER_MS, NEVER_MS
  end
  local visits, due_ms, ends_ms, since_ms = struct.unpack(NOTICE, stored)
  if now_ms - since_ms > TRUSTED_MS then
    return visits, NEVER_MS, NEVER_MS
  end
  return visits, due_ms, ends_ms
end

local function write_notice(visits, due_ms, ends_ms, since_ms)
  redis.call('SET', notice, struct.pack(NOTICE, visits, due_ms, ends_ms, since_ms), 'PX', 86400000)
end

-- Says whether a record with these times may be written: returns nothing if it may. Otherwise the
-- scope has to be announced on the lists first; then the write is allowed with `announced` as what
-- is returned here, unless a visit came between, which may have taken the scope off again.
local function unlisted(announced, due_ms, ends_ms, now_ms)
  local visits, listed_due_ms, listed_ends_ms = read_notice(now_ms)
  if due_ms >= listed_due_ms and ends_ms >= listed_ends_ms then
    return nil
  end
  local state = string.format('%.0f', visits)
  if announced ~= state then
    return state
  end
  write_notice(visits, math.min(due_ms, listed_due_ms), math.min(ends_ms, listed_ends_ms), now_ms)
end

-- From now on nobody may rely on the scope being on a list.
local function begin_visit(now_ms)
  write_notice(read_notice(now_ms) + 1, NEVER_MS, NEVER_MS, 0)
end
