-- Keep a dead letter; the same one again raises its count, and its latest fate replaces the one before.
--
-- KEYS   1: letter
-- ARGV   1: time of receipt, us   2: last seen, us   3: how many of the following are its fate (the first ones)
--        then field, value ... of its fate, then those that stay as they were first
-- Steps  a delivery that is known (the same one by two ways, an event parked again) is not counted again;
--        `attempts` never falls.
-- Return { how often it was seen, time of receipt, last seen, reason before, detail before, reference before ("" none) }
local received, seen, fate = ARGV[1], ARGV[2], tonumber(ARGV[3])
local old = redis.call('HMGET', KEYS[1], 'receivedAt', 'lastSeenAt', 'reason', 'detail', 'orderReferenceId', 'attempts')
if not old[1] then
  for n = 4, #ARGV, 2 do redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1]) end
  redis.call('HSET', KEYS[1], 'receivedAt', received, 'lastSeenAt', seen, 'count', 1)
  return { 1, received, seen, '', '', '' }
end
redis.call('HDEL', KEYS[1], 'traceback')
for n = 4, 3 + fate, 2 do
  if ARGV[n] ~= 'attempts' or tonumber(ARGV[n + 1]) > tonumber(old[6] or '0') then
    redis.call('HSET', KEYS[1], ARGV[n], ARGV[n + 1])
  end
end
if received ~= old[1] and received ~= old[2] then redis.call('HINCRBY', KEYS[1], 'count', 1) end
local last = old[2] or old[1]
if tonumber(seen) > tonumber(last) then
  last = seen
  redis.call('HSET', KEYS[1], 'lastSeenAt', seen)
end
return { tonumber(redis.call('HGET', KEYS[1], 'count') or '1'), old[1], last, old[3] or '', old[4] or '', old[5] or '' }
