-- A shift waits for work no longer.
--
-- KEYS   1: the list of what it is handed, on which it may still block
-- ARGV   1: the claim's id under which it waits
-- Steps  take it off the list of those that wait, and end its wait; or see what was handed over before.
-- Return what was handed over and not taken yet, or ""
--@include keys.lua
--@include waiting.lua
if here_alone('ZREM', WAITING, ARGV[1]) == 0 then return here_alone('LPOP', KEYS[1]) or '' end
here_alone('RPUSH', KEYS[1], '')
here_alone('PEXPIRE', KEYS[1], 1000)
return ''
