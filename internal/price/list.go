package price

import (
	"math"
	"math/bits"
	"strconv"
)

// Rate is the price of a million tokens, or of a million calls, in 10⁻¹² USD.
// Unknown is not free.
//
// Negative rates are unknown as well.
type Rate int64

// Unknown is a price that nobody told.
const Unknown Rate = -1

// PerMillion is the price of a million tokens in USD, as its shortest decimal says
// it. Nil is Unknown.
//
// A price of 0.1 means one tenth, and not the nearest binary fraction. A
// negative price is Unknown.
func PerMillion(usd *float64) Rate {
	if usd == nil {
		return Unknown
	}
	v, ok := Parse(strconv.FormatFloat(*usd, 'f', -1, 64))
	if !ok || v < 0 {
		return Unknown
	}
	return Rate(v)
}

// PerCall is the price of one call in USD.
//
// A price out of range is Unknown.
func PerCall(usd float64) Rate {
	v, ok := Parse(strconv.FormatFloat(usd, 'f', -1, 64))
	if !ok || v < 0 || v > math.MaxInt64/1_000_000 {
		return Unknown
	}
	return Rate(v * 1_000_000)
}

// per returns r × a / b, rounded. Unknown stays so.
//
// The product has 128 bits. A division by zero, and a result out of range, are
// Unknown.
func (r Rate) per(a, b Rate) Rate {
	if r < 0 || a < 0 || b <= 0 {
		return Unknown
	}
	hi, lo := bits.Mul64(uint64(r), uint64(a))
	lo, carry := bits.Add64(lo, uint64(b)/2, 0)
	if hi += carry; hi >= uint64(b) {
		return Unknown
	}
	q, _ := bits.Div64(hi, lo, uint64(b))
	if q > math.MaxInt64 {
		return Unknown
	}
	return Rate(q)
}

// or returns r, or another rate if r is Unknown.
func (r Rate) or(other Rate) Rate {
	if r < 0 {
		return other
	}
	return r
}

// Tokens are the prices of a million tokens of each kind.
//
// Unknown is a possible value of each. The zero Tokens are free, so a maker must
// set all.
type Tokens struct {
	Input, Output, CacheRead, CacheWrite, CacheWriteHour Rate
}

// Tier are the prices of requests whose prompt has more tokens than Above.
type Tier struct {
	Above int64
	Tokens
}

// List are the prices of a model. It is not changed after it was made.
//
// A nil List has no prices: [List.Cost] is unknown.
type List struct {
	Tokens
	InputBatch, OutputBatch Rate
	Tiers                   []Tier // ascending
	Tools                   map[string]Rate
}

// Use is the consumption of a request. CacheRead and CacheWrite are parts of Input,
// and CacheWriteHour is a part of CacheWrite.
type Use struct {
	Input, Output, CacheRead, CacheWrite, CacheWriteHour int64

	// ServiceTier is the provider's word. Empty is its usual tier.
	ServiceTier string
	// Media: some of the tokens are sound or images.
	Media bool
	Tools []Calls
}

// Calls counts the calls of a tool.
type Calls struct {
	Tool string
	N    int64
}

// Cost returns the cost of a request. estimated is set if a part of the use has no
// price of its own: the usual price counts for another tier, for sound and images,
// and for caches; calls without a price count for nothing. ok is false if the cost
// is unknown.
//
// A use without any tokens costs nothing. Tokens of a kind with neither a price
// nor a stand-in make the whole cost unknown: a part of a cost would read as the
// cost.
func (l *List) Cost(u Use) (cost USD, estimated, ok bool) {
	if l == nil {
		return 0, false, false
	}
	t := l.at(u.Input)
	switch u.ServiceTier {
	// "on_demand" is Groq's word for its usual tier.
	case "", "default", "standard", "auto", "on_demand":
	case "batch":
		b, known := l.batch(t)
		t, estimated = b, !known
	default:
		estimated = true
	}
	estimated = estimated || u.Media
	hour := min(max(u.CacheWriteHour, 0), u.CacheWrite)
	// An upstream's count of cached tokens may exceed its count of the prompt.
	plain := max(u.Input-u.CacheRead-u.CacheWrite, 0)
	var s sum
	for _, part := range [...]struct {
		n           int64
		rate, other Rate
	}{
		{plain, t.Input, Unknown},
		{u.Output, t.Output, Unknown},
		{u.CacheRead, t.CacheRead, t.Input},
		{u.CacheWrite - hour, t.CacheWrite, t.Input},
		{hour, t.CacheWriteHour, t.CacheWrite.or(t.Input)},
	} {
		if part.n <= 0 {
			continue
		}
		if part.rate < 0 {
			part.rate, estimated = part.other, true
		}
		if part.rate < 0 {
			return 0, false, false
		}
		s.add(part.n, part.rate)
	}
	for _, c := range u.Tools {
		if rate, priced := l.Tools[c.Tool]; priced && rate >= 0 {
			s.add(c.N, rate)
		} else if c.N > 0 {
			estimated = true
		}
	}
	return s.usd(), estimated, true
}

// at returns the prices for a prompt: those of the last tier below it. A price that
// a tier lacks is the base's. Those of caches keep their proportion to the input.
func (l *List) at(input int64) Tokens {
	t := l.Tokens
	for _, tier := range l.Tiers {
		if input <= tier.Above {
			break
		}
		in := tier.Input.or(l.Input)
		t = Tokens{
			Input:          in,
			Output:         tier.Output.or(l.Output),
			CacheRead:      tier.CacheRead.or(l.CacheRead.per(in, l.Input)),
			CacheWrite:     tier.CacheWrite.or(l.CacheWrite.per(in, l.Input)),
			CacheWriteHour: tier.CacheWriteHour.or(l.CacheWriteHour.per(in, l.Input)),
		}
	}
	return t
}

// batch returns prices in a batch, in the proportion of the base's prices.
func (l *List) batch(t Tokens) (Tokens, bool) {
	if l.InputBatch < 0 && l.OutputBatch < 0 {
		return t, false
	}
	in := l.InputBatch.or(l.Input)
	return Tokens{
		Input:          share(t.Input, in, l.Input),
		Output:         share(t.Output, l.OutputBatch.or(l.Output), l.Output),
		CacheRead:      share(t.CacheRead, in, l.Input),
		CacheWrite:     share(t.CacheWrite, in, l.Input),
		CacheWriteHour: share(t.CacheWriteHour, in, l.Input),
	}, true
}

// share returns r × a / b. Where it is the base's price itself it is a, also beside
// a base that is unknown.
func share(r, a, b Rate) Rate {
	if r == b {
		return a
	}
	return r.per(a, b)
}
