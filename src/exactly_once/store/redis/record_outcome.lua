
-- ARGV: what all under a lease have; the outcome, empty where the record is to be removed.
local OUTCOME = ARGV[7]

if record and record.state == 'done' then return {'already', record.outcome} end
if OUTCOME == '' then
  redis.call('DEL', RECORD)
  return OK
end
finish(OUTCOME)
return OK
