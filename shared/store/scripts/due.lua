-- Shared by the scripts that mark orders as due; not a script of its own.

local function now_us()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000000 + tonumber(time[2])
end

local function now_ms()
  return math.floor(now_us() / 1000)
end

-- Mark one order. Where somebody holds a lease the order stays as it is, and the mark is counted: the release sees that it has
-- changed. Without one whoever claims the order next sees whatever came before. An order that waits for the retry of one of
-- its events is due at once: its other events do not wait. True if there is new work for somebody.
local function mark(due, marks, leases, name, now)
  if redis.call('HEXISTS', leases, name) == 1 then
    redis.call('HINCRBY', marks, name, 1)
    return redis.call('ZADD', due, 'NX', now, name) == 1
  end
  return redis.call('ZADD', due, 'LT', 'CH', now, name) == 1
end

-- Wake one idle shift. One token is enough: a shift that finds more than it can carry wakes the next.
local function wake(key)
  if redis.call('LLEN', key) == 0 then redis.call('LPUSH', key, '1') end
end
