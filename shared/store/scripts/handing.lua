-- Shared by the scripts that hand work to a shift that waits for it; not a script of its own. Needs keys.lua and waiting.lua.
--
-- A shift that is woken has to claim and to load: two more ways between it and the server, as long as all the rest of an event
-- that comes alone. So whoever brings such an event claims and loads for a shift that has said that it waits. What is handed over
-- and never finished (the shift has died) is due again when its lease ends, and that is soon.

-- Orders handed over at a time, log records of each, and bytes of all; an order of a larger state goes the usual way.
local MOST_HANDED, MOST_RECORDS, MOST_BYTES, LARGE_STATE = 16, 16, 65536, 16384
-- Length of their lease, ms. A shift that has said for so long nothing of waiting is taken for dead, ms.
local HANDED_MS, FRESH_MS = 1000, 1500

-- Give a shift what take.lua would have answered, by the list on which it blocks: eight digits of the length of what follows, packed
-- by cmsgpack; then the texts that may be any bytes, one after the other. `time`: the server's, us.
local function give(claim, time, more, claimed, loaded)
  local head, texts = { time, more }, { '' }
  for n, order in ipairs(claimed) do
    local found = loaded[n]
    local each, records = { order[1], order[2], order[3], found[1], found[2], found[3], found[6], found[7], found[9] }, {}
    for _, field in ipairs({ 4, 5, 10 }) do
      texts[#texts + 1] = found[field]
      each[#each + 1] = #found[field]
    end
    for m, record in ipairs(found[8]) do
      texts[#texts + 1] = record
      records[m] = #record
    end
    each[#each + 1] = records
    head[n + 2] = each
  end
  local packed, list = cmsgpack.pack(head), HAND .. claim
  texts[1] = string.format('%08d', #packed) .. packed
  here_alone('RPUSH', list, table.concat(texts))
  here_alone('PEXPIRE', list, HANDED_MS)
end

-- What is to be handed to the shift that began to wait last, still empty; nil if none waits.
local function begin_handing(now)
  local last = redis.call('ZREVRANGE', WAITING, 0, 0, 'WITHSCORES')
  if not last[1] or tonumber(last[2]) < now - FRESH_MS then return nil end
  return { claim = last[1], orders = {}, count = 0 }
end

-- Claim an order that nobody holds, if it is not due already and there is room: the order, to be filled with what load.lua would
-- have said of it; else nil.
local function claim_for(handed, due, leases, name, now)
  if handed.count == MOST_HANDED or redis.call('ZADD', due, 'NX', now + HANDED_MS, name) == 0 then return nil end
  if handed.count == 0 then here_alone('ZREM', WAITING, handed.claim) end
  here_alone('HSET', leases, name, handed.claim)
  handed.count = handed.count + 1
  handed.orders[handed.count] = { name = name, due = due, leases = leases, records = {} }
  handed.orders[name] = handed.orders[handed.count]
  return handed.orders[name]
end

-- Hand orders over; how many had to be left out, and are due.
local function hand_over(handed, now, time)
  local claimed, loaded, left, out = {}, {}, MOST_BYTES, 0
  for n = 1, handed.count do
    local order = handed.orders[n]
    local state = redis.call('GET', STATE .. order.name .. ENDS) or ''
    local records, length = order.records, order.length or redis.call('LLEN', order.log)
    if order.cursor + #records ~= length then
      records = redis.call('LRANGE', order.log, order.cursor, order.cursor + MOST_RECORDS - 1)
    end
    left = left - #state
    for _, record in ipairs(records) do left = left - #record end
    if left < 0 or #state > LARGE_STATE then
      redis.call('HDEL', order.leases, order.name)
      redis.call('ZADD', order.due, 'XX', now, order.name)
      out = out + 1
    else
      claimed[#claimed + 1] = { order.name, '0', 0 }
      loaded[#claimed] = {
        order.revision, order.cursor, order.packed, order.change, state,
        redis.call('EXISTS', DOCUMENT .. order.name .. ENDS), length, records, order.generation, order.letters,
      }
    end
  end
  if #claimed > 0 then give(handed.claim, time, 0, claimed, loaded) end
  return out
end
