
-- ARGV: what all have; the expected outcome and the new one.
local EXPECTED, OUTCOME = ARGV[2], ARGV[3]

if not record or record.state ~= 'done' then return OK end
if record.outcome ~= EXPECTED then return {'already', record.outcome} end
write({outcome = OUTCOME})
return OK
