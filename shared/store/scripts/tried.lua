-- Note that a dead letter was tried again, and of what it was found guilty, if it is still there.
--
-- KEYS   1: letter
-- ARGV   1: reason and 2: detail ("" as they are)
-- Return how often it was tried; 0 it is gone
if redis.call('HEXISTS', KEYS[1], 'receivedAt') == 0 then return 0 end
if ARGV[1] ~= '' then redis.call('HSET', KEYS[1], 'reason', ARGV[1], 'detail', ARGV[2]) end
return redis.call('HINCRBY', KEYS[1], 'attempts', 1)
