-- Store events, each in its order's log, unless the same content is there; mark their orders as due.
--
-- KEYS   per event: log, meta [, due, marks, leases]      (the last three only when marking)
--        last, only when marking: wake
-- ARGV   1: "1" to mark in the same call (one server), "0" not to (a cluster: other slots)
--        2: the most events that one order may have   3: the most bytes of them
--        per event: identity digest, content digest, type of record, rest of record, order's name
-- Steps  1. look for the content's digest under its identity; 2. append to the log; 3. remember the digest, and of a new
--        order its generation: what was read of an order that was erased meanwhile must not be written to its successor;
--        4. mark the order as due where the log holds anything that is not folded.
--        The log comes before the digest: a failure between them repeats an event, the other way round would lose it.
-- Return per event, in order: a number, the sum of
--          1 stored   2 not folded yet (to be marked)   4 the identity was known with other content
--          8 refused: the order is full
--        or, where this event alone failed, the error's text.
--@include due.lua
local marking = ARGV[1] == '1'
local most, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local stride = marking and 5 or 2
local count = math.floor(#KEYS / stride)
local results, woken = {}, false

local function known(digests, digest)
  for at = 1, #digests, 16 do
    if string.sub(digests, at, at + 15) == digest then return true end
  end
  return false
end

-- The server's time in microseconds: no two orders of one name are made at the same.
local function generation()
  local time = redis.call('TIME')
  return string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
end

local function accept(n)
  local log, meta = KEYS[(n - 1) * stride + 1], KEYS[(n - 1) * stride + 2]
  local identity, digest, kind, rest, name =
    ARGV[n * 5 - 1], ARGV[n * 5], ARGV[n * 5 + 1], ARGV[n * 5 + 2], ARGV[n * 5 + 3]
  local fields = redis.call('HMGET', meta, identity, 'e', 'b')
  local digests, events, bytes = fields[1] or '', tonumber(fields[2] or '0'), tonumber(fields[3] or '0')
  local duplicate = known(digests, digest)
  local flags = 0
  if duplicate and kind == 'W' then
    if tonumber(redis.call('HGET', meta, 'c') or '0') < redis.call('LLEN', log) then flags = 2 end
  else
    if bytes + #rest > most_bytes then return 8 end
    if duplicate then
      -- A snapshot that is known is folded again with its later receipt, and does not count as another event.
      if redis.call('LLEN', log) >= 2 * most then return 8 end
      redis.call('RPUSH', log, string.lower(kind) .. rest)
      redis.call('HSET', meta, 'b', bytes + #rest)
    else
      if events >= most then return 8 end
      redis.call('RPUSH', log, kind .. rest)
      redis.call('HSET', meta, identity, digests .. digest, 'e', events + 1, 'b', bytes + #rest)
    end
    if not fields[2] then
      redis.call('HSET', meta, 'g', generation())
    elseif redis.call('PTTL', meta) >= 0 then
      -- An order near its end is kept until the fold has given it a new one.
      redis.call('PERSIST', log)
      redis.call('PERSIST', meta)
    end
    flags = 3 + ((digests ~= '' and not duplicate) and 4 or 0)
  end
  if marking and flags >= 2 then
    if mark(KEYS[(n - 1) * stride + 3], KEYS[(n - 1) * stride + 4], KEYS[(n - 1) * stride + 5], name) then woken = true end
  end
  return flags
end

for n = 1, count do
  local fine, result = pcall(accept, n)
  if fine then results[n] = result
  else results[n] = type(result) == 'table' and result.err or tostring(result) end
end
if woken then wake(KEYS[#KEYS]) end
return results
