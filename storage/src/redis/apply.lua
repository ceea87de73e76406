-- Applies the changes of one lane if its watermark is still the one they were computed at.
--   KEYS[1]  the watermark            KEYS[2..]  the hashes that are changed
--   ARGV[1]  the watermark expected   ARGV[2]    the watermark to be
--   ARGV[3..]  for each hash in turn: the number of texts, of counts, of fields to remove; each text's field and value; the
--              counts' fields; the counts' increments; the fields to remove
-- Answers nil when it is done, otherwise the watermark as it stands.
--
-- Redis does not undo a script that fails half-way. So everything that can fail is looked at before the first write.
-- Watermarks are compared as strings: numbers are doubles here, which end at 2^53.
local stands = redis.call('GET', KEYS[1]) or '0'
if stands ~= ARGV[1] then
  return stands
end

local FIELDS = 3000 -- at once: Lua's stack ends near 8000, and a text is two values

local at = 3
for k = 2, #KEYS do
  local texts, counts, gone = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local first = at + 3 + 2 * texts
  if counts == 0 then
    redis.call('HLEN', KEYS[k]) -- fails if it is no hash
  end
  for from = first, first + counts - 1, FIELDS do
    local to = math.min(from + FIELDS, first + counts) - 1
    local held = redis.call('HMGET', KEYS[k], unpack(ARGV, from, to))
    for i = 1, to - from + 1 do
      local digits = held[i] and string.match(held[i], '^%-?(%d+)$')
      if held[i] and (not digits or #digits > 18) then
        return redis.error_reply('ERR ' .. KEYS[k] .. ' holds what is no count, under ' .. ARGV[from + i - 1])
      end
    end
  end
  at = first + 2 * counts + gone
end

at = 3
for k = 2, #KEYS do
  local key = KEYS[k]
  local texts, counts, gone = tonumber(ARGV[at]), tonumber(ARGV[at + 1]), tonumber(ARGV[at + 2])
  local first = at + 3 + 2 * texts
  for from = at + 3, first - 1, 2 * FIELDS do
    redis.call('HSET', key, unpack(ARGV, from, math.min(from + 2 * FIELDS, first) - 1))
  end
  for field = first, first + counts - 1 do
    redis.call('HINCRBY', key, ARGV[field], ARGV[field + counts])
  end
  at = first + 2 * counts + gone
  for from = at - gone, at - 1, FIELDS do
    redis.call('HDEL', key, unpack(ARGV, from, math.min(from + FIELDS, at) - 1))
  end
end
redis.call('SET', KEYS[1], ARGV[2])
return false
