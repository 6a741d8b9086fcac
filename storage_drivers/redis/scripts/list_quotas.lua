-- Lists projects that have limits, and the limits. O(page + log n).
-- keys: limited limits
-- args: above:text limit:number
--   above: as in ZRANGEBYLEX
-- returns: project, document, ...

local answer = {}
for i, project in ipairs(redis.call('ZRANGEBYLEX', limited, above, '+', 'LIMIT', 0, limit)) do
  answer[2 * i - 1], answer[2 * i] = project, redis.call('HGET', limits, project)
end
return answer
