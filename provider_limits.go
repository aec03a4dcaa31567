package aigateway

import (
	"fmt"
	"time"

	"github.com/aigateway-go/aigateway/internal/limit"
)

// limits compiles the limits of a provider, a model or a key.
func (p *problems) limits(path string, l Limits) limit.Limits {
	out := limit.Limits{
		InFlight:          p.atLeastZero(path+".in_flight", l.InFlight),
		RequestsPerMinute: p.atLeastZero(path+".requests_per_minute", l.RequestsPerMinute),
		TokensPerMinute:   p.atLeastZero(path+".tokens_per_minute", l.TokensPerMinute),
		Wait:              l.Wait.parse(p, path+".wait", 0),
	}
	if out.Wait > 0 && l.InFlight == 0 && l.RequestsPerMinute == 0 && l.TokensPerMinute == 0 {
		p.add(path+".wait", string(l.Wait), "has no limit beside it to wait at: give in_flight, requests_per_minute or tokens_per_minute")
	}
	return out
}

func (p *problems) atLeastZero(path string, n int64) int64 {
	if n < 0 {
		p.add(path, fmt.Sprint(n), "must not be negative")
	}
	return max(n, 0)
}

// limit gives each provider, model and key with limits its gate. The gates outlive
// the settings: a reload changes limits and keeps counts.
func (c *catalog) limit(l *limit.Limiter, now time.Time) {
	wanted := map[string]bool{}
	gate := func(lim limit.Limits, kind string, names ...string) *limit.Gate {
		if lim == (limit.Limits{}) {
			return nil
		}
		name := fmt.Sprintf("%s%q", kind, names)
		wanted[name] = true
		return l.Gate(name, now, lim)
	}
	// Gates have names and not pointers to models, to be found again after a
	// reload.
	for _, p := range c.providers {
		id := fold(p.id)
		p.gate = gate(p.limits, "provider", id)
		p.limited = p.gate != nil
		for _, m := range p.models {
			m.gate = gate(m.limits, "model", id, fold(m.id))
		}
		for _, k := range p.keys {
			k.gate = gate(k.limits, "key", id, k.id)
			p.limited = p.limited || k.gate != nil
		}
	}
	// A gate without limits lets its waiters go. Only then is it forgotten.
	var gone []string
	l.Keep(func(name string) bool {
		if !wanted[name] {
			gone = append(gone, name)
		}
		return true
	})
	for _, name := range gone {
		l.Gate(name, now, limit.Limits{}) // whoever waits there may go
	}
	l.Keep(func(name string) bool { return wanted[name] })
}

// limited reports whether a request for the model can meet a limit.
func (m *model) limited() bool { return m.provider.limited || m.gate != nil }
