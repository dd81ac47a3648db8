-- Put dead letters into the lists by which they are found.
--
-- KEYS   per letter: all letters, groups, causes, its group, the group of its reason's other details, its order,
--        then those it may stand in from before: group, other details, order (its order where it has none: all letters)
-- ARGV   1: the most groups that there may be
--        per letter: its id, time of receipt (ms), last seen (ms), its group's id and cause, the id and cause of the
--        other details
-- Steps  take it out of the lists of before; put it into those of now. Details are others' text: a new one makes a group
--        while there are few, and counts among the reason's other details then. A group without letters goes.
-- Return per letter: 1 it is in its own group, 0 among the other details
local most = tonumber(ARGV[1])
local results = {}
for n = 1, math.floor(#KEYS / 9) do
  local at, arg = (n - 1) * 9, (n - 1) * 7 + 1
  local letters, groups, causes = KEYS[at + 1], KEYS[at + 2], KEYS[at + 3]
  local id, received, seen = ARGV[arg + 1], ARGV[arg + 2], ARGV[arg + 3]
  local own = redis.call('HEXISTS', causes, ARGV[arg + 4]) == 1 or redis.call('HLEN', causes) < most
  local group = own and KEYS[at + 4] or KEYS[at + 5]
  local name, cause = ARGV[arg + (own and 4 or 6)], ARGV[arg + (own and 5 or 7)]
  for _, former in ipairs({ KEYS[at + 4], KEYS[at + 5], KEYS[at + 7], KEYS[at + 8] }) do
    if former ~= group and redis.call('ZREM', former, id) == 1 and redis.call('EXISTS', former) == 0 then
      local empty = string.match(former, '[^:]+$')
      redis.call('ZREM', groups, empty)
      redis.call('HDEL', causes, empty)
    end
  end
  if KEYS[at + 9] ~= KEYS[at + 6] and KEYS[at + 9] ~= letters then redis.call('ZREM', KEYS[at + 9], id) end
  redis.call('ZADD', letters, received, id)
  redis.call('ZADD', group, received, id)
  if KEYS[at + 6] ~= letters then redis.call('ZADD', KEYS[at + 6], received, id) end
  redis.call('ZADD', groups, 'GT', seen, name)
  redis.call('HSET', causes, name, cause)
  results[n] = own and 1 or 0
end
return results
