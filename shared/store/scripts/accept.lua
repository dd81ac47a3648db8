-- Store events, each in its order's log, unless the same content is there; mark their orders as due.
--
-- KEYS   per event: log, meta
--        then, only when marking: per shard due, marks, leases; wake
-- ARGV   1: how many shards there are to mark in, in the same call (one server); "0" not to mark (a cluster: other slots)
--        2: the most events that one order may have   3: the most bytes of them
--        per event: identity digest (8 bytes) and content digest (16), record, and when marking the order's name and shard
-- Steps  1. look for the content's digest under its identity; 2. append to the log; 3. remember the digest, and of a new
--        order its generation: what was read of an order that was erased meanwhile must not be written to its successor;
--        4. mark the order as due where the log holds anything that is not folded.
--        The log comes before the digest: a failure between them repeats an event, the other way round would lose it.
-- Return per event, in order: a number, the sum of
--          1 stored   2 not folded yet (to be marked)   4 the identity was known with other content
--          8 refused: the order is full
--        or, where this event alone failed, the error's text.
--@include due.lua
--@include appending.lua
local shards, most, most_bytes = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local marking = shards > 0
local stride = marking and 4 or 2
local count = math.floor((#KEYS - (marking and shards * 3 + 1 or 0)) / 2)
local results, woken, now = {}, false, now_ms()

local function accept(n)
  local log, meta = KEYS[n * 2 - 1], KEYS[n * 2]
  local at = 3 + (n - 1) * stride
  local identity, digest, record = string.sub(ARGV[at + 1], 1, 8), string.sub(ARGV[at + 1], 9), ARGV[at + 2]
  local fields = redis.call('HMGET', meta, identity, 'e', 'b', 'r')
  local digests, events, bytes = fields[1] or '', tonumber(fields[2] or '0'), tonumber(fields[3] or '0') + #record - 1
  local duplicate = digests ~= '' and known(digests, digest)
  local flags = 3
  if duplicate and string.byte(record) == 87 then -- a webhook
    if tonumber(redis.call('HGET', meta, 'c') or '0') >= redis.call('LLEN', log) then return 0 end
    flags = 2
  else
    if bytes > most_bytes then return 8 end
    if duplicate then
      -- A snapshot that is known is folded again with its later receipt, and does not count as another event.
      if redis.call('LLEN', log) >= 2 * most then return 8 end
      redis.call('RPUSH', log, string.lower(string.sub(record, 1, 1)) .. string.sub(record, 2))
      redis.call('HSET', meta, 'b', bytes)
    else
      if events >= most then return 8 end
      redis.call('RPUSH', log, record)
      if fields[2] then
        redis.call('HSET', meta, identity, digests .. digest, 'e', events + 1, 'b', bytes)
      else
        redis.call('HSET', meta, identity, digest, 'e', 1, 'b', bytes, 'g', generation())
      end
      if digests ~= '' then flags = 7 end
    end
    if fields[4] then keep(log, meta) end
  end
  if marking then
    local shard = #KEYS - 1 - shards * 3 + ARGV[at + 4] * 3
    if mark(KEYS[shard + 1], KEYS[shard + 2], KEYS[shard + 3], ARGV[at + 3], now) then woken = true end
  end
  return flags
end

for n = 1, count do
  results[n] = told(pcall(accept, n))
end
if woken then wake(KEYS[#KEYS]) end
return results
