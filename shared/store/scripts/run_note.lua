-- Note how far a replay has come, if it is still carried by whom says so; this holds it for longer, too.
--
-- KEYS   1: run
-- ARGV   1: who   2: for how long it is held, ms   3: how many of the following are counts
--        then outcome, change of its count ...; then field, value ...
-- Return 1 noted, and it goes on; 0 noted, and it was stopped; -1 somebody else carries it, nothing was noted
--@include due.lua
local fields = redis.call('HMGET', KEYS[1], 'state', 'holder')
if fields[2] ~= ARGV[1] then return -1 end
local counts = tonumber(ARGV[3])
for n = 4, 3 + counts, 2 do redis.call('HINCRBY', KEYS[1], 'count:' .. ARGV[n], ARGV[n + 1]) end
for n = 4 + counts, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
redis.call('HSET', KEYS[1], 'until', now_ms() + tonumber(ARGV[2]))
if fields[1] == 'running' then return 1 else return 0 end
