-- Lets those who watch something know that there is something to look at: see wakeups.py.
-- keys:
-- PERF: 0.2 us when nobody listens, where a post of one message takes 11; to ask first whether
-- anybody does would cost the same.

-- Servers before Redis 7 tell no version here, and have no channels that belong to a slot.
local PUBLISH = redis.REDIS_VERSION_NUM and 'SPUBLISH' or 'PUBLISH'

-- NOTE: what was changed stands, so a user who may not publish must not fail.
local function tell(channel)
  redis.pcall(PUBLISH, channel, '')
end
