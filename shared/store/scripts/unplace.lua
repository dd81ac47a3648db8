-- Take dead letters out of the lists by which they are found.
--
-- KEYS   per letter: all letters, groups, causes, its group, the group of its reason's other details, its order (all
--        letters where it has none)
-- ARGV   per letter: its id
-- Return per letter: 1 it was listed, 0 it was not
local results = {}
for n = 1, #ARGV do
  local at, id = (n - 1) * 6, ARGV[n]
  local groups, causes = KEYS[at + 2], KEYS[at + 3]
  if KEYS[at + 6] ~= KEYS[at + 1] then redis.call('ZREM', KEYS[at + 6], id) end
  for _, group in ipairs({ KEYS[at + 4], KEYS[at + 5] }) do
    redis.call('ZREM', group, id)
    if redis.call('EXISTS', group) == 0 then
      local empty = string.match(group, '[^:]+$')
      redis.call('ZREM', groups, empty)
      redis.call('HDEL', causes, empty)
    end
  end
  results[n] = redis.call('ZREM', KEYS[at + 1], id)
end
return results
