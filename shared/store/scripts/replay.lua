-- Send the events of dead letters again, each into its order's log, whether its content is known or not.
--
-- KEYS   per event: log, meta
-- ARGV   1: the most events that one order may have   2: the most bytes of them
--        per event: identity digest, content digest, type of record, rest of record, the letter's id (16 bytes)
-- Steps  1. append the event to the log, in lower case where its content is known: it counts once;
--        2. note which letter is to leave once that event is folded; 3. remember the digest, and of a new order
--        its generation. The layout is that of accept.lua. The marks lie in other slots and follow.
-- Return per event: 1 stored, 8 refused: the order is full; or, where this event alone failed, the error's text.
--@include appending.lua
local most, most_bytes = tonumber(ARGV[1]), tonumber(ARGV[2])
local results = {}

local function replay(log, meta, identity, digest, kind, rest, letter)
  local fields = redis.call('HMGET', meta, identity, 'e', 'b', 'd')
  local digests, events, bytes = fields[1] or '', tonumber(fields[2] or '0'), tonumber(fields[3] or '0')
  local again = known(digests, digest)
  if bytes + #rest > most_bytes or (not again and events >= most) then return 8 end
  if redis.call('LLEN', log) >= 2 * most then return 8 end
  redis.call('RPUSH', log, (again and string.lower(kind) or kind) .. rest)
  redis.call('HSET', meta, 'd', (fields[4] or '') .. digest .. letter, 'b', bytes + #rest)
  if not again then redis.call('HSET', meta, identity, digests .. digest, 'e', events + 1) end
  if not fields[2] then
    redis.call('HSET', meta, 'g', generation())
  else
    keep(log, meta)
  end
  return 1
end

for n = 1, math.floor(#KEYS / 2) do
  local at = (n - 1) * 5 + 2
  results[n] = told(pcall(
    replay, KEYS[2 * n - 1], KEYS[2 * n], ARGV[at + 1], ARGV[at + 2], ARGV[at + 3], ARGV[at + 4], ARGV[at + 5]
  ))
end
return results
