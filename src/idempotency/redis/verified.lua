
-- KEYS: the record; the outcome.
-- ARGV: what all have; the connection, the verdict and the report on it.
-- Returns OK where the given verdict is the answer.
local OUTCOME = KEYS[2]
local CONNECTION, VERDICT, REPORT = ARGV[3], ARGV[4], ARGV[5]

local is_outcome = record and record.state == 'done' and record.connection == CONNECTION
if not is_outcome or not record.verdict then return OK end

local is_news = record.verdict == 'pending' and VERDICT ~= 'pending'
  or record.verdict == 'failed' and VERDICT == 'deleted'
if not is_news then return {'recorded', record.verdict, record.report} end

record.verdict, record.report = VERDICT, REPORT
write_record(record)
-- It has to be known for as long as the record.
set_for(OUTCOME, RETENTION)
return OK
