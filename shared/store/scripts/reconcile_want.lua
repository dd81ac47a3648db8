-- Remember orders that somebody wants to be asked about.
--
-- KEYS   1: wanted
-- ARGV   1: the most orders that may wait   escaped references
-- Return how many wait now, or -1: they would be too many, and none was added
--@include due.lua
if redis.call('ZCARD', KEYS[1]) + #ARGV - 1 > tonumber(ARGV[1]) then return -1 end
for n = 2, #ARGV do redis.call('ZADD', KEYS[1], 'NX', now_ms(), ARGV[n]) end
return redis.call('ZCARD', KEYS[1])
