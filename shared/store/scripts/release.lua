-- Give up leases.
--
-- KEYS   per order: due, marks, leases
-- ARGV   per order: its name, the mark it was claimed with, the claim's id,
--          when it shall be due again, ms from now ("" not at all; "h" before it: and not sooner, whatever comes)
-- Return per order: 0 somebody else holds it now   1 done, no longer due   2 due again
--@include due.lua
local results = {}
for n = 1, math.floor(#KEYS / 3) do
  local due, marks, leases = KEYS[n * 3 - 2], KEYS[n * 3 - 1], KEYS[n * 3]
  local name, marked, claim, delay = ARGV[n * 4 - 3], ARGV[n * 4 - 2], ARGV[n * 4 - 1], ARGV[n * 4]
  if redis.call('HGET', leases, name) ~= claim then
    results[n] = 0
  elseif string.sub(delay, 1, 1) == 'h' then
    redis.call('HSET', leases, name, 'held')
    redis.call('ZADD', due, now_ms() + tonumber(string.sub(delay, 2)), name)
    results[n] = 2
  else
    redis.call('HDEL', leases, name)
    if (redis.call('HGET', marks, name) or '0') ~= marked then
      redis.call('ZADD', due, now_ms(), name)
      results[n] = 2
    elseif delay ~= '' then
      redis.call('ZADD', due, now_ms() + tonumber(delay), name)
      results[n] = 2
    else
      redis.call('ZREM', due, name)
      redis.call('HDEL', marks, name)
      results[n] = 1
    end
  end
end
return results
