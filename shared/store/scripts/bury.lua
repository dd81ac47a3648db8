-- Keep a dead letter; the same one again raises its count.
--
-- KEYS   1: letter
-- ARGV   1: now, us   then field, value ... of a new letter
-- Return how often it was seen
if redis.call('EXISTS', KEYS[1]) == 1 then
  redis.call('HSET', KEYS[1], 'lastSeenAt', ARGV[1])
  return redis.call('HINCRBY', KEYS[1], 'count', 1)
end
for n = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
redis.call('HSET', KEYS[1], 'count', 1, 'lastSeenAt', ARGV[1])
return 1
