-- Gives a record that is still at the expected version other contents and the next version.
-- O(log n). Works when the server is full.
-- keys: records record_names record_dues record_ends notice
-- uses: lists records notice
-- args: now_ms:number entry:text version:number due_ms:number expires_ms:number document:text announced:text
-- returns: 1 replaced | 0 it is gone or changed | the state of the scope, which has to be announced

if find(entry, now_ms) ~= version then
  return 0
end
go_on_when_full()
local state = unlisted(announced, due_ms, expires_ms, now_ms)
if state then
  return state
end
store(entry, version + 1, due_ms, expires_ms, document)
return 1
