-- Shared by the scripts that append to an order's log; not a script of its own.

-- Whether a content's digest is among those of its identity, one after the other.
local function known(digests, digest)
  for at = 1, #digests, 16 do
    if string.sub(digests, at, at + 15) == digest then return true end
  end
  return false
end

-- The server's time in microseconds: no two orders of one name are made at the same.
local function generation()
  local time = redis.call('TIME')
  return string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
end

-- An order near its end is kept until the fold has given it a new one. Near: ninety days, in which what waits is folded, whatever
-- has happened to the workers; and where it cannot be folded, they keep it. An order that has longer to go, as nearly all have, costs
-- no writes.
local NEAR_MS = 90 * 86400 * 1000
local function keep(log, meta)
  local left = redis.call('PTTL', meta)
  if left >= 0 and left < NEAR_MS then
    redis.call('PERSIST', log)
    redis.call('PERSIST', meta)
  end
end

-- What a call returned, or the error's text: each event succeeds or fails alone.
local function told(fine, result)
  if fine then return result end
  return type(result) == 'table' and result.err or tostring(result)
end
