-- Keep a dead letter; the same one again raises its count.
--
-- KEYS   1: letter
-- ARGV   1: now, us   then field, value ... of a new letter
-- Return how often it was seen
local last = redis.call('HGET', KEYS[1], 'lastSeenAt')
if last == ARGV[1] then return tonumber(redis.call('HGET', KEYS[1], 'count')) end -- the same delivery, by two ways
if last then
  if tonumber(ARGV[1]) > tonumber(last) then redis.call('HSET', KEYS[1], 'lastSeenAt', ARGV[1]) end
  return redis.call('HINCRBY', KEYS[1], 'count', 1)
end
for n = 2, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
redis.call('HSET', KEYS[1], 'count', 1, 'lastSeenAt', ARGV[1])
return 1
