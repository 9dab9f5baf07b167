
local CONNECTION, ETAG, REMEMBER = ARGV[8], ARGV[9], ARGV[10] == 'remember'

local owner = redis.call('GET', OUTCOME)
if owner and owner ~= REQUEST then return {'belongs_to_another'} end
if record and record.state == 'done' then
  if record.connection == CONNECTION then return OK end
  return {'already', record.connection, record.etag}
end

local known_for = 2 * SETTLE
if REMEMBER then
  -- The content that was sent, should the id have been taken for another since.
  local fingerprint = FINGERPRINT
  if record and PREVIOUS_FINGERPRINT ~= '' and record.fingerprint == PREVIOUS_FINGERPRINT then
    fingerprint = PREVIOUS_FINGERPRINT
  end
  write_record({state = 'done', fingerprint = fingerprint, connection = CONNECTION, etag = ETAG})
  known_for = RETENTION
else
  redis.call('DEL', RECORD)
end
local known_already = owner and redis.call('PTTL', OUTCOME) or 0
set_for(OUTCOME, math.max(known_for, known_already))
end_lock()
return OK
