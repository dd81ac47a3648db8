-- Shared by the scripts that give up leases; not a script of its own. Needs due.lua.

-- Give up the lease of one order: KEYS[first] and the next two are its shard's due, marks, leases. `marked` is the mark it was
-- claimed with; `delay` when it shall be due again, ms from now ("" not at all; "h" before it: and not sooner, whatever comes).
-- Returns 0 somebody else holds it now, 1 done, no longer due, 2 due again later, 3 due again at once.
local function release_order(first, name, marked, claim, delay)
  local due, marks, leases = KEYS[first], KEYS[first + 1], KEYS[first + 2]
  if redis.call('HGET', leases, name) ~= claim then return 0 end
  if string.sub(delay, 1, 1) == 'h' then
    redis.call('HSET', leases, name, 'held')
    redis.call('ZADD', due, now_ms() + tonumber(string.sub(delay, 2)), name)
    return 2
  end
  redis.call('HDEL', leases, name)
  local found = redis.call('HGET', marks, name)
  if (found or '0') ~= marked then
    redis.call('ZADD', due, now_ms(), name)
    return 3
  elseif delay ~= '' then
    redis.call('ZADD', due, now_ms() + tonumber(delay), name)
    return delay == '0' and 3 or 2
  end
  redis.call('ZREM', due, name)
  if found then redis.call('HDEL', marks, name) end
  return 1
end
