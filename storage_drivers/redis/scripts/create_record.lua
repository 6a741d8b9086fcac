-- Stores a record unless there is one of that kind and key. O(log n).
-- keys: records record_names record_dues record_ends notice
-- uses: lists records notice
-- args: now_ms:number entry:text version:number due_ms:number expires_ms:number document:text announced:text
-- returns: 1 stored | 0 there is one | the state of the scope, which has to be announced

if find(entry, now_ms) then
  return 0
end
local state = unlisted(announced, due_ms, expires_ms, now_ms)
if state then
  return state
end
store(entry, version, due_ms, expires_ms, document)
return 1
