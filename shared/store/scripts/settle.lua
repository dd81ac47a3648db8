-- Note that replayed events of orders were dealt with, unless more were replayed meanwhile.
--
-- KEYS   per order: meta
-- ARGV   per order: the note as it was read, what is left of it ("" nothing)
-- Return per order: 1 noted, 0 more were replayed
local results = {}
for n = 1, #KEYS do
  local left = ARGV[2 * n]
  if redis.call('HGET', KEYS[n], 'd') ~= ARGV[2 * n - 1] then results[n] = 0
  else
    if left == '' then redis.call('HDEL', KEYS[n], 'd') else redis.call('HSET', KEYS[n], 'd', left) end
    results[n] = 1
  end
end
return results
