-- Takes from all accounts or from none.
--
-- KEYS: the key of each take. ARGV: seven for each take: 'bucket', 'budget' or 'lease',
--   the owner, the amount, 1 to settle, the limit, the time of a bucket in µs, the TTL in ms.
-- Returns 1 if all was taken, the index of the first refused take, its wait in µs; then
--   for each account the rest of a bucket, the sum of a budget, or the sum of a lease.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local nowMs = math.floor(now / 1000)

local function int(n) return string.format('%.0f', n) end

-- Sums of money need 63 bits, and Lua's numbers have 53. A big number is a pair: billions
-- and the rest.
local billion = 1e9
local function big(text)
	local sign = 1
	if string.sub(text, 1, 1) == '-' then sign, text = -1, string.sub(text, 2) end
	return {sign * tonumber('0' .. string.sub(text, 1, -10)), sign * tonumber(string.sub(text, -9))}
end
local function plus(a, b)
	local low = a[2] + b[2]
	local carry = math.floor(low / billion)
	return {a[1] + b[1] + carry, low - carry * billion}
end
local function more(a, b) return a[1] > b[1] or a[1] == b[1] and a[2] > b[2] end
local function text(a)
	if a[1] == 0 then return int(a[2]) end
	return int(a[1]) .. string.format('%09.0f', a[2])
end
local zero = {0, 0}

-- Fractions of tokens are inexact, by less than this.
local tiny = 1e-6

local kinds = {}

-- A bucket keeps what is used of it, and when that was so.
kinds.bucket = {
	load = function(key)
		local v = redis.call('HMGET', key, 'used', 'at')
		return {used = tonumber(v[1] or 0), at = tonumber(v[2] or now)}
	end,
	take = function(a, t)
		a.limit, a.per = t.limit, t.per
		a.used = math.max(0, a.used - math.max(0, now - a.at) * t.limit / t.per)
		a.at = math.max(a.at, now)
		local left = t.limit - a.used
		local need = math.min(t.amount, t.limit)
		if t.amount == 0 then need = 1 end
		if not t.settle and t.amount >= 0 and left + tiny < need then
			return math.ceil((need - left) * t.per / t.limit)
		end
		a.used = math.max(0, a.used + t.amount)
	end,
	rest = function(a) return int(math.floor(a.limit - a.used + tiny)) end,
	save = function(key, a)
		if a.used <= tiny then
			redis.call('DEL', key)
			return
		end
		redis.call('HSET', key, 'used', string.format('%.17g', a.used), 'at', int(a.at))
		redis.call('PEXPIRE', key, int(math.ceil(a.used * a.per / a.limit / 1000) + 1))
	end,
}

-- A budget keeps its sum. Its end is that of the key.
kinds.budget = {
	load = function(key)
		local sum = redis.call('GET', key)
		return {sum = big(sum or '0'), old = sum}
	end,
	take = function(a, t)
		a.ttl = t.ttl
		local amount, limit = big(t.text), big(t.limitText)
		local sum = plus(a.sum, amount)
		local probe = sum
		if t.amount == 0 then probe = plus(a.sum, {0, 1}) end
		if not t.settle and t.amount >= 0 and more(probe, limit) then
			if a.old then return math.max(0, redis.call('PTTL', t.key)) * 1000 end
			return t.ttl * 1000
		end
		if more(zero, sum) then sum = zero end
		a.sum = sum
	end,
	rest = function(a) return text(a.sum) end,
	save = function(key, a)
		if a.old then
			redis.call('SET', key, text(a.sum), 'KEEPTTL')
		else
			redis.call('SET', key, text(a.sum), 'PX', int(a.ttl))
		end
	end,
}

-- A lease keeps amount and end of each owner.
kinds.lease = {
	load = function(key)
		local v = redis.call('HGETALL', key)
		local a = {parts = {}, dead = {}, changed = {}}
		for i = 1, #v, 2 do
			local amount, stop = string.match(v[i + 1], '^(%d+) (%d+)$')
			if tonumber(stop) > nowMs then
				a.parts[v[i]] = {tonumber(amount), tonumber(stop)}
			else
				a.dead[v[i]] = true
			end
		end
		return a
	end,
	sum = function(a)
		local sum = 0
		for _, part in pairs(a.parts) do sum = sum + part[1] end
		return sum
	end,
	take = function(a, t)
		local held = a.parts[t.owner] and a.parts[t.owner][1] or 0
		if not t.settle and t.amount > 0 and kinds.lease.sum(a) + t.amount > t.limit then return 0 end
		held = t.settle and t.amount or held + t.amount
		a.changed[t.owner] = true
		a.parts[t.owner] = held > 0 and {held, nowMs + t.ttl} or nil
	end,
	rest = function(a) return int(kinds.lease.sum(a)) end,
	save = function(key, a)
		for owner in pairs(a.changed) do
			local part = a.parts[owner]
			if part then redis.call('HSET', key, owner, int(part[1]) .. ' ' .. int(part[2])) else a.dead[owner] = true end
		end
		for owner in pairs(a.dead) do redis.call('HDEL', key, owner) end
		local last = 0
		for _, part in pairs(a.parts) do last = math.max(last, part[2]) end
		if last > 0 then redis.call('PEXPIREAT', key, int(last)) end
	end,
}

-- What is not taken is read again, so that the rests are those before.
local function run(takes)
	local accounts = {}
	local function account(t)
		accounts[t.key] = accounts[t.key] or {kind = t.kind, state = t.kind.load(t.key)}
		return accounts[t.key].state
	end
	for i, t in ipairs(takes) do
		local wait = t.kind.take(account(t), t)
		if wait then return nil, i, wait end
	end
	return accounts
end

local takes = {}
for i, key in ipairs(KEYS) do
	local at = (i - 1) * 7
	takes[i] = {
		key = key, kind = kinds[ARGV[at + 1]], owner = ARGV[at + 2], text = ARGV[at + 3], amount = tonumber(ARGV[at + 3]),
		settle = ARGV[at + 4] == '1', limitText = ARGV[at + 5], limit = tonumber(ARGV[at + 5]),
		per = tonumber(ARGV[at + 6]), ttl = tonumber(ARGV[at + 7]),
	}
end
local accounts, full, wait = run(takes)
if not accounts then
	local out = {0, full - 1, int(wait)}
	for i, t in ipairs(takes) do
		local a = t.kind.load(t.key)
		if t.kind == kinds.bucket then
			t.amount, t.settle = 0, true
			t.kind.take(a, t)
		end
		out[i + 3] = t.kind.rest(a)
	end
	return out
end
local out = {1, 0, '0'}
for key, a in pairs(accounts) do a.kind.save(key, a.state) end
for i, t in ipairs(takes) do out[i + 3] = t.kind.rest(accounts[t.key].state) end
return out
