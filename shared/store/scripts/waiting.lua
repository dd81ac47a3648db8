-- Shared by the scripts that know which shifts wait for work; not a script of its own. Needs keys.lua.

-- Carry out a command that is neither replicated nor written to disk: waiting ends with the server. Whatever comes of it, what follows
-- is replicated again.
local function here_alone(...)
  redis.set_repl(redis.REPL_NONE)
  local result = redis.pcall(...)
  redis.set_repl(redis.REPL_ALL)
  if type(result) == 'table' and result.err then error(result.err, 0) end
  return result
end

-- Say that a shift waits under a claim's id, from now on: whoever brings work may hand it over (handing.lua).
local function wait_as(claim, now)
  here_alone('ZADD', WAITING, now, claim)
end
