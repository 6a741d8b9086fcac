-- Calls with long lists of arguments, in chunks that fit the Lua stack.
-- keys:

-- How many messages one call promotes, drops or passes over at the most.
local BATCH = 1000

-- At most so many records are read at a time after the first read: bodies may be large.
local READ_MORE = 100

-- Even, so that a chunk never splits a (score, member) or (field, value) pair.
local CHUNK = 4000

local function call_with(command, key, items)
  for first = 1, #items, CHUNK do
    redis.call(command, key, unpack(items, first, math.min(first + CHUNK - 1, #items)))
  end
end
