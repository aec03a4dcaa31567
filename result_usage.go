package aigateway

import "github.com/aigateway-go/aigateway/internal/price"

// Usage counts the tokens of an attempt, or of all attempts of a request, failed
// ones included. The counts are the provider's, unless Estimated is set.
type Usage struct {
	// InputTokens is the whole prompt, with the tokens that came from a cache or went
	// into one, in every format.
	InputTokens int64 `json:"input_tokens"`
	// CachedInputTokens came from a cache, and CacheWriteTokens went into one.
	CachedInputTokens int64 `json:"cached_input_tokens"`
	CacheWriteTokens  int64 `json:"cache_write_tokens"`
	// OutputTokens is the whole answer, with its reasoning.
	OutputTokens int64 `json:"output_tokens"`
	// ReasoningTokens is the part of the output that was reasoning.
	ReasoningTokens int64 `json:"reasoning_tokens"`
	// Estimated is set where the provider gave no counts, or the stream ended before
	// it gave them all.
	Estimated bool `json:"estimated"`
}

// add adds the usage of another attempt.
func (u *Usage) add(v *Usage) {
	u.InputTokens += v.InputTokens
	u.CachedInputTokens += v.CachedInputTokens
	u.CacheWriteTokens += v.CacheWriteTokens
	u.OutputTokens += v.OutputTokens
	u.ReasoningTokens += v.ReasoningTokens
	u.Estimated = u.Estimated || v.Estimated
}

// Cost is what an attempt, or all attempts of a request, cost.
type Cost struct {
	// USD is the amount.
	USD USD `json:"usd"`
	// Estimated is set if the usage is an estimate, or a part of it has no price of
	// its own: another service tier, sound, images, a cache, or a tool. In the cost of
	// a request it is also set if an attempt without a known price is missing.
	Estimated bool `json:"estimated"`
	// Source is whose prices they are. For a request, those of its last attempt.
	Source CostSource `json:"source"`
}

// CostSource says where a cost comes from.
type CostSource string

const (
	// CostOfProvider is the provider's own figure in its answer.
	CostOfProvider CostSource = "provider"
	// CostOfConfig is from prices in the config.
	CostOfConfig CostSource = "config"
	// CostOfCatalog is from the prices of the registry.
	CostOfCatalog CostSource = "catalog"
)

// USD is money in units of 10⁻¹² USD, so that sums are exact. Its JSON is a number
// of USD with all digits.
type USD int64

// String is the exact decimal in USD, such as "0.000125".
func (u USD) String() string { return price.USD(u).String() }

// Float is the nearest float64 in USD. Add up USD, not floats.
func (u USD) Float() float64 { return price.USD(u).Float() }

// Add returns the sum. Sums out of range end at the end of the range.
func (u USD) Add(v USD) USD { return USD(price.USD(u).Add(price.USD(v))) }

// MarshalJSON writes a JSON number.
func (u USD) MarshalJSON() ([]byte, error) { return price.USD(u).MarshalJSON() }

// UnmarshalJSON reads a JSON number. Digits beyond the twelfth are rounded.
func (u *USD) UnmarshalJSON(data []byte) error { return (*price.USD)(u).UnmarshalJSON(data) }

// ParseUSD reads an amount in USD, such as "12.5". It is false for other text.
func ParseUSD(text string) (USD, bool) {
	v, ok := price.Parse(text)
	return USD(v), ok
}

// knownCost is a cost, if it is known.
type knownCost struct {
	Cost
	known bool
}

// public is nil if the cost is not known.
func (c knownCost) public() *Cost {
	if !c.known {
		return nil
	}
	return &c.Cost
}
