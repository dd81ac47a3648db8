-- Give a turn to call an order API: turns are spaced, and a few may come at once after a pause.
--
-- KEYS   1: pace
-- ARGV   1: time between two turns, us   2: how much earlier than spaced a turn may come, us   3: the longest wait, us
--        4: for a call in the background, the time between two of its kind, us; "0" for a live one
-- Steps  a live call takes the next free turn, and waits for it; one in the background takes a turn only if it is free now
--        and nobody waits, so that a thousand of them never stand before a live one.
-- Return { 1 if the turn is the caller's, how long to wait for it (or before asking again), us }
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local interval, tolerance, longest, apart = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
local state = redis.call('HMGET', KEYS[1], 't', 'b', 'h')
local next, background, held = tonumber(state[1] or '0'), tonumber(state[2] or '0'), tonumber(state[3] or '0')

local at = math.max(now, held)
if apart > 0 then at = math.max(at, next, background) else at = math.max(at, next - tolerance) end
if at - now > (apart > 0 and 0 or longest) then return { 0, at - now } end
-- Written out: a number given to redis.call keeps 14 digits, and a time in microseconds has 16.
redis.call('HSET', KEYS[1], 't', string.format('%.0f', math.max(at, next) + interval))
if apart > 0 then redis.call('HSET', KEYS[1], 'b', string.format('%.0f', now + apart)) end
redis.call('PEXPIRE', KEYS[1], 120000)
return { 1, at - now }
