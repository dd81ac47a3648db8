-- Take orders that are gone out of all indexes of a tenant, unless they have changed since they were looked at.
--
-- KEYS   1: index   then: all others
-- ARGV   per order: escaped reference, its time in the index (ms; "" whatever it is)
-- Return how many were taken out
local gone = 0
for n = 1, #ARGV, 2 do
  if ARGV[n + 1] == '' or tonumber(redis.call('ZSCORE', KEYS[1], ARGV[n]) or '-1') == tonumber(ARGV[n + 1]) then
    gone = gone + redis.call('ZREM', KEYS[1], ARGV[n])
    for key = 2, #KEYS do redis.call('ZREM', KEYS[key], ARGV[n]) end
  end
end
return gone
