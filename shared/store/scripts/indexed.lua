-- Shared by the scripts that write a tenant's indexes; not a script of its own.

local function now_ms()
  local time = redis.call('TIME')
  return tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
end

local function has(flags, bit)
  return math.floor(tonumber(flags) / 2 ^ bit) % 2 == 1
end
