-- Returns the messages under a live lease of the claim.
-- keys: messages claim
-- uses: record claimed answers
-- args: now_ms:number claim_id:text
-- returns: member, record, ...

return answer_with({}, claimed(claim, claim_id, now_ms))
