-- Shared by the scripts that claim due orders; not a script of its own. Needs due.lua.

-- Claim up to `most` orders. `keys_of` gives the keys of a shard, from 0 on: due, marks, leases. An order that its last holder has put off
-- keeps a lease that nobody holds, `held`: it did not run out, it is over.
-- Returns how many are still due, and per order its name, its mark, and 1 if its last lease ran out, else 0.
local function claim_due(keys_of, shards, most, lease_ms, claim, first, due_for_ms)
  local now = now_ms()
  local latest = now - due_for_ms
  local claimed, more = {}, 0
  for n = 1, shards do
    local shard = (n - 1 + first) % shards
    local due, marks, leases = keys_of(shard)
    if most > 0 then
      local names = redis.call('ZRANGEBYSCORE', due, '-inf', latest, 'LIMIT', 0, most)
      for _, name in ipairs(names) do
        redis.call('ZADD', due, 'XX', now + lease_ms, name)
        local before = redis.call('HGET', leases, name)
        redis.call('HSET', leases, name, claim)
        claimed[#claimed + 1] = { name, redis.call('HGET', marks, name) or '0', (before and before ~= 'held') and 1 or 0 }
      end
      most = most - #names
    end
    if most == 0 then more = more + redis.call('ZCOUNT', due, '-inf', latest) end
  end
  return more, claimed
end
