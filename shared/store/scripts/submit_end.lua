-- Say what became of a claimed submit.
--
-- KEYS   1: submit
-- ARGV   1: the claim's id   2: `d` done, `u` not answered, `-` certainly not taken   3: the order's id
-- Return 1, or 0 if somebody else holds the claim by now
if redis.call('HGET', KEYS[1], 'c') ~= ARGV[1] then return 0 end
if ARGV[2] == '-' then
  redis.call('DEL', KEYS[1])
elseif ARGV[2] == 'd' then
  redis.call('HSET', KEYS[1], 's', 'd', 'o', ARGV[3])
  redis.call('HDEL', KEYS[1], 'c', 'l')
else
  local time = redis.call('TIME')
  redis.call('HSET', KEYS[1], 's', 'u', 'l', string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2])))
end
return 1
