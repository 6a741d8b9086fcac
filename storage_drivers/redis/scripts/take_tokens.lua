-- Takes up to `tokens` from a bucket that time fills. O(1). The bucket is its level, fractions
-- included, and the latest time that was counted, as two doubles.
-- keys: bucket
-- args: now_ms:number tokens:number per_s:number burst:number
-- returns: how many were taken

-- So near to a whole token counts as one: ten times a tenth is a little less.
local NEARLY = 1e-6
local NEVER_MS = 2 ^ 53

local level, latest_ms = burst, now_ms
local stored = redis.call('GET', bucket)
if stored then
  level, latest_ms = struct.unpack('>dd', stored)
end
local passed_ms = math.max(0, now_ms - latest_ms)
level = math.min(burst, level + passed_ms * per_s / 1000)
local taken = math.min(tokens, math.floor(level + NEARLY))
level, latest_ms = level - taken, latest_ms + passed_ms

-- NOTE: a bucket that is full is as good as none; the store forgets it an hour later, when no clock
-- may be behind the one that filled it.
local filling_ms = level < burst and math.ceil((burst - level) * 1000 / per_s) or 0
local forgotten_ms = math.min(latest_ms + filling_ms + 3600000, NEVER_MS)
-- Lets the script go on when the server is full: consumers with a rate must be able to drain it.
redis.call('PERSIST', bucket)
redis.call('SET', bucket, struct.pack('>dd', level, latest_ms),
  'PXAT', string.format('%.0f', forgotten_ms))
return taken
