package dial

import (
	"maps"
	"net/http"
	"net/netip"
	"slices"
)

// Plan is what the Transports of a gateway are made of.
type Plan struct {
	// Check is asked about each address before it is connected to. Nil allows all.
	Check func(netip.Addr) error
	// Providers are the settings by the ids of the providers. Providers of zero
	// settings share one Transport.
	Providers map[string]Settings
	// Wrap returns what sends the requests of a provider; nil stands for base. It
	// is called once for each provider, in the order of the ids, and base is the
	// provider's own. May be nil.
	Wrap func(id string, base *http.Transport) http.RoundTripper
	// Report is told of files that have changed into broken ones; see [New]. It is
	// called for each provider with these files. May be nil.
	Report func(id string, fault *FieldError)
}

// Transports are the transports of the providers of a gateway.
type Transports struct {
	plan   Plan
	shared *Transport // of zero settings
	own    map[string]*Transport
	sends  map[string]http.RoundTripper // by Wrap
}

// ProviderError is a fault of one provider's settings.
type ProviderError struct {
	ID    string
	Fault *FieldError
}

// Error returns the provider and the fault.
func (e *ProviderError) Error() string { return e.ID + ": " + e.Fault.Error() }

// Unwrap returns the fault.
func (e *ProviderError) Unwrap() error { return e.Fault }

// NewTransports makes the Transports of a plan. After a change of the config, old
// are the ones from before: a provider of the same settings keeps its connections,
// unless either plan has a Check or a Wrap. Old may be nil. The error is a
// [*ProviderError].
func NewTransports(p Plan, old *Transports) (*Transports, error) {
	p.Providers = maps.Clone(p.Providers)
	t := &Transports{plan: p, own: map[string]*Transport{}, sends: map[string]http.RoundTripper{}}
	if old != nil && (p.Check != nil || p.Wrap != nil || old.plan.Check != nil || old.plan.Wrap != nil) {
		old = nil
	}
	if old != nil {
		t.shared = old.shared
	} else {
		t.shared, _ = New(Settings{}, p.Check, nil)
	}
	for _, id := range slices.Sorted(maps.Keys(p.Providers)) {
		s := p.Providers[id]
		if s == (Settings{}) && p.Wrap == nil {
			continue
		}
		report := func(f *FieldError) {
			if p.Report != nil {
				p.Report(id, f)
			}
		}
		if old != nil && old.own[id] != nil && old.plan.Providers[id] == s {
			t.own[id] = old.own[id]
			t.own[id].tell(report)
			t.own[id].lookSoon()
			continue
		}
		own, faults := New(s, p.Check, report)
		if len(faults) > 0 {
			return nil, &ProviderError{id, faults[0]}
		}
		t.own[id] = own
		if p.Wrap != nil {
			if wrapped := p.Wrap(id, own.Base()); wrapped != nil {
				t.sends[id] = wrapped
			}
		}
	}
	return t, nil
}

// For returns what sends the requests of a provider.
func (t *Transports) For(id string) http.RoundTripper {
	if sends := t.sends[id]; sends != nil {
		return sends
	}
	if own := t.own[id]; own != nil {
		return own
	}
	return t.shared
}

// CloseIdleConnections closes the connections without a request.
func (t *Transports) CloseIdleConnections() {
	t.shared.CloseIdleConnections()
	for _, own := range t.own {
		own.CloseIdleConnections()
	}
}

// Retire closes the connections of t without a request. The next Transports keep the
// connections they have taken over.
func (t *Transports) Retire(next *Transports) {
	if t.shared != next.shared {
		t.shared.CloseIdleConnections()
	}
	for id, own := range t.own {
		if next.own[id] != own {
			own.CloseIdleConnections()
		}
	}
}
