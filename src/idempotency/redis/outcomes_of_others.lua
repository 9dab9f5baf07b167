-- KEYS: outcomes. Returns the places, counted from one, of those that belong to another request id.
local REQUEST = ARGV[1]

local others = {}
for place, owner in ipairs(redis.call('MGET', unpack(KEYS))) do
  if owner and owner ~= REQUEST then table.insert(others, place) end
end
return others
