package aigateway

import (
	"errors"
	"net/http"

	"github.com/aigateway-go/aigateway/internal/dial"
)

// connect gives each provider the sender of its requests. The replaced settings
// hand on their connections; nil if there are none.
func (s *settings) connect(cfg Config, old *settings) error {
	if cfg.Transport != nil {
		for _, p := range s.selector.providers {
			p.transport = cfg.Transport
		}
		return nil
	}
	plan := dial.Plan{Check: s.checkAddr(), Providers: map[string]dial.Settings{}, Report: s.reportFile}
	if wrap := cfg.ProviderTransport; wrap != nil {
		plan.Wrap = func(id string, base *http.Transport) http.RoundTripper { return wrap(id, base) }
	}
	for _, p := range s.selector.providers {
		plan.Providers[p.id] = p.network
	}
	var before *dial.Transports
	if old != nil {
		before = old.transports
	}
	var err error
	if s.transports, err = dial.NewTransports(plan, before); err != nil {
		var p problems
		path := ""
		var fault *dial.ProviderError
		if errors.As(err, &fault) {
			path = "providers[" + fault.ID + "]." + fault.Fault.Field
		}
		p.add(path, "", "%v", err)
		return p.err()
	}
	for _, p := range s.selector.providers {
		p.transport, p.dialled = s.transports.For(p.id), true
	}
	return nil
}

// retire closes the connections left unused by the next settings.
func (s *settings) retire(next *settings) {
	switch {
	case s.transports == nil:
	case next.transports == nil:
		s.transports.CloseIdleConnections()
	default:
		s.transports.Retire(next.transports)
	}
}

// reportFile logs a file of a provider that has changed into a broken one.
func (s *settings) reportFile(provider string, fault *dial.FieldError) {
	s.logger.Warn("a file of a provider cannot be read: its last good content stays in force",
		"provider", provider, "field", fault.Field, "error", fault.Err.Error())
}
