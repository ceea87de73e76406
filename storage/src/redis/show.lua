-- Shows a hash as it stood at a watermark, unless it shows a later one already.
--   KEYS[1]  the hash            KEYS[2]    the watermark that it shows
--   ARGV[1]  the watermark       ARGV[2..]  each field and its value
-- Answers 1 when the hash is as given or newer, 0 when it is none of ours and was left alone.
--
-- Watermarks are compared by their length, then as strings: numbers are doubles here, which end at 2^53.
local shown = redis.call('GET', KEYS[2])
if not shown and redis.call('EXISTS', KEYS[1]) == 1 then
  return 0
end
if shown and (#shown > #ARGV[1] or (#shown == #ARGV[1] and shown > ARGV[1])) then
  return 1
end
if not shown and #ARGV == 1 then
  return 1 -- there is nothing to show yet
end

local VALUES = 6000 -- at once: Lua's stack ends near 8000; a field is two of them
redis.call('DEL', KEYS[1])
for from = 2, #ARGV, VALUES do
  redis.call('HSET', KEYS[1], unpack(ARGV, from, math.min(from + VALUES - 1, #ARGV)))
end
redis.call('SET', KEYS[2], ARGV[1])
return 1
