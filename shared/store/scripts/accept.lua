-- Store events, each in its order's log, unless the same content is there; mark their orders as due.
--
-- KEYS   per event: log, meta
--        then, only when marking: per shard that is marked in due, marks, leases
-- ARGV   1: "1" to mark in the same call (one server), "0" not to (a cluster: other slots)
--        2: the most events that one order may have   3: the most bytes of them
--        per event: identity digest (8 bytes), content digest (16), record, and when marking the order's name and its shard's
--        first key
-- Steps  1. look for the content's digest under its identity; 2. append to the log; 3. remember the digest, and of a new
--        order its generation: what was read of an order that was erased meanwhile must not be written to its successor;
--        4. mark the order as due where the log holds anything that is not folded.
--        5. hand what became due to a shift that waits, or wake one.
--        The log comes before the digest: a failure between them repeats an event, the other way round would lose it.
-- Return per event, in order: a number, the sum of
--          1 stored   2 not folded yet (to be marked)   4 the identity was known with other content
--          8 refused: the order is full
--        or, where this event alone failed, the error's text.
--@include keys.lua
--@include due.lua
--@include appending.lua
--@include waiting.lua
--@include handing.lua
local most, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local marking = ARGV[1] == '1'
local head, stride = 3, marking and 5 or 3
local time = now_us()
local results, now, woken = {}, math.floor(time / 1000), 0
local handed = marking and begin_handing(now)

local function fill(order, fields, log, length, record)
  order.log, order.length, order.cursor = log, length, tonumber(fields[5] or '0')
  order.revision, order.packed, order.change = fields[4] or '', tonumber(fields[6] or '0'), fields[7] or ''
  order.generation, order.letters = fields[8] or '', fields[9] or ''
  order.records[1] = record
end

-- Hand an order to a shift that waits, or mark it as due.
local function tell(name, first, fields, log, length, record)
  local due, marks, leases = KEYS[first], KEYS[first + 1], KEYS[first + 2]
  if handed and handed.orders[name] then -- by an event before, in this call
    local order = handed.orders[name]
    order.length = length
    order.records[#order.records + 1] = record
    return
  end
  if handed and redis.call('HEXISTS', leases, name) == 0 then
    local order = claim_for(handed, due, leases, name, now)
    if order then return fill(order, fields, log, length, record) end
  end
  if mark(due, marks, leases, name, now) then woken = woken + 1 end
end

local function accept(n)
  local log, meta = KEYS[n * 2 - 1], KEYS[n * 2]
  local at = head + (n - 1) * stride
  local identity, digest, record = ARGV[at + 1], ARGV[at + 2], ARGV[at + 3]
  local fields = handed and redis.call('HMGET', meta, identity, 'e', 'b', 'r', 'c', 'p', 'n', 'g', 'd')
    or redis.call('HMGET', meta, identity, 'e', 'b', 'r')
  local digests, events, bytes = fields[1] or '', tonumber(fields[2] or '0'), tonumber(fields[3] or '0') + #record - 1
  local duplicate = digests ~= '' and known(digests, digest)
  local flags, length = 3, nil
  if duplicate and string.byte(record) == 87 then -- a webhook
    length = redis.call('LLEN', log)
    if tonumber((handed and fields[5] or redis.call('HGET', meta, 'c')) or '0') >= length then return 0 end
    flags, record = 2, nil
  else
    if bytes > most_bytes then return 8 end
    if duplicate then
      -- A snapshot that is known is folded again with its later receipt, and does not count as another event.
      if redis.call('LLEN', log) >= 2 * most then return 8 end
      record = string.lower(string.sub(record, 1, 1)) .. string.sub(record, 2)
      length = redis.call('RPUSH', log, record)
      redis.call('HSET', meta, 'b', bytes)
    else
      if events >= most then return 8 end
      length = redis.call('RPUSH', log, record)
      if fields[2] then
        redis.call('HSET', meta, identity, digests .. digest, 'e', events + 1, 'b', bytes)
      else
        fields[8] = string.format('%.0f', time)
        redis.call('HSET', meta, identity, digest, 'e', 1, 'b', bytes, 'g', fields[8])
      end
      if digests ~= '' then flags = 7 end
    end
    if fields[4] then keep(log, meta) end
  end
  if marking then tell(ARGV[at + 4], tonumber(ARGV[at + 5]), fields, log, length, record) end
  return flags
end

for n = 1, math.floor((#ARGV - head) / stride) do
  results[n] = told(pcall(accept, n))
end
if handed and handed.count > 0 then
  local fine, out = pcall(hand_over, handed, now, time)
  woken = woken + (fine and out or 1)
end
if woken > 0 then wake(WAKE) end
return results
