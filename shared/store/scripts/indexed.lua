-- Shared by the scripts that write a tenant's indexes; not a script of its own. Needs due.lua.

-- The bits of some flags, lowest first, as a table of yes and no; the few that occur are kept.
local known = {}
local function bits(flags)
  local found = known[flags]
  if not found then
    found = {}
    for bit = 1, 4 do found[bit] = math.floor(tonumber(flags) / 2 ^ (bit - 1)) % 2 == 1 end
    known[flags] = found
  end
  return found
end

-- Note what has become of one order, by the time at which this is told, `now` (never earlier than it was). The tenant's
-- index, idle, and the four flags' sets are KEYS[first] and the next five. ARGV from `at` + 1: escaped reference, its flags
-- (bits, in the order of those sets; "" unknown: only the index is told), its flags before, receipt of its last event (ms),
-- the key of its status, the key of its status before (0 none).
local function note_order(first, at, now)
  local call, name, flags = redis.call, ARGV[at + 1], ARGV[at + 2]
  call('ZADD', KEYS[first], 'GT', now, name)
  if flags == '' then return end
  local has, had = bits(flags), bits(ARGV[at + 3])
  for bit = 1, 4 do
    if has[bit] then call('ZADD', KEYS[first + 1 + bit], 'GT', now, name)
    elseif had[bit] then call('ZREM', KEYS[first + 1 + bit], name) end
  end
  if has[1] then call('ZADD', KEYS[first + 1], ARGV[at + 4], name)
  elseif had[1] then call('ZREM', KEYS[first + 1], name) end
  local status, previous = ARGV[at + 5], ARGV[at + 6]
  if previous ~= '0' and previous ~= status then call('ZREM', KEYS[tonumber(previous)], name) end
  call('ZADD', KEYS[tonumber(status)], 'GT', now, name)
end
