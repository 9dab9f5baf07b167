
local OUTCOME = KEYS[3]
local CONNECTION, ETAG, KEEP = ARGV[8], ARGV[9], ARGV[10]

local owner = redis.call('GET', OUTCOME)
if owner and owner ~= REQUEST then return {'belongs_to_another'} end
if record and record.state == 'done' then return outcome('already') end

if KEEP == 'forget' then
  redis.call('DEL', RECORD)
else
  -- The content that was sent, should the id have been taken for another since.
  local fingerprint = FINGERPRINT
  if record and PREVIOUS_FINGERPRINT ~= '' and record.fingerprint == PREVIOUS_FINGERPRINT then
    fingerprint = PREVIOUS_FINGERPRINT
  end
  local verdict = KEEP == 'remember_unverified' and 'pending' or nil
  write_record({
    state = 'done', fingerprint = fingerprint, connection = CONNECTION, etag = ETAG, verdict = verdict,
  })
end
set_for(OUTCOME, RETENTION)
end_lock()
return OK
