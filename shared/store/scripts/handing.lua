-- Shared by the scripts that hand work to a shift that waits for it; not a script of its own. Needs due.lua and loading.lua.
--
-- A shift that is woken has to claim and to load: two more ways between it and the server, as long as all the rest of an event
-- that comes alone. So whoever brings such an event claims and loads for a shift that has said that it waits. What is handed over
-- and never finished (the shift has died) is due again when its lease ends, and that is soon.
-- Neither the waiting shifts nor what they are handed are replicated or written to disk: they end with the server.

-- Orders handed over at a time, log records of each, and bytes of all; an order of a larger state goes the usual way.
local MOST_HANDED, MOST_RECORDS, MOST_BYTES, LARGE_STATE = 16, 16, 65536, 16384
-- Length of their lease, ms. A shift that has said for so long nothing of waiting is taken for dead, ms.
local HANDED_MS, FRESH_MS = 1000, 1500

-- A value as a server would answer it.
local function resp(value)
  if type(value) == 'string' then return '$' .. #value .. '\r\n' .. value .. '\r\n' end
  if type(value) == 'number' then return string.format(':%.0f\r\n', value) end
  local parts = { '*' .. #value .. '\r\n' }
  for n, each in ipairs(value) do parts[n + 1] = resp(each) end
  return table.concat(parts)
end

-- Hand orders, { { name, due, marks, leases } per order } that nobody holds, to the shift that began to wait last: as take.lua
-- would have answered, into the list on which it blocks. `hand` is what stands before a claim's id in that list's name;
-- ARGV[at] and the next four are what stands before an order's name in those of its document, state, log, meta, and behind it.
-- Returns how many of them were handed over, the first ones.
local function hand_over(waiting, hand, orders, at, now)
  local last = redis.call('ZREVRANGE', waiting, 0, 0, 'WITHSCORES')
  local claim = last[1]
  if not claim then return 0 end
  redis.call('ZREM', waiting, claim)
  if tonumber(last[2]) < now - FRESH_MS then return 0 end
  local claimed, loaded, left = {}, {}, MOST_BYTES
  for n, order in ipairs(orders) do
    local name, rest = order[1], order[1] .. ARGV[at + 4]
    if n > MOST_HANDED or left <= 0 or redis.call('STRLEN', ARGV[at + 1] .. rest) > LARGE_STATE then break end
    redis.call('ZADD', order[2], 'XX', now + HANDED_MS, name)
    redis.call('HSET', order[4], name, claim)
    claimed[n] = { name, redis.call('HGET', order[3], name) or '0', 0 }
    loaded[n], left = load_order(ARGV[at] .. rest, ARGV[at + 1] .. rest, ARGV[at + 2] .. rest, ARGV[at + 3] .. rest,
      MOST_RECORDS, MOST_BYTES, left)
  end
  if #claimed > 0 then
    local time, list = redis.call('TIME'), hand .. claim
    redis.call('RPUSH', list, resp({ tonumber(time[1]) * 1000000 + tonumber(time[2]), 0, claimed, loaded }))
    redis.call('PEXPIRE', list, HANDED_MS)
  end
  return #claimed
end
