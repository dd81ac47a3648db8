-- A shift waits for work no longer.
--
-- KEYS   1: the list of what it is handed, on which it may still block
-- ARGV   1: the claim's id under which it waits
-- Steps  take it off the list of those that wait, and end its wait; or see what was handed over before.
-- Return what was handed over and not taken yet, or ""
--@include keys.lua
redis.set_repl(redis.REPL_NONE)
if redis.call('ZREM', WAITING, ARGV[1]) == 0 then return redis.call('LPOP', KEYS[1]) or '' end
redis.call('RPUSH', KEYS[1], '')
redis.call('PEXPIRE', KEYS[1], 1000)
return ''
