-- What every step has in common. Each script is this one with its own text appended.
--
-- KEYS: the record; then those of the script.
-- ARGV: how long it is remembered; then those of the script. Times are in milliseconds.
-- Everything is read before the first write, so that an error changes nothing. A field that this
-- version does not know stays as it is.

local RECORD = KEYS[1]
local RETENTION = ARGV[1]
local VERSION = '1'

local OK, LEASE_LOST = {'ok'}, {'lease_lost'}

local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)

local NUMBERS = {'lease_until', 'first_sent', 'first_wall', 'last_sent', 'last_wall', 'done_at', 'done_wall'}

local function text(value)
  return type(value) == 'number' and string.format('%.0f', value) or value
end

local function problem_of(record)
  if record.version ~= VERSION then return 'its version is ' .. (record.version or 'missing') end
  if not record.content then return 'it has no content' end
  for _, field in ipairs(NUMBERS) do
    if record[field] then
      record[field] = string.find(record[field], '^-?%d+$') and #record[field] <= 15 and tonumber(record[field])
      if not record[field] then return field .. ' is no number' end
    end
  end
  if record.state == 'done' then
    if not (record.outcome and record.done_at) then return 'a field of its outcome is missing' end
  elseif record.state == 'sending' or record.state == 'unknown' then
    if not (record.first_sent and record.last_sent) then return 'the time of its sending is missing' end
  elseif record.state == 'undoing' then
    if not record.context then return 'what it undoes is missing' end
  elseif record.state ~= 'claimed' then
    return 'its state is unknown'
  end
  if record.holder and not record.lease_until then return 'its lease has no end' end
end

-- The reply to a command that reads. If the key is no hash, its `err` is WRONGTYPE; any other failure is the
-- server's, and ends the script.
local function read(...)
  local reply = redis.pcall(...)
  if reply.err and not string.find(reply.err, 'WRONGTYPE', 1, true) then return redis.call(...) end
  return reply
end

-- The record, nil where there is none; then what is wrong with it.
local function read_record()
  local fields = read('HGETALL', RECORD)
  if fields.err then return nil, 'it is no hash' end
  if #fields == 0 then return nil, nil end
  local record = {}
  for i = 1, #fields, 2 do record[fields[i]] = fields[i + 1] end
  return record, problem_of(record)
end

local record, problem = read_record()
if problem then return {'unreadable', problem} end

-- Writes fields; one that is false is removed.
local function write(fields)
  local set, removed = {'version', VERSION}, {}
  for field, value in pairs(fields) do
    if value then
      set[#set + 1] = field
      set[#set + 1] = text(value)
    else
      removed[#removed + 1] = field
    end
  end
  redis.call('HSET', RECORD, unpack(set))
  if #removed > 0 then redis.call('HDEL', RECORD, unpack(removed)) end
  redis.call('PEXPIRE', RECORD, RETENTION)
end
