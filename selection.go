package aigateway

import (
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway/internal/builtin"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/fleet"
	"github.com/aigateway-go/aigateway/internal/measure"
	"github.com/aigateway-go/aigateway/internal/pins"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// selector chooses the models and keys of a request. It reads the catalog, the
// restriction flags and the strategies, and nothing else of the gateway: it does no
// I/O and counts nothing. It is safe for concurrent use.
type selector struct {
	*catalog

	onlyProviders bool // only_allow_configured_providers
	onlyModels    bool // only_allow_configured_models
	// passThrough is set if no provider is configured: the client's own key goes to
	// the provider that it asks for.
	passThrough bool
	// sole is the one allowed provider, if exactly one is allowed and it lists no
	// models. It gets the unlisted names.
	sole *provider

	strategies    []strategy
	keyStrategies []keyStrategy
	usesMetrics   bool // whether a strategy for models does
	uses          expr.Uses

	aliases   aliases
	fallbacks bool // whether a model has some

	memo     memo
	indexes  sync.Map // nameKey to *expr.Names
	recorder *stats.Recorder
	metrics  *stats.Snapshot[*metrics]
	pins     *pinTable
	told     *fleet.Pins     // nil without a fleet
	rand     func(n int) int // nil: math/rand/v2; tests give one
}

// strategy is one entry of model_selection.
type strategy struct {
	text string
	eval *expr.Strategy
}

// keyStrategy is one entry of api_key_selection.
type keyStrategy struct {
	text string
	eval *expr.KeyStrategy
}

// query is the part of a request that decides its candidates.
type query struct {
	surface *surface
	// names are the client's models, model first. Words that leave the choice to
	// the gateway are left out.
	names []string
	// credential is set if the client brought a key of its own.
	credential bool
	request    *expr.Request
	provider   *provider // that the request must go to; nil: any
	owner      uint64    // of pins: a keyed hash of the caller, 0 if callers are not told apart
}

// plan is the result of a selection.
type plan struct {
	candidates []*model
	rejections []rejection
	runs       []strategyRun
}

// strategyRun is one run of one strategy.
type strategyRun struct {
	strategy int    // index in selector.strategies, -1 if there are no strategies
	name     string // the client's name that it ran for
	chosen   []*model
	notes    []string
	err      error
	affinity *expr.Affinity[expr.Model] // nil unless sticky() placed the first model
}

// rejection is a model that cannot serve the request, with the reason.
type rejection struct {
	name     string    // as the client sent it, or the model's id
	provider *provider // nil if no provider knows the name
	reason   reason
}

// reason says why a model cannot serve a request.
type reason uint8

const (
	reasonNone reason = iota
	reasonUnknown
	reasonProviderNotAllowed
	reasonModelNotAllowed
	reasonProviderDisabled
	reasonModelDisabled
	reasonFormat
	reasonSurface
	reasonNoKey
	reasonOtherProvider
	reasonTooLong
	reasonElsewhere
	// The reasons below come only from Explain, about models able to serve the
	// request.
	reasonNotNamed
	reasonNotChosen
	reasonModality
	reasonNotConfigured
)

// reasonWords are a word for programs and a sentence for people: what is wrong, and a remedy
// if the client or the operator has one. The places of a sentence are [1] the name, [2]
// the provider, [3] the format, [4] the surface and [5] the modality of the request.
var reasonWords = [...]struct {
	word     string
	sentence string // empty: see unknownModel
}{
	reasonNone:               {word: string(CodeNoMatchingModels)},
	reasonUnknown:            {word: string(CodeNoMatchingModels)},
	reasonProviderNotAllowed: {string(CodeProviderNotAllowed), "model %[1]q: provider %[2]q is not configured, and only_allow_configured_providers is set"},
	reasonModelNotAllowed:    {string(CodeModelNotAllowed), "model %[1]q is not configured at provider %[2]q, and only_allow_configured_models is set"},
	reasonProviderDisabled:   {"provider_disabled", "model %[1]q: provider %[2]q is disabled"},
	reasonModelDisabled:      {"model_disabled", "model %[1]q is disabled at provider %[2]q"},
	reasonFormat:             {"format_not_supported", "model %[1]q: provider %[2]q does not speak the %[3]s format of this request"},
	reasonSurface:            {"surface_not_supported", "model %[1]q: provider %[2]q does not offer %[4]s"},
	reasonNoKey:              {string(CodeNoAPIKey), "model %[1]q: provider %[2]q needs an API key and has none"},
	reasonOtherProvider:      {string(CodeNoAPIKey), "model %[1]q: the client's key went with its first model, and is not sent to provider %[2]q as well"},
	reasonTooLong:            {string(CodeNoMatchingModels), fmt.Sprintf("model %%[1]q: the name is too long, %d bytes are the limit", maxModelName)},
	reasonElsewhere:          {"other_provider", "model %[1]q of %[2]q: an id of the request, or " + headerProvider + ", leads to another provider"},
	reasonNotNamed:           {"not_named", "model %[1]q of %[2]q: the request names other models"},
	reasonNotChosen:          {"not_chosen", "model %[1]q of %[2]q: no strategy of model_selection chose it"},
	reasonModality:           {"modality_not_supported", "model %[1]q of %[2]q: it does not output %[5]s"},
	reasonNotConfigured:      {"not_configured", "model %[1]q of %[2]q: the request names no model, so only configured models are used"},
}

// String is the reason as a word for programs.
func (r reason) String() string { return reasonWords[r].word }

// Bounds of the pins of a gateway. A pin takes about 250 bytes.
const (
	maxPins      = 65_536
	maxPinsOwner = maxPins / 16 // of one caller
	pinLife      = 10 * time.Minute
)

// pinTable remembers the models and keys that served a key of sticky(), unless they
// were the first of their order. The table outlives the settings.
type pinTable = pins.Table[pinned]

// newPins makes the table of a gateway.
func newPins() *pinTable { return pins.NewTable[pinned](maxPins, maxPinsOwner, pinLife) }

// pinned is a model or a key, by the folded id of its provider and its own id.
type pinned = pins.Place

// pin is the model's identity in a pin. It outlives a reload, unlike a pointer.
func (m *model) pin() pinned  { return pinned{Provider: fold(m.provider.id), ID: fold(m.id)} }
func (k *apiKey) pin() pinned { return pinned{Provider: k.provider, ID: k.id} }

// aliases are the operator's own names for lists of names.
type aliases struct {
	byName map[string][]string // by the folded name
	names  []string            // as in the config, sorted
}

// expand replaces aliases by their names, each alias once.
// The order is kept, with an alias's names in its place. Names stay as often as
// they are given: the plan takes each model once.
func (a *aliases) expand(names []string, c *catalog) []string {
	names = a.withoutWindow(names, c)
	if len(a.byName) == 0 || !slices.ContainsFunc(names, a.has) {
		return names
	}
	var out []string
	seen := map[string]bool{}
	for _, name := range names {
		entries, ok := a.byName[fold(name)]
		switch {
		case !ok:
			out = append(out, name)
		case !seen[fold(name)]:
			seen[fold(name)] = true
			out = append(out, entries...)
		}
	}
	return out
}

// windowMark ends a name for which Claude Code counts with a window of a million tokens.
// The mark is its own, and no part of the model's name. It cuts the mark off, but not in
// all of its requests.
const windowMark = "[1m]"

// withoutWindow cuts the mark off names that nobody has with it. names is not changed.
func (a *aliases) withoutWindow(names []string, c *catalog) []string {
	for i, name := range names {
		bare := name
		for len(bare) > len(windowMark) && strings.EqualFold(bare[len(bare)-len(windowMark):], windowMark) {
			bare = bare[:len(bare)-len(windowMark)]
		}
		if bare != name && !a.has(name) && !c.lists(name) {
			names = slices.Clone(names)
			names[i] = bare
		}
	}
	return names
}

// has reports whether a name is an alias. Case does not count.
func (a *aliases) has(name string) bool { return a.byName[fold(name)] != nil }

// metricsInterval is how old the metrics of a strategy may be. A choice made from
// them holds as long. It is short enough to follow requests in flight, and long
// enough to cost nothing under load.
const metricsInterval = 100 * time.Millisecond

// newMetrics returns a source of snapshots.
func newMetrics(r *stats.Recorder) *stats.Snapshot[*metrics] {
	return measure.NewSource(r, metricsInterval)
}

// metrics is a snapshot of the models' measurements.
type metrics = measure.Snapshot

// metrics returns the metrics of a model at the time of a snapshot. An unlisted model
// has no metrics, as nothing keeps a track for the names that clients make up until they
// are sent.
func (m *model) metrics(now *metrics) *expr.ModelMetrics {
	if m.track == nil {
		return nil
	}
	if v := now.Model(m.track); v != nil {
		return v
	}
	keys := make(map[string]*expr.KeyMetrics, len(m.provider.keys))
	for _, k := range m.provider.keys {
		keys[k.id] = now.Key(k.id, k.track).Metrics
	}
	return now.Read(m.track, keys)
}

// isOwn reports whether a key is the caller's own: it depends on the request, or is the
// client's.
func (s *selector) isOwn(k *apiKey) bool { return k.perRequest || k.none && s.passThrough }

// headerProvider names the provider of a request that has neither a model nor a known
// id. It does not reach the provider.
const headerProvider = "X-Aigateway-Provider"

// message is the reason as a sentence for people.
func (r rejection) message(s *selector, q query) string {
	sentence := reasonWords[r.reason].sentence
	if sentence == "" {
		return s.unknownModel(r.name, q)
	}
	var id string
	if r.provider != nil {
		id = r.provider.id
	}
	message := fmt.Sprintf(sentence, r.name, id, q.surface.format, q.surface.name, q.surface.modality)
	if r.reason == reasonProviderNotAllowed && s.sole != nil && strings.Contains(r.name, ":") {
		message += fmt.Sprintf("; to ask %q for a model of that name, send %q", s.sole.id, s.sole.id+":"+r.name)
	}
	return message
}

// maxModelName bounds a name in a request, in bytes. Real names are far shorter.
// Without a bound a client would decide how much is searched and remembered.
const maxModelName = 1 << 10

// shown is a name for logs and Results, cut if it is over the bound.
// A longer one keeps about its first 64 bytes.
func shown(name string) string {
	if len(name) <= maxModelName {
		return name
	}
	return redact.OneLine(name, 64)
}

// isAuto reports a name that leaves the choice to the gateway.
// The second word is that of ngrok's gateway, see docs/migrating.md.
func isAuto(name string) bool {
	return name == "" || strings.EqualFold(name, "auto") || strings.EqualFold(name, "ngrok/auto")
}

// Three questions decide whether a model may be used, from the general to the
// request at hand: allows, bars, rejects.

// allows reports whether only_allow_configured_providers lets requests use a
// provider.
func (s *selector) allows(p *provider) bool { return p.configured || !s.onlyProviders }

// bars gives the reason if no request at all may use a model.
//
// The flags of the whole config come first.
func (s *selector) bars(m *model) reason {
	switch {
	case !s.allows(m.provider):
		return reasonProviderNotAllowed
	case s.onlyModels && !m.configured:
		return reasonModelNotAllowed
	case m.provider.disabled:
		return reasonProviderDisabled
	case m.disabled:
		return reasonModelDisabled
	}
	return reasonNone
}

// rejects gives the reason if this request may not use a model. A query whose
// surface has only a format stands for any request of the format.
func (s *selector) rejects(q query, m *model) reason {
	if r := s.bars(m); r != reasonNone {
		return r
	}
	if !m.provider.serves(q.surface) {
		if !m.provider.speaksFormat(q.surface.format) {
			return reasonFormat
		}
		return reasonSurface
	}
	if m.provider.needsKey && len(m.provider.keys) == 0 && !(s.passThrough && q.credential) {
		return reasonNoKey
	}
	return reasonNone
}

// anyOf is a query for any request of a format.
// Lists of models have a format, and no surface.
func anyOf(f format, credential bool) query {
	return query{surface: &surface{format: f}, credential: credential}
}

// resolve finds the possible models of one of the client's names, and the reasons
// of models unable to serve the request. Without models there is at least one
// rejection.
func (s *selector) resolve(q query, name string) *resolved {
	if len(name) > maxModelName {
		return &resolved{rejected: []rejection{{name: shown(name), reason: reasonTooLong}}, unlisted: true}
	}
	if p, rest := s.prefixed(name); p != nil {
		return s.resolveAt(q, name, p, rest)
	}
	var (
		models   []*model
		rejected []rejection
	)
	known := s.models[fold(name)]
	allowed := false // whether an allowed provider has the name
	for _, m := range known {
		if !s.allows(m.provider) {
			continue
		}
		allowed = true
		if s.rejects(q, m) == reasonNone {
			models = append(models, m)
		}
	}
	if len(models) == 0 && !allowed && s.sole != nil {
		return s.resolveAt(q, name, s.sole, name)
	}
	if len(known) == 0 {
		if p := s.familyOf(name); p != nil {
			return s.resolveAt(q, name, p, name)
		}
	}
	for _, m := range known {
		if r := s.rejects(q, m); r != reasonNone {
			rejected = append(rejected, rejection{name, m.provider, r})
		}
	}
	if len(known) == 0 {
		rejected = append(rejected, rejection{name: name, reason: reasonUnknown})
	}
	// Configured providers come first in the catalog, and so do their reasons:
	// an operator can change them.
	return &resolved{models: nativeFirst(q.surface, models), rejected: rejected}
}

// familyOf returns the built-in provider of a name's family, if it is configured
// with a key. The catalog may not list a new model of the family yet.
//
// Without a key at hand the request could only fail, and so the name stays
// unknown.
func (s *selector) familyOf(name string) *provider {
	id, ok := builtin.Family(name)
	if !ok {
		return nil
	}
	p := s.byName[fold(id)]
	if p == nil || !p.configured || !p.known || len(p.keys) == 0 && len(p.operatorAuth) == 0 {
		return nil
	}
	return p
}

// prefixed returns the provider in a name's prefix, and the name behind it. It
// returns nil if the colon is part of a model's name. The operator chose the
// providers, and need not know all built-in ones to name a model "mistral:7b". So a
// model of a configured provider comes before the prefix of a provider that is only
// built in.
//
// This rule opens no new access. It decides the meaning of a name, not its use:
// each model is held to the two flags as before. And a client could always ask a
// configured provider with its prefix.
func (s *selector) prefixed(name string) (p *provider, rest string) {
	prefix, rest, _ := strings.Cut(name, ":")
	if rest == "" {
		return nil, ""
	}
	if p = s.byName[fold(prefix)]; p == nil || p.configured {
		return p, rest
	}
	ours := func(m *model) bool { return m.provider.configured }
	if slices.ContainsFunc(s.models[fold(name)], ours) {
		return nil, ""
	}
	return p, rest
}

// resolveAt finds the model of a name at one provider. An unlisted name is passed
// on unchanged.
func (s *selector) resolveAt(q query, name string, p *provider, id string) *resolved {
	m := p.find(id)
	if r := s.rejects(q, m); r != reasonNone {
		return &resolved{rejected: []rejection{{name, p, r}}, unlisted: m.unlisted}
	}
	return &resolved{models: []*model{m}, unlisted: m.unlisted}
}

// find returns the provider's model of a name. The provider may know names outside
// its list, so find makes an unlisted model for them.
//
// An unlisted model is made for each call, and must not be compared by its
// pointer.
func (p *provider) find(name string) *model {
	if m := p.byName[fold(name)]; m != nil {
		return m
	}
	return &model{id: name, provider: p, unlisted: true, timeout: p.timeout, firstToken: p.firstToken, view: &expr.Model{ID: name, Provider: p.view, AuthorID: p.id}}
}

// at keeps the models at one provider, and rejects the others for a reason.
//
// r is shared by requests and is not changed.
func (r *resolved) at(sole *provider, name string, why reason) *resolved {
	elsewhere := func(m *model) bool { return m.provider != sole }
	if !slices.ContainsFunc(r.models, elsewhere) {
		return r
	}
	out := &resolved{rejected: slices.Clone(r.rejected)}
	for _, m := range r.models {
		if elsewhere(m) {
			out.rejected = append(out.rejected, rejection{name, m.provider, why})
		} else {
			out.models = append(out.models, m)
		}
	}
	return out
}

// named is a name for clients, with the first model behind it.
type named struct {
	name string
	*model
	providers []string // ids of all that the name may lead to, in order
}

// offered lists each name that clients may send without a prefix, once. Some
// request of the query's format can use each of them. A name with another
// provider's prefix is left out, because it leads to the other provider.
//
// Aliases come first, in their order, and hide models of the same name.
func (s *selector) offered(q query) []named {
	var out []named
	seen := map[string]bool{}
	for _, name := range s.aliases.names {
		seen[fold(name)] = true
		if n, ok := s.offeredAlias(q, name); ok {
			out = append(out, n)
		}
	}
	for _, m := range s.listed {
		if s.rejects(q, m) != reasonNone {
			continue
		}
		for i, folded := range m.names {
			if seen[folded] {
				continue
			}
			seen[folded] = true
			if n, ok := s.offeredModel(q, m, i); ok {
				out = append(out, n)
			}
		}
	}
	return out
}

// offeredAlias is an alias in a list. It is false if none of its models can serve the
// query.
func (s *selector) offeredAlias(q query, name string) (named, bool) {
	var models []*model
	for _, entry := range s.aliases.byName[fold(name)] {
		models = append(models, s.resolve(q, entry).models...)
	}
	if len(models) == 0 {
		return named{}, false
	}
	return named{name, models[0], providersOf(models)}, true
}

// offeredModel is the i-th name of a model in a list.
func (s *selector) offeredModel(q query, m *model, i int) (named, bool) {
	if p, _ := s.prefixed(m.names[i]); p != nil {
		return named{}, false
	}
	name := m.id
	if i > 0 {
		name = m.view.IDAliases[i-1]
	}
	return named{name, m, providersOf(s.resolve(q, name).models)}, true
}

// offeredAs finds one name of the list that offered makes, without the list.
func (s *selector) offeredAs(q query, name string) (named, bool) {
	folded := fold(name)
	for _, alias := range s.aliases.names {
		if fold(alias) == folded {
			return s.offeredAlias(q, alias)
		}
	}
	for _, m := range s.models[folded] {
		if s.rejects(q, m) == reasonNone {
			return s.offeredModel(q, m, slices.Index(m.names, folded))
		}
	}
	return named{}, false
}

// providersOf lists the providers of models, each once.
// The order is that of the models.
func providersOf(models []*model) []string {
	var ids []string
	for _, m := range models {
		if !slices.Contains(ids, m.provider.id) {
			ids = append(ids, m.provider.id)
		}
	}
	return ids
}

// unoffered says why a name is not offered. If a client may send the name
// nevertheless, the message must not deny it.
func (s *selector) unoffered(name string, q query) string {
	if isAuto(name) {
		return fmt.Sprintf("%q may be sent, but is not a model: it leaves the choice to the gateway", name)
	}
	if len(name) > maxModelName {
		return rejection{name: shown(name), reason: reasonTooLong}.message(s, q)
	}
	if entries := s.aliases.byName[fold(name)]; entries != nil {
		name = entries[0] // none of them can be served
	}
	known := s.models[fold(name)]
	why := "only names without a provider's prefix are listed"
	if p, rest := s.prefixed(name); p != nil {
		known = []*model{p.find(rest)}
	} else if s.sole != nil && !slices.ContainsFunc(known, func(m *model) bool { return s.allows(m.provider) }) {
		known = []*model{s.sole.find(name)}
		why = fmt.Sprintf("provider %q lists no models", s.sole.id)
	}
	for _, m := range known {
		if r := s.rejects(q, m); r != reasonNone {
			return rejection{name, m.provider, r}.message(s, q)
		}
	}
	if len(known) > 0 {
		return fmt.Sprintf("model %q may be sent, but is not listed: %s", name, why)
	}
	return s.unknownModel(name, q)
}

// unknownModel says that every provider lacks the model, and how to go on. It
// suggests only names that this client may use.
func (s *selector) unknownModel(name string, q query) string {
	q = anyOf(q.surface.format, q.credential)
	if prefix, rest, ok := strings.Cut(name, "/"); ok && s.byName[fold(prefix)] != nil && s.rejects(q, s.byName[fold(prefix)].find(rest)) == reasonNone {
		return fmt.Sprintf("no provider has a model %q, did you mean %q?", name, prefix+":"+rest)
	}
	near := s.names(q).Nearest(name)
	prefix, rest, _ := strings.Cut(name, ":")
	if rest == "" || strings.HasPrefix(fold(near), fold(prefix)+":") {
		message := fmt.Sprintf("no provider has a model %q", name)
		if near != "" {
			message += fmt.Sprintf(", did you mean %q?", near)
		}
		if s.onlyModels {
			return message // whatever is put before it
		}
		if near == "" {
			message += "."
		}
		return message + " To send a name on as it is, put a provider's id before it: \"provider:" + name + "\""
	}
	// The part before the colon was probably meant for a provider. With an id
	// before the whole name, the slip would be sent on as part of it.
	if near == "" {
		if near = expr.Nearest(prefix, s.providerNames(rest, q)); near != "" {
			near += ":" + rest
		}
	}
	if near != "" {
		return fmt.Sprintf("model %q: no provider %q, did you mean %q?", name, prefix, near)
	}
	return fmt.Sprintf("model %q: no provider %q, and no provider has a model of that whole name", name, prefix)
}

// names is the index of the names in GET models. It is made once: a refusal must be
// cheaper than an answer.
func (s *selector) names(q query) *expr.Names {
	key := nameKey{q.surface.format, q.credential}
	if n, ok := s.indexes.Load(key); ok {
		return n.(*expr.Names)
	}
	var names []string
	for _, m := range s.offered(q) {
		names = append(names, m.name)
	}
	n, _ := s.indexes.LoadOrStore(key, expr.NewNames(names))
	return n.(*expr.Names)
}

// nameKey holds the parts of a query that decide the offered names.
type nameKey struct {
	format     format
	credential bool
}

// providerNames lists the valid prefixes for a model's name.
func (s *selector) providerNames(name string, q query) []string {
	var names []string
	for _, p := range s.providers {
		if s.rejects(q, p.find(name)) == reasonNone {
			names = append(append(names, p.id), p.view.IDAliases...)
		}
	}
	return names
}

// whole stands for a provider as a candidate of requests without a model. It has the
// provider's name alone.
func (p *provider) whole() *model {
	m := p.find("")
	m.configured = true
	return m
}
