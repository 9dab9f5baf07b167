-- Takes every command that the other scripts take, on a key that no record has: what these need is there, or
-- this reports what is missing. It writes, as a creation does.
--
-- KEYS: the key. ARGV: for how long it may stay where it cannot be deleted, in milliseconds.
-- Returns OK; or 'failed', the error reply, and the commands that got it.
local KEY = KEYS[1]

local COMMANDS = {
  {'TIME'}, {'HSET', KEY, 'a', '1', 'b', '1'}, {'PEXPIRE', KEY, ARGV[1]}, {'HMGET', KEY, 'a'}, {'HGETALL', KEY},
  {'HDEL', KEY, 'a'}, {'DEL', KEY},
}

local failed
for _, command in ipairs(COMMANDS) do
  local reply = redis.pcall(unpack(command))
  if type(reply) == 'table' and reply.err then
    failed = failed or {'failed', reply.err}
    -- Others may fail for want of what this one should have done, or in the same way.
    if reply.err == failed[2] then failed[#failed + 1] = command[1] end
  end
end
return failed or {'ok'}
