-- Shared by the scripts after which a shift waits for work; not a script of its own. Needs keys.lua.

-- Say that a shift waits under a claim's id, from now on: whoever brings work may hand it over (handing.lua).
local function wait_as(claim, now)
  redis.set_repl(redis.REPL_NONE)
  redis.call('ZADD', WAITING, now, claim)
  redis.set_repl(redis.REPL_ALL)
end
