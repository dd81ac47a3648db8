-- Note in a tenant's indexes what has become of orders, by the time at which this is told (never earlier than it was).
--
-- KEYS   1: index   2: idle   3-6: open, attention, incomplete, disagrees   then: the sets of some statuses
-- ARGV   per order: escaped reference, its flags (bits, in the order of the keys 3-6; "" unknown: only the index is told),
--          its flags before, receipt of its last event (ms), the key of its status, the key of its status before (0 none)
-- Return 1
--@include indexed.lua
local now = now_ms()
for n = 1, #ARGV, 6 do
  local name, flags = ARGV[n], ARGV[n + 1]
  redis.call('ZADD', KEYS[1], 'GT', now, name)
  if flags ~= '' then
    local before, status, previous = ARGV[n + 2], tonumber(ARGV[n + 4]), tonumber(ARGV[n + 5])
    for bit = 0, 3 do
      if has(flags, bit) then redis.call('ZADD', KEYS[3 + bit], 'GT', now, name)
      elseif has(before, bit) then redis.call('ZREM', KEYS[3 + bit], name) end
    end
    if has(flags, 0) then redis.call('ZADD', KEYS[2], ARGV[n + 3], name)
    elseif has(before, 0) then redis.call('ZREM', KEYS[2], name) end
    if previous > 0 and previous ~= status then redis.call('ZREM', KEYS[previous], name) end
    redis.call('ZADD', KEYS[status], 'GT', now, name)
  end
end
return 1
