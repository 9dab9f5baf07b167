
local CONNECTION, ETAG, REMEMBER = ARGV[8], ARGV[9], ARGV[10] == 'remember'

local owner = redis.call('GET', OUTCOME)
if owner and owner ~= REQUEST then return {'belongs_to_another'} end
if record and record.state == 'done' then
  if record.connection == CONNECTION then return OK end
  return {'already', record.connection, record.etag}
end

if REMEMBER then
  -- The content that was sent, should the id have been taken for another since.
  local fingerprint = FINGERPRINT
  if record and PREVIOUS_FINGERPRINT ~= '' and record.fingerprint == PREVIOUS_FINGERPRINT then
    fingerprint = PREVIOUS_FINGERPRINT
  end
  write_record({state = 'done', fingerprint = fingerprint, connection = CONNECTION, etag = ETAG})
else
  redis.call('DEL', RECORD)
end
set_for(OUTCOME, RETENTION)
end_lock()
return OK
