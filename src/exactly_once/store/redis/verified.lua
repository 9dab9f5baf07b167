
-- ARGV: what all have; the connection, the verdict and the report on it.
-- Returns OK where the given verdict is the answer.
local CONNECTION, VERDICT, REPORT = ARGV[2], ARGV[3], ARGV[4]

local is_outcome = record and record.state == 'done' and record.connection == CONNECTION
if not is_outcome or not record.verdict then return OK end

local is_news = record.verdict == 'pending' and VERDICT ~= 'pending'
  or record.verdict == 'failed' and VERDICT == 'deleted'
if not is_news then return {'recorded', record.verdict, record.report} end
write({verdict = VERDICT, report = REPORT})
return OK
