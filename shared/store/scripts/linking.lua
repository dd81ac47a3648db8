-- Shared by the scripts that note by which ids orders are found; not a script of its own.

-- Note that an id leads to an order; to `most` orders at most: beyond that the first is forgotten. Returns 1 noted, 0 it was
-- there.
local function link(bucket, digest, name, most)
  local held = redis.call('HGET', bucket, digest)
  if held then
    if string.find(' ' .. held .. ' ', ' ' .. name .. ' ', 1, true) then return 0 end
    local names = {}
    for each in string.gmatch(held, '%S+') do names[#names + 1] = each end
    names[#names + 1] = name
    name = table.concat(names, ' ', math.max(1, #names - most + 1))
  end
  redis.call('HSET', bucket, digest, name)
  return 1
end
