-- Add to hashes of counts.
--
-- KEYS   per item: a hash
-- ARGV   per item: how long it is kept from now on, s (0: for good), how many fields, then per field: its name, the increment
-- Return per item: 1
local at, results = 1, {}
for n = 1, #KEYS do
  local kept, fields = tonumber(ARGV[at]), tonumber(ARGV[at + 1])
  at = at + 2
  for _ = 1, fields do
    redis.call('HINCRBY', KEYS[n], ARGV[at], ARGV[at + 1])
    at = at + 2
  end
  if kept > 0 then redis.call('EXPIRE', KEYS[n], kept) end
  results[n] = 1
end
return results
