package aigateway

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/limit"
	"github.com/aigateway-go/aigateway/internal/price"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// provider is a Provider in the form for serving requests: merged, checked and
// compiled. Only its forms, its gates and the tracks change.
type provider struct {
	id         string
	names      []string // folded: the id, then the aliases
	view       *expr.Provider
	configured bool // in the config
	known      bool // in the registry
	disabled   bool
	models     []*model
	byName     map[string]*model // folded ids and aliases

	base      *url.URL // with the path that surfaces are joined to
	target    *url.URL // where base's host really is; its scheme and host are dialled
	hasTarget bool     // target was mapped by internal_endpoints
	keys      []*apiKey
	keyless   []*apiKey // stands in if there are no keys
	needsKey  bool      // without a key there is no use in asking
	// refusesMaxTokens is set for hosts whose newer models take only
	// max_completion_tokens.
	refusesMaxTokens bool
	// sendsUsage is set for providers of streams with usage that nobody asked for.
	sendsUsage bool
	auth       Auth
	timeout    time.Duration
	firstToken time.Duration // 0: off
	limits     limit.Limits
	gate       *limit.Gate   // nil without limits
	limited    bool          // it or one of its keys has limits
	network    dial.Settings // how target is reached
	transport  http.RoundTripper
	dialled    bool // transport ends in the gateway's own
	surfaces   []apiSurface
	translates map[*surface]*surface // from the client's to the provider's; nil: off
	unproven   map[*surface]*surface // likewise, once the provider turns out not to speak the client's
	strict     bool                  // translate: strict
	// sharedLists lets all callers list the things behind the provider's keys, and
	// uncheckedBatches lets batches pass whose requests cannot be checked.
	sharedLists, uncheckedBatches bool
	headers                       []field // the provider's over the gateway's
	query                         []field
	body                          []bodyField
	// operatorAuth lists the configured headers that carry a credential. They beat
	// the key.
	operatorAuth []string
	forms        knownForms
	discover     Discover
}

// apiSurface is an APISurface, compiled.
type apiSurface struct {
	format format
	name   string // empty: all of the format
	params map[string]bool
}

// apiKey is a configured key. Its value is resolved for each use.
type apiKey struct {
	id       string
	provider string // folded
	value    *expr.Template
	// perRequest is set if the value depends on the request. Each value then has a
	// health of its own.
	perRequest bool
	// none is set for the stand-in of a provider without keys. Its limits are the
	// provider's.
	none   bool
	track  *stats.Track // of the text in the config
	limits limit.Limits
	gate   *limit.Gate // nil without limits
}

// field is a configured header or query parameter.
type field struct {
	name   string
	value  *expr.Template
	secret bool // by its name, a literal value is a credential
}

// bodyField is a configured field of the body: raw JSON if it is constant,
// otherwise a tree to evaluate for each request.
type bodyField struct {
	name string
	raw  []byte
	tree any
}

// model is a Model at its provider, compiled.
type model struct {
	id         string
	full       string   // with the provider's prefix; empty: not made beforehand
	names      []string // folded: the id, then the aliases
	provider   *provider
	view       *expr.Model
	configured bool
	disabled   bool
	unlisted   bool     // neither the catalog nor the config lists it
	discovered bool     // only the provider itself lists it
	denied     []string // parameters that must not reach it
	timeout    time.Duration
	firstToken time.Duration // 0: off
	fallbacks  []fallback
	track      *stats.Track

	pricing     *Pricing // nil if unknown
	prices      *price.List
	priceSource CostSource
	limits      limit.Limits
	gate        *limit.Gate // nil without limits
}

// fallback is a model that another one falls back to, as the config names it.
type fallback struct {
	path, name string
	provider   *provider
	id         string
}

// name is the model's name with its provider's prefix. A client can ask for it so.
//
// A request without a model has the provider's name alone.
func (m *model) name() string {
	switch {
	case m.full != "":
		return m.full
	case m.id == "":
		return m.provider.id
	}
	return m.provider.id + ":" + m.id
}

// credential is the key that a client brought. It is zero if the client brought no
// key.
type credential struct {
	value redact.Secret
	// bearer is set if it came as Authorization: Bearer.
	bearer bool
}

// given reports whether the client brought a key.
func (c credential) given() bool { return c.value.Reveal() != "" }

// keyForm is the header for a key, if the provider's auth does not name one: in the
// anthropic format two are in use.
type keyForm uint32

const (
	formOfClient  keyForm = iota // as the client sent its own key
	formBearer                   // Authorization: Bearer KEY
	formKeyHeader                // X-Api-Key: KEY
)

// bearer reports whether the form is Authorization: Bearer.
func (f keyForm) bearer(client credential) bool {
	return f == formBearer || f == formOfClient && client.bearer
}

// knownForms remembers the forms of keys that a provider accepted, and the form to
// use whatever the client sent. The low bits hold the accepted forms, the bits from
// the fourth up the keyForm to use. It is safe for concurrent use.
type knownForms struct{ bits atomic.Uint32 }

// uses is the form to send a key in. Zero, formOfClient, until an answer has
// decided.
func (k *knownForms) uses() keyForm { return keyForm(k.bits.Load() >> 4) }

// takes reports whether a key was accepted in a form.
func (k *knownForms) takes(bearer bool) bool { return k.bits.Load()&formBit(bearer) != 0 }

// accepted notes that a key was accepted in a form. If the other form was refused
// with the same key, this form is used from now on.
func (k *knownForms) accepted(bearer, otherRefused bool) {
	form := formKeyHeader
	if bearer {
		form = formBearer
	}
	for {
		old := k.bits.Load()
		bits := old | formBit(bearer)
		if otherRefused {
			bits = bits&0xF | uint32(form)<<4 // the newest answer counts
		}
		if bits == old || k.bits.CompareAndSwap(old, bits) {
			return
		}
	}
}

// formBit is the form's bit among the accepted ones.
func formBit(bearer bool) uint32 {
	if bearer {
		return 1
	}
	return 2
}

// other is the form to try after f was refused.
func (f keyForm) other(client credential) keyForm {
	if f.bearer(client) {
		return formKeyHeader
	}
	return formBearer
}

// fold is a name in the form for comparison. Ids and aliases compare
// case-insensitively.
func fold(name string) string { return strings.ToLower(name) }

// speaks returns the provider's entry for a surface. An entry for the surface comes
// before an entry for the whole format.
func (p *provider) speaks(s *surface) (*apiSurface, bool) {
	var found *apiSurface
	for i := range p.surfaces {
		a := &p.surfaces[i]
		if a.format != s.format {
			continue
		}
		if a.name == s.offer() {
			return a, true
		}
		if a.name == "" && found == nil {
			found = a
		}
	}
	return found, found != nil
}

// speaksFormat reports whether the provider has any surface of the format.
func (p *provider) speaksFormat(f format) bool {
	return slices.ContainsFunc(p.surfaces, func(a apiSurface) bool { return a.format == f })
}

// catalog holds every provider and model that a request may name: the configured
// ones in the config's order, then the registry's. It is immutable once the gateway
// serves.
type catalog struct {
	providers []*provider
	byName    map[string]*provider // folded ids and aliases
	models    map[string][]*model  // folded ids and aliases, in the providers' order
	listed    []*model             // all of them, in that order
	byView    map[*expr.Model]*model
	views     []*expr.Provider
	authors   []*expr.Author
}

// learn takes over the accepted forms of keys from the catalog before a reload, for
// providers with the same id, address and auth.
func (c *catalog) learn(old *catalog) {
	for _, p := range c.providers {
		was := old.byName[fold(p.id)]
		if was != nil && p.base != nil && fold(was.id) == fold(p.id) && was.base.String() == p.base.String() && was.auth == p.auth {
			p.forms.bits.Store(was.forms.bits.Load())
		}
	}
}

// newCatalog indexes the providers. If several have a name, the first keeps it.
func newCatalog(providers []*provider) *catalog {
	c := &catalog{
		providers: providers, byName: map[string]*provider{}, models: map[string][]*model{},
		byView: map[*expr.Model]*model{},
	}
	authors := map[string]*expr.Author{}
	for _, p := range providers {
		c.views = append(c.views, p.view)
		for _, name := range p.names {
			if c.byName[name] == nil {
				c.byName[name] = p
			}
		}
		p.view.Shadowed = c.byName[fold(p.id)] != p
		p.byName = make(map[string]*model, len(p.models))
		for _, m := range p.models {
			c.listed = append(c.listed, m)
			c.byView[m.view] = m
			for _, name := range m.names {
				p.byName[name] = m
				c.models[name] = append(c.models[name], m)
			}
			if id := m.view.AuthorID; authors[fold(id)] == nil {
				a := &expr.Author{ID: id, DisplayName: id}
				authors[fold(id)] = a
				c.authors = append(c.authors, a)
			}
		}
	}
	// An author that is also a provider goes by the provider's names.
	for _, a := range c.authors {
		if p := c.byName[fold(a.ID)]; p != nil {
			names := append([]string{p.id}, p.view.IDAliases...)
			a.IDAliases = slices.DeleteFunc(names, func(name string) bool { return strings.EqualFold(name, a.ID) })
			a.DisplayName = p.view.DisplayName
		}
	}
	for _, m := range c.listed {
		m.view.AuthorIDAliases = authors[fold(m.view.AuthorID)].IDAliases
	}
	return c
}

// track attaches the health and metrics of each model and key. They outlive the
// settings, so a reload forgets nothing.
func (c *catalog) track(r *stats.Recorder) {
	for _, p := range c.providers {
		for _, m := range p.models {
			m.track = r.Model(fold(p.id), fold(m.id))
		}
		for _, k := range append(slices.Clone(p.keys), p.keyless...) {
			k.track = r.Key(fold(p.id), k.id)
		}
	}
}

// addressField is the field of the config that sets the provider's address.
func addressField(p *provider) string {
	if p.hasTarget {
		return "internal_endpoints"
	}
	return "base_url"
}

// targetURL is the provider's real address, in the notation of internal_endpoints.
func targetURL(p *provider) string {
	if address.Socket(p.target.Host) != "" {
		return "unix://" + shownTarget(p.target.Host)
	}
	return p.target.Scheme + "://" + p.target.Host
}

// shownTarget is the host of a target; a unix socket by its path.
func shownTarget(host string) string {
	if socket := address.Socket(host); socket != "" {
		return socket
	}
	return host
}

// maxStreamHabits bounds the (provider, model) pairs whose habit is remembered.
const maxStreamHabits = 1 << 14

// streamHabit says how a model sends usage in chat streams.
type streamHabit uint8

const (
	habitUnknown streamHabit = iota
	// habitAsk: usage comes only if it is asked for.
	habitAsk
	// habitUnasked: usage comes by itself.
	habitUnasked
	// habitRefuse: the model must not be asked. It refuses stream_options, or its
	// provider compresses the stream.
	habitRefuse
)

// streamHabits remembers the habit of each (provider, model). It belongs to a
// gateway and outlives its settings. Pairs beyond maxStreamHabits stay unknown.
type streamHabits struct {
	mu    sync.RWMutex
	known map[streamRoute]streamHabit
}

// streamRoute is a model at an address. An overlay with another address is another
// route.
type streamRoute struct{ host, path, model string }

func (m *model) streamRoute() streamRoute {
	return streamRoute{m.provider.base.Host, m.provider.base.Path, m.id}
}

func (h *streamHabits) of(m *model) streamHabit {
	if m.provider.sendsUsage {
		return habitUnasked
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	if habit := h.known[m.streamRoute()]; habit != habitUnknown || !m.provider.known {
		return habit
	}
	return habitAsk
}

func (h *streamHabits) learn(m *model, habit streamHabit) {
	route := m.streamRoute()
	h.mu.Lock()
	defer h.mu.Unlock()
	if _, ok := h.known[route]; !ok && len(h.known) >= maxStreamHabits {
		return
	}
	if h.known == nil {
		h.known = map[streamRoute]streamHabit{}
	}
	h.known[route] = habit
}

// allKeys are the provider's keys, or the stand-in for none.
func (p *provider) allKeys() []*apiKey {
	if len(p.keys) == 0 {
		return p.keyless
	}
	return p.keys
}
