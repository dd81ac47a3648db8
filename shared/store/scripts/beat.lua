-- Say that a shift is alive, and forget those that have not said so for long.
--
-- KEYS   1: shifts
-- ARGV   1: the shift's id ("" to only look)   2: how long this holds, ms (0: the shift ends)
-- Return the number of live shifts
--@include due.lua
local now = now_ms()
if ARGV[1] ~= '' then
  if ARGV[2] == '0' then redis.call('ZREM', KEYS[1], ARGV[1])
  else redis.call('ZADD', KEYS[1], now + tonumber(ARGV[2]), ARGV[1]) end
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now)
end
return redis.call('ZCOUNT', KEYS[1], '(' .. now, '+inf')
