-- What every step has in common. Each script is this one with its own text appended.
--
-- KEYS: the record; the lock on its name; for `done`, the outcome.
-- All that is read is read before the first write, so that an error changes nothing.

local RECORD, LOCK, OUTCOME = KEYS[1], KEYS[2], KEYS[3]
local REQUEST, HOLDER = ARGV[1], ARGV[2]
local LEASE, SETTLE, RETENTION = tonumber(ARGV[3]), tonumber(ARGV[4]), tonumber(ARGV[5])
local FINGERPRINT, PREVIOUS_FINGERPRINT = ARGV[6], ARGV[7]

local MALFORMED = {'malformed'}
local LEASE_LOST = {'lease_lost'}
local OK = {'ok'}

local FIELDS = {'state', 'fingerprint', 'holder', 'lease_until', 'first_sent', 'last_sent', 'connection', 'etag'}

local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)

local function integer(text)
  return string.find(text, '^%d+$') and #text <= 15 and tonumber(text) or nil
end

local function is_well_formed(record)
  if not record.fingerprint then return false end
  if record.state == 'done' then return record.connection and record.etag end
  if record.holder and not record.lease_until then return false end
  if record.state == 'claimed' then return true end
  return (record.state == 'sending' or record.state == 'unknown') and record.first_sent and record.last_sent
end

-- The record, nil where there is none, or MALFORMED.
local function read_record()
  if redis.call('EXISTS', RECORD) == 0 then return nil end
  local values = redis.call('HMGET', RECORD, unpack(FIELDS))
  local record = {}
  for i, field in ipairs(FIELDS) do
    record[field] = values[i] or nil
  end
  for _, field in ipairs({'lease_until', 'first_sent', 'last_sent'}) do
    if record[field] then
      record[field] = integer(record[field])
      if not record[field] then return MALFORMED end
    end
  end
  return is_well_formed(record) and record or MALFORMED
end

local function text(value)
  return type(value) == 'number' and string.format('%.0f', value) or value
end

local function write_record(record)
  local pairs_of = {}
  for _, field in ipairs(FIELDS) do
    if record[field] then
      table.insert(pairs_of, field)
      table.insert(pairs_of, text(record[field]))
    end
  end
  redis.call('DEL', RECORD)
  redis.call('HSET', RECORD, unpack(pairs_of))
  redis.call('PEXPIRE', RECORD, text(RETENTION))
end

-- The lock, nil where the name is free, or MALFORMED.
local function read_lock()
  local owner = redis.call('GET', LOCK)
  if not owner then return nil end
  local left = redis.call('PTTL', LOCK)
  if left < 0 then return MALFORMED end
  return {owner = owner, left = left}
end

local record = read_record()
local lock = read_lock()
if record == MALFORMED or lock == MALFORMED then return MALFORMED end
local locked_by_another = lock and lock.owner ~= REQUEST

-- SET with an expiry of zero is an error.
local function set_for(key, milliseconds)
  redis.call('SET', key, REQUEST, 'PX', text(math.max(milliseconds, 1)))
end

-- Takes the lock, or sets its end. The lock of another stays as it is.
local function set_lock(milliseconds)
  if not locked_by_another then
    set_for(LOCK, milliseconds)
    lock = {owner = REQUEST, left = milliseconds}
  end
end

local function extend_lock(milliseconds)
  set_lock(math.max(milliseconds, lock and lock.left or 0))
end

local function end_lock()
  if lock and not locked_by_another then redis.call('DEL', LOCK) end
end

local function is_held()
  return record and record.state ~= 'done' and record.holder == HOLDER
end

-- Writes the record with a new lease, and extends the lock to its end.
local function hold()
  record.holder = HOLDER
  record.lease_until = NOW + LEASE
  write_record(record)
  extend_lock(LEASE)
end
