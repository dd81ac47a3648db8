-- Note that ids no longer lead to orders.
--
-- KEYS   per id: bucket
-- ARGV   per id: its digest, order's name
-- Return per id: 1 taken out, 0 it was not there
local results = {}
for n = 1, #KEYS do
  local digest, name = ARGV[n * 2 - 1], ARGV[n * 2]
  local left = {}
  results[n] = 0
  for each in string.gmatch(redis.call('HGET', KEYS[n], digest) or '', '%S+') do
    if each == name then results[n] = 1 else left[#left + 1] = each end
  end
  if results[n] == 1 then
    if #left == 0 then redis.call('HDEL', KEYS[n], digest)
    else redis.call('HSET', KEYS[n], digest, table.concat(left, ' ')) end
  end
end
return results
