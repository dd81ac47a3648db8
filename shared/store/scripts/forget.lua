-- Take orders that are gone out of an index, unless they have changed since they were looked at.
--
-- KEYS   1: index
-- ARGV   per order: escaped reference, its time in the index (ms)
-- Return how many were taken out
local gone = 0
for n = 1, #ARGV, 2 do
  if tonumber(redis.call('ZSCORE', KEYS[1], ARGV[n]) or '-1') == tonumber(ARGV[n + 1]) then
    gone = gone + redis.call('ZREM', KEYS[1], ARGV[n])
  end
end
return gone
