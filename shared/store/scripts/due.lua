-- Shared by the scripts that mark orders as due; not a script of its own.

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

-- Mark one order. A lease that somebody holds stays; the release sees that the mark has changed. True if it was not due.
local function mark(due, marks, name)
  redis.call('HINCRBY', marks, name, 1)
  return redis.call('ZADD', due, 'NX', now_ms(), name) == 1
end

-- Wake one idle shift. One token is enough: a shift that finds more than it can carry wakes the next.
local function wake(key)
  if redis.call('LLEN', key) == 0 then redis.call('LPUSH', key, '1') end
end
