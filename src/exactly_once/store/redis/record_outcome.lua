
-- ARGV: what all under a lease have; the outcome, empty where the record is to be removed.
local OUTCOME = ARGV[7]

if record and record.state == 'done' then return {'already', record.outcome} end
if OUTCOME == '' then
  redis.call('DEL', RECORD)
  return OK
end
write({
  state = 'done', outcome = OUTCOME, done_at = NOW, done_wall = WALL,
  holder = false, lease_until = false, context = false,
  -- The content that was sent, should the id have been taken for another since.
  content = record and is_same_content() and record.content or CONTENT,
})
return OK
