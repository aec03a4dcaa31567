package aigateway

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecodeCatalogIsStrict(t *testing.T) {
	got, err := decodeCatalog([]byte(`[{"id":"a","models":[{"id":"m","pricing":{"input":0}}]}]`))
	require.NoError(t, err)
	require.Len(t, got, 1)
	assert.InDelta(t, 0, *got[0].Models[0].Pricing.Input, 0)
	assert.Nil(t, got[0].Models[0].Pricing.Output, "not known is not the same as free")

	for name, doc := range map[string]string{
		"unknown provider field": `[{"id":"a","baseurl":"x"}]`,
		"unknown model field":    `[{"id":"a","models":[{"id":"m","context":1}]}]`,
		"unknown price":          `[{"id":"a","models":[{"id":"m","pricing":{"inputs":1}}]}]`,
		"wrong type":             `[{"id":1}]`,
		"no list":                `{"id":"a"}`,
		"cut off":                `[{"id":"a"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeCatalog([]byte(doc))
			require.Error(t, err)
		})
	}
}

// TestOverlayPricing: tiers belong to the prices that they stand beside.
func TestOverlayPricing(t *testing.T) {
	price := func(n float64) *float64 { return &n }
	catalog := &Pricing{
		Input: price(1), Output: price(2), InputCacheWrite1h: price(3),
		Tiers: []PricingTier{{AboveInputTokens: 100, Input: price(4)}},
	}
	own := []PricingTier{{AboveInputTokens: 7, Input: price(8)}}
	for name, c := range map[string]struct {
		over, want *Pricing
	}{
		"nothing":          {nil, catalog},
		"a tool's price":   {&Pricing{Tools: map[string]float64{"t": 1}}, &Pricing{Input: price(1), Output: price(2), InputCacheWrite1h: price(3), Tiers: catalog.Tiers, Tools: map[string]float64{"t": 1}}},
		"an hour's price":  {&Pricing{InputCacheWrite1h: price(9)}, &Pricing{Input: price(1), Output: price(2), InputCacheWrite1h: price(9), Tiers: catalog.Tiers}},
		"an input price":   {&Pricing{Input: price(9)}, &Pricing{Input: price(9), Output: price(2), InputCacheWrite1h: price(3)}},
		"tiers":            {&Pricing{Tiers: own}, &Pricing{Input: price(1), Output: price(2), InputCacheWrite1h: price(3), Tiers: own}},
		"prices and tiers": {&Pricing{Output: price(9), Tiers: own}, &Pricing{Input: price(1), Output: price(9), InputCacheWrite1h: price(3), Tiers: own}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, overlayPricing(catalog, c.over))
		})
	}
	assert.Equal(t, "2026-12-31", overlayModel(Model{ID: "m", ShutdownDate: "2026-12-31"}, Model{ID: "m"}).ShutdownDate)
	assert.Equal(t, "2027-01-01", overlayModel(Model{ID: "m", ShutdownDate: "2026-12-31"}, Model{ID: "m", ShutdownDate: "2027-01-01"}).ShutdownDate)
}
