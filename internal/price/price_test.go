package price

import (
	"encoding/json"
	"math"
	"math/big"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct {
		text string
		want USD
		ok   bool
	}{
		{"0", 0, true}, {"1", Dollar, true}, {"1.5", 15e11, true}, {"0.000000000001", 1, true}, {"0.0000000000005", 1, true},
		{"0.0000000000004", 0, true}, {"1e-3", 1e9, true}, {"1.25E+2", 125 * Dollar, true}, {"-0.5", -5e11, true}, {".5", 5e11, true},
		{"0.00000000000000000000001", 0, true}, {"1e-400", 0, true}, {"0e300", 0, true}, {"9223372.036854775807", math.MaxInt64, true},
		{"9223372.036854775808", 0, false}, {"1e30", 0, false}, {"", 0, false}, {"-", 0, false}, {"1.2.3", 0, false}, {"x", 0, false}, {"1e", 0, false}, {"NaN", 0, false},
	} {
		got, ok := Parse(tt.text)
		assert.Equal(t, tt.ok, ok, tt.text)
		if tt.ok {
			assert.Equal(t, tt.want, got, tt.text)
		}
	}
}

func TestUSDText(t *testing.T) {
	for text, u := range map[string]USD{"0": 0, "1": Dollar, "0.000125": 125e6, "-0.5": -5e11, "12.000000000001": 12*Dollar + 1, "9223372.036854775807": math.MaxInt64} {
		assert.Equal(t, text, u.String())
		data, err := json.Marshal(u)
		require.NoError(t, err)
		var back USD
		require.NoError(t, json.Unmarshal(data, &back))
		assert.Equal(t, u, back)
	}
	assert.Error(t, new(USD).UnmarshalJSON([]byte(`"1"`)))
	assert.Equal(t, USD(math.MaxInt64), USD(math.MaxInt64).Add(1))
	assert.Equal(t, USD(math.MinInt64), USD(math.MinInt64).Add(-1))
	assert.Equal(t, USD(3), USD(1).Add(2))
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0.1", "1e-12", "-3.5e2", "123456.7890123456789", "5e-13"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		got, ok := Parse(text)
		if !ok {
			return
		}
		want, valid := new(big.Rat).SetString(text)
		if !valid {
			return // ".5e1" and its like are not numbers for everybody
		}
		want.Mul(want, big.NewRat(int64(Dollar), 1))
		diff := new(big.Rat).Sub(want, new(big.Rat).SetInt64(int64(got)))
		if diff.Abs(diff).Cmp(big.NewRat(1, 2)) > 0 {
			t.Fatalf("%q is %d", text, got)
		}
	})
}

func usd(v float64) Rate { return PerMillion(&v) }

// sonnet are the prices of a model with everything, in tiers.
var sonnet = &List{
	Tokens:     Tokens{Input: usd(3), Output: usd(15), CacheRead: usd(0.3), CacheWrite: usd(3.75), CacheWriteHour: usd(6)},
	InputBatch: usd(1.5), OutputBatch: usd(7.5),
	Tiers: []Tier{{200_000, Tokens{Input: usd(6), Output: usd(22.5), CacheRead: Unknown, CacheWrite: Unknown, CacheWriteHour: Unknown}}},
	Tools: map[string]Rate{"web_search": PerCall(0.01)},
}

func TestCost(t *testing.T) {
	noCache := &List{Tokens: Tokens{Input: usd(1), Output: usd(2), CacheRead: Unknown, CacheWrite: Unknown, CacheWriteHour: Unknown}, InputBatch: Unknown, OutputBatch: Unknown}
	inputOnly := &List{Tokens: Tokens{usd(0.02), Unknown, Unknown, Unknown, Unknown}, InputBatch: Unknown, OutputBatch: Unknown}
	for _, tt := range []struct {
		name      string
		list      *List
		use       Use
		want      string
		estimated bool
	}{
		{"plain", sonnet, Use{Input: 1000, Output: 200}, "0.006", false},
		{"cache", sonnet, Use{Input: 1000, CacheRead: 700, CacheWrite: 200, CacheWriteHour: 50, Output: 1}, "0.0013875", false},
		{"a tier begins above its threshold", sonnet, Use{Input: 200_000, Output: 1}, "0.600015", false},
		{"the tier for all tokens", sonnet, Use{Input: 200_001, Output: 2}, "1.200051", false},
		{"a tier's cache in proportion", sonnet, Use{Input: 200_001, CacheRead: 200_001}, "0.1200006", false},
		{"batch", sonnet, Use{Input: 1000, Output: 200, ServiceTier: "batch"}, "0.003", false},
		{"batch with cache", sonnet, Use{Input: 1000, CacheRead: 1000, ServiceTier: "batch"}, "0.00015", false},
		{"batch in a tier", sonnet, Use{Input: 300_000, Output: 1000, ServiceTier: "batch"}, "0.91125", false},
		{"batch without a price", noCache, Use{Input: 1000, ServiceTier: "batch"}, "0.001", true},
		{"priority", sonnet, Use{Input: 1000, ServiceTier: "priority"}, "0.003", true},
		{"standard", sonnet, Use{Input: 1000, ServiceTier: "standard"}, "0.003", false},
		{"media", sonnet, Use{Input: 1000, Media: true}, "0.003", true},
		{"a cache without a price", noCache, Use{Input: 1000, CacheRead: 500}, "0.001", true},
		{"tools", sonnet, Use{Input: 1000, Tools: []Calls{{"web_search", 3}}}, "0.033", false},
		{"a tool without a price", sonnet, Use{Input: 1000, Tools: []Calls{{"file_search", 3}}}, "0.003", true},
		{"nothing", sonnet, Use{}, "0", false},
		{"embeddings", inputOnly, Use{Input: 7}, "0.00000014", false},
		{"below a trillionth", &List{Tokens: Tokens{Input: 1}}, Use{Input: 499_999}, "0", false},
		{"half of it", &List{Tokens: Tokens{Input: 1}}, Use{Input: 500_000}, "0.000000000001", false},
		{"more than there is", &List{Tokens: Tokens{Input: math.MaxInt64}}, Use{Input: math.MaxInt64}, USD(math.MaxInt64).String(), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, estimated, ok := tt.list.Cost(tt.use)
			require.True(t, ok)
			assert.Equal(t, tt.want, got.String())
			assert.Equal(t, tt.estimated, estimated)
		})
	}
	for _, l := range []*List{nil, inputOnly} {
		_, _, ok := l.Cost(Use{Input: 1, Output: 1})
		assert.False(t, ok, "unknown is not free")
	}
}

func TestRates(t *testing.T) {
	assert.Equal(t, Unknown, PerMillion(nil))
	negative, nan := -1.0, math.NaN()
	assert.Equal(t, Unknown, PerMillion(&negative))
	assert.Equal(t, Unknown, PerMillion(&nan))
	assert.Equal(t, Unknown, PerCall(math.Inf(1)))
	tenth := 0.1
	assert.Equal(t, Rate(100_000_000_000), PerMillion(&tenth), "the decimal, not the float")
}
