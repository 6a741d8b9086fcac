-- Records of one scope. An entry is the kind of a record, a colon and its key.
-- keys: records record_names record_dues record_ends

-- version, due_ms, expires_ms; the document follows. records.py writes and reads the same form.
local RECORD = '>I8I8I8'
local NEVER_MS = 9007199254740991

-- Returns the version and the stored bytes of a record; nothing if it does not exist.
local function find(entry, now_ms)
  local stored = redis.call('HGET', records, entry)
  if stored then
    local version, _, expires_ms = struct.unpack(RECORD, stored)
    if expires_ms > now_ms then
      return version, stored
    end
  end
end

local function note_time(index, entry, at_ms)
  if at_ms < NEVER_MS then
    redis.call('ZADD', index, at_ms, entry)
  else
    redis.call('ZREM', index, entry)
  end
end

local function store(entry, version, due_ms, expires_ms, document)
  redis.call('HSET', records, entry, struct.pack(RECORD, version, due_ms, expires_ms) .. document)
  redis.call('ZADD', record_names, 0, entry)
  note_time(record_dues, entry, due_ms)
  note_time(record_ends, entry, expires_ms)
end

local function drop(entries)
  call_with('HDEL', records, entries)
  for _, index in ipairs({record_names, record_dues, record_ends}) do
    call_with('ZREM', index, entries)
  end
end

-- Removes up to `limit` records that have expired. Returns how many.
local function drop_ended(now_ms, limit)
  local entries = redis.call('ZRANGEBYSCORE', record_ends, '-inf', now_ms, 'LIMIT', 0, limit)
  drop(entries)
  return #entries
end

-- The first time in an index; nothing if it is empty.
local function first_time(index)
  return redis.call('ZRANGE', index, 0, 0, 'WITHSCORES')[2]
end

-- Lets a script go on when the server is full: what is under way must come to an end.
local function go_on_when_full()
  redis.call('ZREM', record_dues, '')
end
