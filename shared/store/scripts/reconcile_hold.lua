-- Take a tenant's reconciliation in hand, hold on to it, or give it up.
--
-- KEYS   1: lease
-- ARGV   1: who asks   2: for how long, ms (0: give it up)
-- Return {1 held by who asks or given up / 0 held by another, the server's time in ms}
--@include due.lua
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return {0, now_ms()} end
if ARGV[2] == '0' then redis.call('DEL', KEYS[1])
else redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2]) end
return {1, now_ms()}
