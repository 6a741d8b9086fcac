-- Lists records by entry. O(page + log n), and each call clears away a bounded number of those that
-- have expired.
-- keys: records record_names record_dues record_ends
-- uses: lists records
-- args: now_ms:number above:text below:text limit:number
--   above, below: as in ZRANGEBYLEX
-- returns: entry, record, ... | AGAIN

if drop_ended(now_ms, BATCH) == BATCH then
  return AGAIN
end
local answer = {}
local entries = redis.call('ZRANGEBYLEX', record_names, above, below, 'LIMIT', 0, limit)
for i, entry in ipairs(entries) do
  answer[2 * i - 1], answer[2 * i] = entry, redis.call('HGET', records, entry)
end
return answer
