// Package price computes the cost of a request, exactly. It is a leaf: it imports
// the standard library only.
//
// Prices are integers of 10⁻¹² USD for a million tokens or for one call, and sums
// have 128 bits. A cost is rounded once, at the end.
package price

import (
	"errors"
	"math"
	"math/bits"
	"strconv"
	"strings"
)

// USD is money in units of 10⁻¹² USD. Its range ends at 9.2 million USD.
//
// The unit is small enough for one token at the lowest price: 0.01 USD a million
// tokens is 10,000 units a token.
type USD int64

// Dollar is one USD.
const Dollar USD = 1e12

// String returns the exact decimal, such as "0.000125".
func (u USD) String() string { return string(u.append(nil)) }

// append writes the decimal without trailing zeros: 125_000_000 is "0.000125".
func (u USD) append(b []byte) []byte {
	n := uint64(u)
	if u < 0 {
		b, n = append(b, '-'), -n
	}
	b = strconv.AppendUint(b, n/uint64(Dollar), 10)
	fraction := n % uint64(Dollar)
	if fraction == 0 {
		return b
	}
	digits := strconv.AppendUint(nil, uint64(Dollar)+fraction, 10)[1:]
	return append(append(b, '.'), strings.TrimRight(string(digits), "0")...)
}

// MarshalJSON writes a JSON number with all digits.
func (u USD) MarshalJSON() ([]byte, error) { return u.append(nil), nil }

// UnmarshalJSON reads a JSON number. Digits beyond the twelfth are rounded.
func (u *USD) UnmarshalJSON(data []byte) error {
	v, ok := Parse(string(data))
	if !ok {
		return errors.New("not an amount of USD")
	}
	*u = v
	return nil
}

// Float returns the nearest number of USD. Sums belong to USD, and not to it.
func (u USD) Float() float64 { return float64(u) / float64(Dollar) }

// Add returns the sum. A sum out of range is the end of the range.
func (u USD) Add(v USD) USD {
	sum := u + v
	switch {
	case u > 0 && v > 0 && sum < 0:
		return math.MaxInt64
	case u < 0 && v < 0 && sum >= 0:
		return math.MinInt64
	}
	return sum
}

// Parse reads a decimal, such as "0.00125" or "1.25e-3". Digits beyond the twelfth
// behind the point are rounded, half away from zero. It is false for other text and
// for amounts out of range.
//
// strconv.ParseFloat would bring the noise of binary fractions into exact sums.
// Exponents beyond ±400 are refused: no float64 has them.
func Parse(text string) (USD, bool) {
	text, negative := strings.CutPrefix(text, "-")
	exponent := 0
	if i := strings.IndexAny(text, "eE"); i >= 0 {
		n, err := strconv.Atoi(text[i+1:])
		if err != nil || n < -400 || n > 400 {
			return 0, false
		}
		text, exponent = text[:i], n
	}
	whole, fraction, _ := strings.Cut(text, ".")
	digits := whole + fraction
	if digits == "" || strings.Trim(digits, "0123456789") != "" {
		return 0, false
	}
	// The number is 0.digits × 10^point, and 12 digits follow the decimal point.
	places := len(whole) + exponent + 12
	switch {
	case places < 0:
		return 0, true
	case places < len(digits):
		n, ok := number(digits[:places])
		if ok && digits[places] >= '5' && n < math.MaxInt64 {
			n++
		}
		return sign(n, negative), ok
	case places-len(digits) > 30:
		n, ok := number(digits)
		return 0, ok && n == 0
	}
	n, ok := number(digits + strings.Repeat("0", places-len(digits)))
	return sign(n, negative), ok
}

// number reads digits as units of 10⁻¹² USD. It is false if they do not fit.
func number(digits string) (USD, bool) {
	digits = strings.TrimLeft(digits, "0")
	if digits == "" {
		return 0, true
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return USD(n), err == nil
}

// sign negates on demand.
func sign(n USD, negative bool) USD {
	if negative {
		return -n
	}
	return n
}

// sum is a number of 10⁻¹⁸ USD in 128 bits.
//
// 128 bits hold 2⁶³ tokens at the highest rate. Further carries stay at the end.
type sum struct{ hi, lo uint64 }

// add adds n units at a rate.
func (s *sum) add(n int64, r Rate) {
	if n <= 0 || r <= 0 {
		return
	}
	hi, lo := bits.Mul64(uint64(n), uint64(r))
	var carry uint64
	s.lo, carry = bits.Add64(s.lo, lo, 0)
	s.hi, carry = bits.Add64(s.hi, hi, carry)
	if carry != 0 {
		s.hi, s.lo = math.MaxUint64, math.MaxUint64
	}
}

// usd rounds to 10⁻¹² USD, half up.
//
// A sum out of range is the end of USD's range.
func (s *sum) usd() USD {
	const million = 1_000_000
	lo, carry := bits.Add64(s.lo, million/2, 0)
	hi := s.hi + carry
	if hi >= million {
		return math.MaxInt64
	}
	q, _ := bits.Div64(hi, lo, million)
	return USD(min(q, math.MaxInt64))
}
