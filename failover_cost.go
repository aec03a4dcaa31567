package aigateway

import (
	"github.com/aigateway-go/aigateway/internal/price"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// account notes what an attempt consumed and what it cost. An attempt without an
// answer consumed nothing that anybody could know.
func (h *held) account() {
	if h.a == nil {
		return
	}
	told := h.meter.Tokens()
	h.a.input, h.a.output = told.Input, told.Output
	if !told.Known && !h.consumed() {
		return
	}
	u := h.a.consume()
	*u = Usage{
		InputTokens: told.Input, CachedInputTokens: told.CacheRead, CacheWriteTokens: told.CacheWrite,
		OutputTokens: told.Output, ReasoningTokens: told.Reasoning,
	}
	if cut := h.stream != nil && !h.stream.Finished(); !told.Known || cut {
		u.Estimated = true
		if u.InputTokens == 0 {
			u.InputTokens = h.in.estimate()
		}
		u.OutputTokens = max(u.OutputTokens, h.written.Tokens())
	}
	h.a.cost = h.a.model.cost(*u, told.CacheWriteHour, h.meter.Bill())
}

// consumed reports whether the upstream has answered something that is counted in
// tokens.
func (h *held) consumed() bool {
	switch {
	case !h.surface.metered:
		return false
	case h.stream != nil:
		return !h.stream.Empty()
	}
	return h.answered || h.a.committed
}

// meterWhole estimates the output of a whole answer that does not tell it.
func (h *held) meterWhole(data []byte) {
	h.answered = true
	if !h.meter.Tokens().Known && !h.s.selector.usesEstimates {
		h.written.Body(data)
	}
}

// estimate is the number of tokens of the prompt, counted or estimated once.
func (in *inbound) estimate() int64 {
	if in.tokens == 0 {
		in.tokens = usage.Estimate(in.raw)
	}
	return in.tokens
}

// consume returns the usage of an attempt that has one.
func (a *attempt) consume() *Usage {
	a.used = true
	return &a.usage
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

// total is the usage and the cost of all attempts. The usage is nil if nothing was
// consumed.
func (t *trail) total() (u *Usage, c knownCost) {
	missing := false
	for _, a := range t.attempts {
		if !a.used {
			continue
		}
		if u == nil {
			u = new(Usage)
		}
		u.add(&a.usage)
		missing = missing || !a.cost.known
		if a.cost.known {
			c = knownCost{Cost{c.USD.Add(a.cost.USD), c.Estimated || a.cost.Estimated, a.cost.Source}, true}
		}
	}
	c.Estimated = c.known && (c.Estimated || missing)
	return u, c
}

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

// Price returns the prices of a provider's model, by their ids or aliases: those of
// the config over those of the registry. It is false if the prices, or the model,
// are unknown. The caller owns them.
func (g *Gateway) Price(provider, model string) (Pricing, bool) {
	p := g.current.Load().selector.byName[fold(provider)]
	if p == nil {
		return Pricing{}, false
	}
	m := p.byName[fold(model)]
	if m == nil || m.pricing == nil {
		return Pricing{}, false
	}
	return *clonePricing(m.pricing), true
}
