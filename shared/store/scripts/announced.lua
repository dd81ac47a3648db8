-- Note that a change was announced, unless a newer one waits.
--
-- KEYS   per order: meta
-- ARGV   per order: the change, as it was read
-- Return per order: 1 noted, 0 a newer one waits
local results = {}
for n = 1, #KEYS do
  if redis.call('HGET', KEYS[n], 'n') == ARGV[n] then
    redis.call('HDEL', KEYS[n], 'n')
    results[n] = 1
  else
    results[n] = 0
  end
end
return results
