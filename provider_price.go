package aigateway

import (
	"maps"
	"slices"

	"github.com/aigateway-go/aigateway/internal/price"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// priceList compiles prices. Nil is unknown.
func priceList(p *Pricing) *price.List {
	if p == nil {
		return nil
	}
	l := &price.List{
		Tokens: price.Tokens{
			Input: price.PerMillion(p.Input), Output: price.PerMillion(p.Output), CacheRead: price.PerMillion(p.InputCacheRead),
			CacheWrite: price.PerMillion(p.InputCacheWrite), CacheWriteHour: price.PerMillion(p.InputCacheWrite1h),
		},
		InputBatch: price.PerMillion(p.InputBatch), OutputBatch: price.PerMillion(p.OutputBatch),
	}
	for _, t := range p.Tiers {
		l.Tiers = append(l.Tiers, price.Tier{Above: t.AboveInputTokens, Tokens: price.Tokens{
			Input: price.PerMillion(t.Input), Output: price.PerMillion(t.Output), CacheRead: price.PerMillion(t.InputCacheRead),
			CacheWrite: price.PerMillion(t.InputCacheWrite), CacheWriteHour: price.PerMillion(t.InputCacheWrite1h),
		}})
	}
	for name, usd := range p.Tools {
		if l.Tools == nil {
			l.Tools = map[string]price.Rate{}
		}
		l.Tools[name] = price.PerCall(usd)
	}
	return l
}

// clonePricing copies prices to their depth.
func clonePricing(p *Pricing) *Pricing {
	if p == nil {
		return nil
	}
	c := *p
	for _, price := range []**float64{
		&c.Input, &c.Output, &c.InputCacheRead, &c.InputCacheWrite, &c.InputCacheWrite1h, &c.InputBatch, &c.OutputBatch,
	} {
		*price = clonePrice(*price)
	}
	c.Tiers = slices.Clone(c.Tiers)
	for i := range c.Tiers {
		t := &c.Tiers[i]
		for _, price := range []**float64{&t.Input, &t.Output, &t.InputCacheRead, &t.InputCacheWrite, &t.InputCacheWrite1h} {
			*price = clonePrice(*price)
		}
	}
	c.Tools = maps.Clone(c.Tools)
	return &c
}

func clonePrice(p *float64) *float64 {
	if p == nil {
		return nil
	}
	v := *p
	return &v
}

// cost is what a use of the model costs. It is false if that is unknown.
func (m *model) cost(u Usage, hour int64, b usage.Bill) (c knownCost) {
	if own, ok := price.Parse(b.Cost); ok {
		return knownCost{Cost{USD: USD(own), Source: CostOfProvider}, true}
	}
	if b.Ticks > 0 && b.Ticks < 1<<53 {
		return knownCost{Cost{USD: USD(b.Ticks) * 100, Source: CostOfProvider}, true}
	}
	use := price.Use{
		Input: u.InputTokens, Output: u.OutputTokens,
		CacheRead: u.CachedInputTokens, CacheWrite: u.CacheWriteTokens, CacheWriteHour: hour,
		ServiceTier: b.ServiceTier, Media: b.Media > 0,
	}
	for _, t := range b.Tools {
		use.Tools = append(use.Tools, price.Calls{Tool: t.Name, N: t.Calls})
	}
	usd, estimated, ok := m.prices.Cost(use)
	return knownCost{Cost{USD: USD(usd), Estimated: estimated || u.Estimated, Source: m.priceSource}, ok}
}
