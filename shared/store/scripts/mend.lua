-- Make a tenant's indexes say of orders what their documents say, unless they have changed since they were looked at.
--
-- KEYS   1: index   2: idle   3-6: open, attention, incomplete, disagrees   then: the sets of all statuses
-- ARGV   per order: escaped reference, its time in the index as it was looked at (ms, "" not there), its flags (bits),
--          receipt of its last event (ms; an entry that is there keeps its own), the key of its status
-- Return how many entries were mended
--@include due.lua
--@include indexed.lua
local mended = 0
for n = 1, #ARGV, 5 do
  local name, looked, has, status = ARGV[n], ARGV[n + 1], bits(ARGV[n + 2]), tonumber(ARGV[n + 4])
  local time = redis.call('ZSCORE', KEYS[1], name)
  if tonumber(time or '') == tonumber(looked) then
    if not time then
      time = now_ms()
      mended = mended + redis.call('ZADD', KEYS[1], time, name)
    end
    for key = 2, #KEYS do
      local wanted
      if key == 2 then wanted = has[1]
      elseif key <= 6 then wanted = has[key - 2]
      else wanted = key == status end
      if not wanted then mended = mended + redis.call('ZREM', KEYS[key], name)
      elseif key == 2 then mended = mended + redis.call('ZADD', KEYS[2], 'NX', ARGV[n + 3], name)
      else mended = mended + redis.call('ZADD', KEYS[key], 'CH', time, name) end
    end
  end
end
return mended
