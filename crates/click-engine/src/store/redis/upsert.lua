-- Writes the rows of one bucket if they are newer, or nothing: a script runs alone.
-- KEYS  meta, hours, then for each group: its rows, its hour's owners
-- ARGV  log id, generation, name of its mark, mark that the writer knows of, new mark,
--       name of the writer's number here, the one that was confirmed, the one of this script,
--       then for each group: owner, hour, number of rows, and for each row: field, value
local function at(value)
  local a, b, c, d, e, f = string.byte(value, 1, 6)
  return ((((a * 256 + b) * 256 + c) * 256 + d) * 256 + e) * 256 + f
end

local meta = redis.call('HMGET', KEYS[1], 'log', 'newest', ARGV[3], ARGV[6])
local generation = tonumber(ARGV[2])
if meta[1] and meta[1] ~= ARGV[1] then return {'log', meta[1]} end
if meta[2] and tonumber(meta[2]) > generation then return {'newer', meta[2]} end
local mark = tonumber(meta[3] or '0')
if mark < tonumber(ARGV[4]) or tonumber(meta[4] or '0') < tonumber(ARGV[7]) then
  return {'lost', tostring(meta[3] or '0')}
end
if not meta[1] or tonumber(meta[2] or '0') < generation then
  redis.call('HSET', KEYS[1], 'log', ARGV[1], 'newest', ARGV[2])
  redis.call('HSETNX', KEYS[1], 'serving', ARGV[2])
  redis.call('HSETNX', KEYS[1], ARGV[3], '0')
end

local writes, n, place, offered = {}, 0, 9, {}
for key = 3, #KEYS, 2 do
  for i = place + 3, place + 2 + 2 * ARGV[place + 2], 2 do
    local name, new = KEYS[key] .. ARGV[i], ARGV[i + 1]
    local kept = offered[name] or redis.call('HGET', KEYS[key], ARGV[i])
    local is, was = at(new), kept and at(kept) or -1
    if is == was and kept ~= new then
      return {'same', ARGV[place], ARGV[place + 1], ARGV[i], kept, new}
    end
    if is > was then
      n = n + 1
      writes[n], offered[name] = {key, ARGV[i], new}, new
      if not kept then writes[n][4] = place end
    end
  end
  place = place + 3 + 2 * ARGV[place + 2]
end
for _, write in ipairs(writes) do
  local key, group = write[1], write[4]
  if group and redis.call('EXISTS', KEYS[key]) == 0 then
    redis.call('SADD', KEYS[key + 1], ARGV[group])
    redis.call('SADD', KEYS[2], ARGV[group + 1])
  end
  redis.call('HSET', KEYS[key], write[2], write[3])
end
if ARGV[5] ~= '' and tonumber(ARGV[5]) > mark then redis.call('HSET', KEYS[1], ARGV[3], ARGV[5]) end
redis.call('HSET', KEYS[1], ARGV[6], ARGV[8])
return {'ok', n}
