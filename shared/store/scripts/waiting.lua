-- Shared by the scripts after which a shift waits for work; not a script of its own.

-- Say that a shift waits under a claim's id, from now on: whoever brings work may hand it over (handing.lua).
local function wait_as(waiting, claim, now)
  redis.set_repl(redis.REPL_NONE)
  redis.call('ZREMRANGEBYSCORE', waiting, '-inf', now - 60000) -- shifts that have died
  redis.call('ZADD', waiting, now, claim)
  redis.set_repl(redis.REPL_ALL)
end
