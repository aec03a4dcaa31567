-- Exchanges records with the store in one atomic step.
--
-- KEYS: fleet (a hash: epoch, seq, run, looked), records (a hash: rank, end and value),
--   changes (keys by the number of their last change), ends (keys by their end).
-- ARGV: 'write' or 'read', a name for a new epoch, the cursor's epoch and seq, the most
--   records and bytes to return; then key, rank, TTL in ms and value of each record.
-- Returns epoch, seq, the server's time in µs, 1 if there is more; then key and stored
--   text of each record. A stored text is 19 digits of rank, 15 of the end in ms, the value.
local fleet, records, changes, ends = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
local writes = ARGV[1] == 'write'
local fresh, after, afterSeq = ARGV[2], ARGV[3], tonumber(ARGV[4])
local most, room = tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)

local function int(n) return string.format('%.0f', n) end
local function ending(text) return tonumber(string.sub(text, 20, 34)) end

local known = redis.call('HMGET', fleet, 'epoch', 'seq', 'run', 'looked')
local epoch, seq, run, looked = known[1], tonumber(known[2] or 0), known[3] or '', tonumber(known[4] or 0)

-- The four keys belong together. A server that evicts keys may have taken one.
local n = redis.call('HLEN', records)
local whole = epoch and redis.call('ZCARD', changes) == n and redis.call('ZCARD', ends) == n

-- Another process may have an older state: a replica after a failover, or a backup. The
-- question costs more than the rest, so it is not asked each time.
local looks = not whole or math.abs(now - looked) >= 500
local moved = false
if looks then
	local info = redis.pcall('INFO', 'server')
	local id = type(info) == 'string' and string.match(info, 'run_id:(%w+)')
	if id then
		moved = run ~= id
		run = id
	end
end
local behind = after == epoch and afterSeq > seq
local lost = not whole or moved or behind
if lost then epoch = fresh end

if writes then
	-- HSET comes first: a full server refuses it, and then nothing has been done.
	if lost or looks then
		redis.call('HSET', fleet, 'epoch', epoch, 'seq', int(seq), 'run', run, 'looked', int(now))
	end
	if not whole then redis.call('DEL', records, changes, ends) end
end

local function put()
	local rows, keys = {}, {}
	for i = 7, #ARGV, 4 do keys[#keys + 1] = ARGV[i] end
	local old = redis.call('HMGET', records, unpack(keys))
	local seen, last = {}, 0
	for i, key in ipairs(keys) do
		local at = 3 + i * 4
		local text, rank = seen[key] or old[i], ARGV[at + 1]
		-- Digits of one length are in the order of their numbers.
		if not text or ending(text) <= now or string.sub(text, 1, 19) < rank then
			local stop = now + tonumber(ARGV[at + 2])
			local new = rank .. string.format('%015.0f', stop) .. ARGV[at + 3]
			seq, seen[key], last = seq + 1, new, math.max(last, stop)
			rows[#rows + 1] = {key, new, seq, stop}
		end
	end
	if #rows == 0 then return end
	redis.call('HSET', fleet, 'seq', int(seq))
	for _, row in ipairs(rows) do
		redis.call('HSET', records, row[1], row[2])
		redis.call('ZADD', changes, int(row[3]), row[1])
		redis.call('ZADD', ends, int(row[4]), row[1])
	end
	-- A key lives as long as its longest record. Purged keys have begun anew, without an end.
	local tail = redis.call('ZREVRANGE', ends, 0, 0, 'WITHSCORES')[2]
	for _, key in ipairs({records, changes, ends}) do redis.call('PEXPIREAT', key, int(tail)) end
	redis.call('PEXPIREAT', fleet, int(math.max(tonumber(tail), now + 3600000)))
end

-- No replica keeps more records than the bound, so the store does not either: those that
-- changed longest ago go.
local bound = 262144
local function trim()
	local over = redis.call('ZCARD', changes) - bound
	while over > 0 do
		local oldest = redis.call('ZRANGE', changes, 0, math.min(over, 1000) - 1)
		redis.call('HDEL', records, unpack(oldest))
		redis.call('ZREM', changes, unpack(oldest))
		redis.call('ZREM', ends, unpack(oldest))
		over = over - #oldest
	end
end
if writes and #ARGV > 6 then
	put()
	trim()
end
if writes and redis.call('PTTL', fleet) < 1800000 then
	redis.call('PEXPIREAT', fleet, int(now + 3600000))
end

-- Ended records go, a few at a time. A full server allows it, a read-only one does not.
local gone = redis.call('ZRANGEBYSCORE', ends, '-inf', int(now), 'LIMIT', 0, 200)
if #gone > 0 and type(redis.pcall('HDEL', records, unpack(gone))) == 'number' then
	redis.call('ZREM', changes, unpack(gone))
	redis.call('ZREM', ends, unpack(gone))
end

local from = 0
if after == epoch then from = afterSeq end
local out = {epoch, seq, int(time[1] * 1000000 + time[2]), 0}
local count = 0
while most > 0 and from < seq do
	local page = redis.call('ZRANGEBYSCORE', changes, '(' .. int(from), '+inf', 'WITHSCORES', 'LIMIT', 0, 100)
	if #page == 0 then break end
	local keys = {}
	for i = 1, #page, 2 do keys[#keys + 1] = page[i] end
	local texts = redis.call('HMGET', records, unpack(keys))
	for i, key in ipairs(keys) do
		if count >= most or room <= 0 then
			out[2], out[4] = from, 1
			return out
		end
		from = tonumber(page[2 * i])
		if texts[i] and ending(texts[i]) > now then
			out[#out + 1], out[#out + 2] = key, texts[i]
			count, room = count + 1, room - #key - #texts[i]
		end
	end
end
return out
