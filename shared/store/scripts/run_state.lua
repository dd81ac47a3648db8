-- Put a replay from one state into another.
--
-- KEYS   1: run
-- ARGV   1: the state it must be in   2: its new state   3: when, us
-- Return 1 done, 0 it was in another state, or is unknown
if redis.call('HGET', KEYS[1], 'state') ~= ARGV[1] then return 0 end
redis.call('HSET', KEYS[1], 'state', ARGV[2], 'changedAt', ARGV[3])
return 1
