-- Makes the messages under the live claim ready. O(messages of it + log n).
-- keys: messages ready order waiting expires leased claim
-- uses: lists letters record rewrite pages claimed tell
-- args: now_ms:number claim_id:text
-- returns: how many messages were released

local held = claimed(claim, claim_id, now_ms)
-- Frees memory, so it comes first: see `go_on_when_full`.
redis.call('UNLINK', claim)
locate(held)
for _, m in ipairs(held) do
  write(m.member, rewritten(m, 0, 0, ''))
end
set_states(held, READY)
save()
if #held > 0 then
  tell(messages)
end
return #held
