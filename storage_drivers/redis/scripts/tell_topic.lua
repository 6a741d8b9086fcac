-- Lets those who watch a topic know that there is something to look at.
-- keys: channel
-- uses: tell
-- args:
-- returns: nothing of interest

tell(channel)
return 0
