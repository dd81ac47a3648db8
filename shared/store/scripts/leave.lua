-- A shift waits for work no longer.
--
-- KEYS   1: the shifts that wait   2: the list of what this one is handed, on which it may still block
-- ARGV   1: the claim's id under which it waits
-- Steps  take it off the list of those that wait, and end its wait; or see what was handed over before.
-- Return what was handed over and not taken yet, or ""
redis.set_repl(redis.REPL_NONE)
if redis.call('ZREM', KEYS[1], ARGV[1]) == 0 then return redis.call('LPOP', KEYS[2]) or '' end
redis.call('RPUSH', KEYS[2], '')
redis.call('PEXPIRE', KEYS[2], 1000)
return ''
