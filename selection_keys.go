package aigateway

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
)

// keyChoice is the strategies' choice from a provider's keys.
type keyChoice struct {
	keys     []*apiKey
	affinity *expr.Affinity[expr.Key] // nil unless sticky() placed the first key
	notes    []string                 // which keys the strategies left out by themselves
	err      *Error
}

// keysFor has the strategies choose from a candidate's keys, and order them.
// inFlight returns the requests under way with a key.
func (s *selector) keysFor(ctx context.Context, m *model, q query, inFlight func(*apiKey) int64) (c keyChoice) {
	keys := m.provider.keys
	in := expr.KeyInput{
		Keys: make([]*expr.Key, len(keys)), Request: q.request, Rand: s.rand,
		InFlight: func(i int) int64 { return inFlight(keys[i]) },
	}
	now := s.metrics.Get(time.Now())
	for i, k := range keys {
		in.Keys[i] = now.ofKey(k)
	}
	// Pins are looked up only if a strategy calls sticky().
	if s.uses.Sticky {
		in.Pinned = func(sum uint64) *expr.Key {
			at, ok := s.pins.Get(time.Now(), keyPin(q.owner, sum, m.provider))
			if i := slices.IndexFunc(keys, func(k *apiKey) bool { return k.pin() == at }); ok && i >= 0 {
				return in.Keys[i]
			}
			return nil
		}
	}
	for i, st := range s.keyStrategies {
		sel, err := st.eval.Eval(ctx, &in)
		for _, n := range sel.Notes {
			c.notes = append(c.notes, fmt.Sprintf("api_key_selection.strategy[%d] for provider %q: %s", i, m.provider.id, n))
		}
		if err != nil {
			c.err = errorf(CodeAPIKeySelectionFailed, "%s", publicCause(err))
			c.err.Err = fmt.Errorf("api_key_selection.strategy[%d] for provider %q: %w", i, m.provider.id, err)
			return c
		}
		if len(sel.Keys) == 0 {
			continue
		}
		c.affinity = sel.Affinity
		c.keys = make([]*apiKey, 0, len(sel.Keys))
		for _, v := range sel.Keys {
			// The same key is not tried twice.
			if j := slices.Index(in.Keys, v); j >= 0 && !slices.Contains(c.keys, keys[j]) {
				c.keys = append(c.keys, keys[j])
			}
		}
		return c
	}
	c.err = errorf(CodeNoAPIKey, "no strategy of api_key_selection chose a key of provider %q", m.provider.id)
	return c
}
