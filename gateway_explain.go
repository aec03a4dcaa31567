package aigateway

import (
	"bytes"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/aigateway-go/aigateway/internal/stats"
)

// Explain says what the gateway would do with a request, and sends nothing: the
// Result has the status "dry_run", lists in ModelsTried what would be tried, and
// in NotTried why all other models would not, unless the request's body cannot be
// understood. Where the request would be refused, it also returns the *[Error]; on
// a path or by a method that is not sent on to any provider, the *[Error] alone. It
// reads the request's body, and puts it back.
func (g *Gateway) Explain(r *http.Request) (*Result, error) {
	s := g.current.Load()
	surface, path := s.surfaces.find(r.URL.Path)
	if surface == nil {
		return nil, errorf(CodeNotFound, "%s is no path that the gateway sends on to a provider", r.URL.Path)
	}
	if r.Method != http.MethodPost {
		return nil, errorf(CodeMethodNotAllowed, "%s is called by POST, not %s", r.URL.Path, r.Method)
	}
	x := newExchange(s, nil, r, surface, path)
	err := x.read()
	understood := err == nil
	if understood || x.raw != nil {
		r.Body = io.NopCloser(bytes.NewReader(x.raw))
	}
	if err == nil {
		err = x.choose()
	}
	if err == nil {
		now := time.Now()
		for _, m := range stats.Order(x.plan.candidates, func(m *model) stats.State { return x.rest(m, now) }) {
			x.consider(m)
		}
	}
	res := x.result(err)
	res.Status = StatusDryRun
	if understood {
		res.NotTried = x.notTried()
	}
	if err != nil {
		return res, err
	}
	return res, nil
}

// notTried says of each model of the catalog that is no candidate why it is none.
func (x *exchange) notTried() []RejectedModel {
	q := x.query()
	var out []RejectedModel
	for _, m := range x.s.listed {
		if slices.Contains(x.plan.candidates, m) {
			continue
		}
		r := rejection{name: m.id, provider: m.provider, reason: x.s.rejects(q, m)}
		if r.reason == reasonNone {
			r.reason = x.passedOver(q, m)
		}
		out = append(out, RejectedModel{
			Model: m.id, Provider: m.provider.id, Reason: r.reason.String(), Message: r.message(x.s, q),
		})
	}
	return out
}

// passedOver says why a model that may serve the request is not asked to.
func (x *exchange) passedOver(q query, m *model) reason {
	if len(q.names) > 0 {
		means := func(name string) bool {
			r := x.s.resolve(q, name)
			return slices.Contains(r.models, m)
		}
		if !slices.ContainsFunc(q.names, means) {
			return reasonNotNamed
		}
		return reasonNotChosen
	}
	switch {
	case !m.puts(q.surface.modality):
		return reasonModality
	case len(x.s.strategies) == 0:
		return reasonNotConfigured
	}
	return reasonNotChosen
}
