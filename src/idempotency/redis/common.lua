-- What every step on a record has in common. Each script is this one with its own text appended.
--
-- KEYS: the record; then those of the script.
-- ARGV: the request id; how long it is remembered; then those of the script.
-- All that is read is read before the first write, so that an error changes nothing.

local RECORD = KEYS[1]
local REQUEST, RETENTION = ARGV[1], tonumber(ARGV[2])

local MALFORMED = {'malformed'}
local OK = {'ok'}

local FIELDS = {
  'state', 'fingerprint', 'holder', 'lease_until', 'first_sent', 'last_sent',
  'connection', 'etag', 'verdict', 'report',
}

-- The verdicts, and whether there is a report with them.
local IS_REPORTED = {pending = false, passed = true, failed = true, deleted = true}

local function integer(text)
  return string.find(text, '^%d+$') and #text <= 15 and tonumber(text) or nil
end

-- Without verification, and before there was any, a record has neither field.
local function has_well_formed_verdict(record)
  if not record.verdict then return not record.report end
  return IS_REPORTED[record.verdict] == (record.report ~= nil)
end

local function is_well_formed(record)
  if not record.fingerprint then return false end
  if record.state == 'done' then
    return record.connection and record.etag and has_well_formed_verdict(record)
  end
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

-- SET with an expiry of zero is an error.
local function set_for(key, milliseconds)
  redis.call('SET', key, REQUEST, 'PX', text(math.max(milliseconds, 1)))
end

local record = read_record()
if record == MALFORMED then return MALFORMED end

-- The answer that has the outcome of a record that is done. To Redis it ends before the first field
-- that is missing.
local function outcome(word)
  return {word, record.connection, record.etag, record.verdict, record.report}
end
