
-- What every step under a lease has in common besides.
--
-- KEYS: the record; the lock on its name; for `done`, the outcome.
-- ARGV: what all have; the holder; how long a lease lasts, and the settle window; the fingerprints.

local LOCK = KEYS[2]
local HOLDER, LEASE, SETTLE = ARGV[3], tonumber(ARGV[4]), tonumber(ARGV[5])
local FINGERPRINT, PREVIOUS_FINGERPRINT = ARGV[6], ARGV[7]

local LEASE_LOST = {'lease_lost'}

local time = redis.call('TIME')
local NOW = time[1] * 1000 + math.floor(time[2] / 1000)

-- The lock, nil where the name is free, or MALFORMED.
local function read_lock()
  local owner = redis.call('GET', LOCK)
  if not owner then return nil end
  local left = redis.call('PTTL', LOCK)
  if left < 0 then return MALFORMED end
  return {owner = owner, left = left}
end

local lock = read_lock()
if lock == MALFORMED then return MALFORMED end
local locked_by_another = lock and lock.owner ~= REQUEST

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
