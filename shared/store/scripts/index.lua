-- Note in a tenant's indexes what has become of orders, by the time at which this is told (never earlier than it was).
--
-- KEYS   1: index   2: idle   3-6: open, attention, incomplete, disagrees   then: the sets of some statuses
-- ARGV   per order: escaped reference, its flags (bits, in the order of the keys 3-6; "" unknown: only the index is told),
--          its flags before, receipt of its last event (ms), the key of its status, the key of its status before (0 none)
-- Return 1
--@include indexed.lua
local now = string.format('%.0f', now_ms()) -- a number would be written anew for each command
local call = redis.call
for n = 1, #ARGV, 6 do
  local name, flags = ARGV[n], ARGV[n + 1]
  call('ZADD', KEYS[1], 'GT', now, name)
  if flags ~= '' then
    local has, had = bits(flags), bits(ARGV[n + 2])
    for bit = 1, 4 do
      if has[bit] then call('ZADD', KEYS[2 + bit], 'GT', now, name)
      elseif had[bit] then call('ZREM', KEYS[2 + bit], name) end
    end
    if has[1] then call('ZADD', KEYS[2], ARGV[n + 3], name)
    elseif had[1] then call('ZREM', KEYS[2], name) end
    local status, previous = ARGV[n + 4], ARGV[n + 5]
    if previous ~= '0' and previous ~= status then call('ZREM', KEYS[tonumber(previous)], name) end
    call('ZADD', KEYS[tonumber(status)], 'GT', now, name)
  end
end
return 1
