-- Note that ids lead to orders.
--
-- KEYS   per id: bucket
-- ARGV   1: the most orders that one id leads to; beyond that the first is forgotten   per id: its digest, order's name
-- Return per id: 1 noted, 0 it was there
local results = {}
for n = 1, #KEYS do
  local digest, name = ARGV[n * 2], ARGV[n * 2 + 1]
  local held = redis.call('HGET', KEYS[n], digest)
  if held and string.find(' ' .. held .. ' ', ' ' .. name .. ' ', 1, true) then
    results[n] = 0
  else
    if held then
      local names = {}
      for each in string.gmatch(held, '%S+') do names[#names + 1] = each end
      names[#names + 1] = name
      name = table.concat(names, ' ', math.max(1, #names - tonumber(ARGV[1]) + 1))
    end
    redis.call('HSET', KEYS[n], digest, name)
    results[n] = 1
  end
end
return results
