-- Take a replay over, if it is to go on and nobody carries it.
--
-- KEYS   1: run
-- ARGV   1: who   2: for how long, ms
-- Return 1 taken, or held already; 0 somebody else carries it, or it is not running
--@include due.lua
local fields = redis.call('HMGET', KEYS[1], 'state', 'holder', 'until')
if fields[1] ~= 'running' then return 0 end
if fields[2] and fields[2] ~= ARGV[1] and tonumber(fields[3] or '0') > now_ms() then return 0 end
redis.call('HSET', KEYS[1], 'holder', ARGV[1], 'until', now_ms() + tonumber(ARGV[2]))
return 1
