-- One page of the members of several sorted sets, as if they were one.
--
-- KEYS   the sets
-- ARGV   1: "asc" or "desc"   2: least score   3: greatest score   4: score and 5: member to go on from ("" the beginning)
--        6: the most members
-- Steps  per set: find by rank where to begin; then take the first of all the sets' next members, from a heap.
-- Return { member, score, ... }, by score, then by member
local rising, least, greatest, limit = ARGV[1] == 'asc', ARGV[2], ARGV[3], tonumber(ARGV[6])
local lot = #KEYS == 1 and limit or math.min(limit, 16)

-- How many members of a set come before a given one, whether that is in it or not.
local function before(key, score, member)
  local low = redis.call('ZCOUNT', key, '-inf', '(' .. score)
  local high = low + redis.call('ZCOUNT', key, score, score)
  while low < high do
    local middle = math.floor((low + high) / 2)
    if redis.call('ZRANGE', key, middle, middle)[1] < member then low = middle + 1 else high = middle end
  end
  return low
end

-- A reader's next member: false at its end.
local function advance(reader)
  if reader.at > #reader.found then
    if reader.first >= reader.last then return false end
    local count = math.min(lot, reader.last - reader.first)
    if rising then
      reader.found = redis.call('ZRANGE', reader.key, reader.first, reader.first + count - 1, 'WITHSCORES')
      reader.first = reader.first + count
    else
      local size = redis.call('ZCARD', reader.key)
      reader.found =
        redis.call('ZREVRANGE', reader.key, size - reader.last, size - reader.last + count - 1, 'WITHSCORES')
      reader.last = reader.last - count
    end
    reader.at = 1
  end
  reader.member, reader.text = reader.found[reader.at], reader.found[reader.at + 1]
  reader.score = tonumber(reader.text)
  reader.at = reader.at + 2
  return true
end

local function comes_first(one, other)
  if one.score ~= other.score then return (one.score < other.score) == rising end
  return (one.member < other.member) == rising
end

local heap = {}
local function sink(at)
  while true do
    local best = at
    for child = 2 * at, 2 * at + 1 do
      if heap[child] and comes_first(heap[child], heap[best]) then best = child end
    end
    if best == at then return end
    heap[at], heap[best] = heap[best], heap[at]
    at = best
  end
end

for _, key in ipairs(KEYS) do
  local reader = { key = key, found = {}, at = 1 }
  reader.first = redis.call('ZCOUNT', key, '-inf', '(' .. least)
  reader.last = redis.call('ZCOUNT', key, '-inf', greatest)
  if ARGV[4] ~= '' then
    local rank = before(key, ARGV[4], ARGV[5])
    if rising then
      local there = tonumber(redis.call('ZSCORE', key, ARGV[5]) or '-1') == tonumber(ARGV[4])
      reader.first = math.max(reader.first, rank + (there and 1 or 0))
    else
      reader.last = math.min(reader.last, rank)
    end
  end
  if advance(reader) then heap[#heap + 1] = reader end
end
for at = math.floor(#heap / 2), 1, -1 do sink(at) end

local result = {}
while #heap > 0 and #result < 2 * limit do
  local first = heap[1]
  if result[#result - 1] ~= first.member then
    result[#result + 1] = first.member
    result[#result + 1] = first.text
  end
  if not advance(first) then
    heap[1] = heap[#heap]
    heap[#heap] = nil
  end
  sink(1)
end
return result
