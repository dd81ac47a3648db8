-- Shared by the scripts that write a tenant's indexes; not a script of its own.

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

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
