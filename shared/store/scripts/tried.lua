-- Note that a dead letter was tried again, and of what it was found guilty, if it is still there.
--
-- KEYS   1: letter
-- ARGV   1: reason   2: detail   3: by how much the number of its tries grows
-- Return how often it was tried; 0 it is gone
if redis.call('HEXISTS', KEYS[1], 'receivedAt') == 0 then return 0 end
redis.call('HSET', KEYS[1], 'reason', ARGV[1], 'detail', ARGV[2])
return redis.call('HINCRBY', KEYS[1], 'attempts', ARGV[3])
