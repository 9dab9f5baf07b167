
-- ARGV: what all under a lease have; the connection, its etag, how it is known, and how much is kept.
local CONNECTION, ETAG, ORIGIN, KEEP = ARGV[7], ARGV[8], ARGV[9], ARGV[10]

if record and record.state == 'done' then
  return {'already', record.connection, record.etag, record.origin, record.verdict, record.report}
end
if KEEP == 'forget' then
  redis.call('DEL', RECORD)
  return OK
end
write({
  state = 'done', connection = CONNECTION, etag = ETAG, origin = ORIGIN,
  verdict = KEEP == 'remember_unverified' and 'pending',
  done_at = NOW, done_wall = WALL,
  holder = false, lease_until = false,
  -- The content that was sent, should the id have been taken for another since.
  content = record and is_same_content() and record.content or CONTENT,
})
return OK
