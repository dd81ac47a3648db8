-- Hold all calls to an order API for a while: it said that there were too many.
--
-- KEYS   1: pace
-- ARGV   1: for how long, us
-- Return 1
local time = redis.call('TIME')
local until_us = tonumber(time[1]) * 1000000 + tonumber(time[2]) + tonumber(ARGV[1])
if until_us > tonumber(redis.call('HGET', KEYS[1], 'h') or '0') then
  redis.call('HSET', KEYS[1], 'h', string.format('%.0f', until_us))
end
redis.call('PEXPIRE', KEYS[1], 120000)
return 1
