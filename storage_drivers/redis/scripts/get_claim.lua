-- Returns the messages under a live lease of the claim, in the order of their sequences.
-- keys: messages claim
-- uses: record claimed answers
-- args: now_ms:number claim_id:text
-- returns: packed messages

return pack_messages(claimed(claim, claim_id, now_ms))
