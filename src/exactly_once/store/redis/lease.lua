
-- What every step under a lease has in common besides.
--
-- ARGV: what all have; the claim of the holder; how long a lease lasts; the wall clock of the caller; the fingerprints
-- of the content.

local HOLDER, LEASE, WALL = ARGV[2], tonumber(ARGV[3]), ARGV[4]
local CONTENT, PREVIOUS_CONTENT = ARGV[5], ARGV[6]

-- A holder is 32 digits; the number of its claim follows.
local function is_of_same_holder()
  return record.holder and string.sub(record.holder, 1, 32) == string.sub(HOLDER, 1, 32)
end

local function is_held()
  return record and record.state ~= 'done' and record.holder == HOLDER
end

local function is_same_content()
  return record.content == CONTENT or PREVIOUS_CONTENT ~= '' and record.content == PREVIOUS_CONTENT
end

-- Writes fields, and a new lease.
local function hold(fields)
  fields.holder = HOLDER
  fields.lease_until = NOW + LEASE
  write(fields)
end

-- Ends the creation with an outcome.
local function finish(outcome)
  write({
    state = 'done', outcome = outcome, done_at = NOW, done_wall = WALL,
    holder = false, lease_until = false, context = false,
    -- The content that was sent, should the id have been taken for another since.
    content = record and is_same_content() and record.content or CONTENT,
  })
end
