-- Store events, each in its order's log, unless the same content is there; mark their orders as due.
--
-- KEYS   per event: log, meta
--        then, only when marking: per shard that is marked in due, marks, leases; the list on which idle shifts block; the shifts
--        that wait
-- ARGV   1: "1" to mark in the same call (one server), "0" not to (a cluster: other slots)
--        2: the most events that one order may have   3: the most bytes of them
--        only when marking   4: what stands before a claim's id in the list of what it is handed   5 to 9: what stands before an
--        order's name in the keys of its document, state, log, meta, and behind it
--        per event: identity digest (8 bytes) and content digest (16), record, and when marking the order's name and its shard's
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
--@include due.lua
--@include appending.lua
--@include loading.lua
--@include handing.lua
local most, most_bytes = tonumber(ARGV[2]), tonumber(ARGV[3])
local marking = ARGV[1] == '1'
local head, stride = marking and 9 or 3, marking and 4 or 2
local results, woken, free, now = {}, 0, {}, now_ms()

local function accept(n)
  local log, meta = KEYS[n * 2 - 1], KEYS[n * 2]
  local at = head + (n - 1) * stride
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
    local name, first = ARGV[at + 3], tonumber(ARGV[at + 4])
    local due, marks, leases = KEYS[first], KEYS[first + 1], KEYS[first + 2]
    local fresh, held = mark(due, marks, leases, name, now)
    if fresh then
      woken = woken + 1
      if not held then free[#free + 1] = { name, due, marks, leases } end
    end
  end
  return flags
end

for n = 1, math.floor((#ARGV - head) / stride) do
  results[n] = told(pcall(accept, n))
end
if woken > 0 then
  redis.set_repl(redis.REPL_NONE)
  local fine, handed = pcall(hand_over, KEYS[#KEYS], ARGV[4], free, 5, now)
  redis.set_repl(redis.REPL_ALL)
  if not fine or handed < woken then wake(KEYS[#KEYS - 1]) end
end
return results
