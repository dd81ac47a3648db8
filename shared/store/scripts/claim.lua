-- Claim orders that are due, by lease: until it ends nobody else claims them; if its holder dies they are due again.
--
-- KEYS   per shard: due, marks, leases
-- ARGV   1: the most orders to claim   2: length of the lease, ms   3: the claim's id   4: which shard comes first
--        5: only orders that have been due for this long, ms
-- Steps  per shard: take the orders longest due; move each to the end of its lease; write down who holds it.
-- Return { server's time in us, orders still due, then per order: its name, its mark, whether its last lease ran out }
--@include due.lua
local now = now_ms()
local time = redis.call('TIME')
local most, lease_ms, claim = tonumber(ARGV[1]), tonumber(ARGV[2]), ARGV[3]
local shards = math.floor(#KEYS / 3)
local result = { tonumber(time[1]) * 1000000 + tonumber(time[2]), 0 }
local more = 0
for n = 1, shards do
  local shard = (n - 1 + tonumber(ARGV[4])) % shards
  local due, marks, leases = KEYS[shard * 3 + 1], KEYS[shard * 3 + 2], KEYS[shard * 3 + 3]
  local latest = now - tonumber(ARGV[5])
  if most > 0 then
    local names = redis.call('ZRANGEBYSCORE', due, '-inf', latest, 'LIMIT', 0, most)
    for _, name in ipairs(names) do
      redis.call('ZADD', due, 'XX', now + lease_ms, name)
      local expired = redis.call('HSET', leases, name, claim) == 0
      result[#result + 1] = name
      result[#result + 1] = redis.call('HGET', marks, name) or '0'
      result[#result + 1] = expired and 1 or 0
    end
    most = most - #names
  end
  if most == 0 then more = more + redis.call('ZCOUNT', due, '-inf', latest) end
end
result[2] = more
return result
