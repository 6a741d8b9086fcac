-- Pages: 64 neighbouring sequences and the state of each, one letter. A page has a name of six
-- bytes in the hash `messages` and there its value: the earliest expiry in it (six bytes, ms),
-- then the letters up to the last message posted. All indexes are of pages, not of messages.
-- PERF: so a message costs one entry in one hash, and a batch one change of each index.
-- NOTE: times in indexes may be too early, never too late: who finds a page by its time looks
-- at the records, which are the truth, and then notes the right time.
-- keys:

local PAGE = 64
local READY, LEASED, DELAYED, GONE = 'R', 'L', 'D', '.'
