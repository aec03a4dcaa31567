package aigateway

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// headerProvider names the provider of a request that has neither a model nor a known
// id. It does not reach the provider.
const headerProvider = "X-Aigateway-Provider"

// placement is the place that a request must go to, as far as its ids and
// X-Aigateway-Provider tell. Things with a state exist at one provider, behind one
// key: such a request has no failover.
type placement struct {
	provider *provider // nil: any
	key      *apiKey   // nil: any
	own      bool      // only keys that are the caller's own
	sole     bool      // one model and one key
	requests []batchRequest
	room     [1]*apiKey
}

// places reports whether a request names its provider, or an id, in place of a model.
func (in *inbound) places() bool {
	return in.surface.model != modelInBody && in.surface.model != modelInQuery || in.lists()
}

// lists reports whether a request lists the things behind a key.
func (in *inbound) lists() bool {
	return in.surface.state == stateLists && in.r.Method == http.MethodGet
}

// pathRef is the id in the request's path.
func (in *inbound) pathRef() ids.Ref {
	id := ""
	words := strings.Split(in.path, "/")
	if at := slices.Index(strings.Split(in.surface.path, "/"), "{id}"); at >= 0 && at < len(words) {
		id = words[at]
	}
	return ids.Ref{Kind: in.surface.kind, ID: id}
}

// misleads reports whether a path has an id that a provider could read as another
// path. The raw path decides: the decoded one has lost encoded slashes.
func (m surfaces) misleads(u *url.URL) bool {
	raw := u.EscapedPath()
	if !strings.Contains(raw, "%") && !strings.Contains(raw, "..") {
		return false
	}
	s, end := m.find(raw)
	if s == nil || s.state != stateMember {
		return false
	}
	words := strings.Split(end, "/")
	for i, segment := range strings.Split(s.path, "/") {
		if !isIDSegment(segment) {
			continue
		}
		id, err := url.PathUnescape(words[i])
		if err != nil || !ids.Valid(id) {
			return true
		}
	}
	return false
}

// locate finds the place of the state that a request is about.
func (x *exchange) locate() *Error {
	at := &x.in.place
	named, err := x.named()
	if err != nil {
		return err
	}
	if err := x.follow(); err != nil {
		return err
	}
	switch {
	case at.provider == nil:
		at.provider = named
	case named != nil && named != at.provider:
		return errorf(CodeProviderConflict, "%s names %q, but an id of the request belongs to another provider", headerProvider, named.id)
	}
	if !x.in.places() {
		return x.admitSession()
	}
	at.sole = true
	if err := x.settleOn(); err != nil {
		return err
	}
	return x.admitBatch()
}

// named is the provider that the client names by a header, nil without one.
func (x *exchange) named() (*provider, *Error) {
	name := strings.TrimSpace(x.in.r.Header.Get(headerProvider))
	if name == "" {
		return nil, nil
	}
	s := x.s.selector
	if p := s.byName[fold(name)]; p != nil && s.allows(p) {
		return p, nil
	}
	var names []string
	for _, p := range s.providers {
		if s.allows(p) && !p.disabled {
			names = append(append(names, p.id), p.view.IDAliases...)
		}
	}
	message := fmt.Sprintf("%s: there is no provider %q", headerProvider, shown(name))
	if near := expr.Nearest(name, names); near != "" && len(name) <= maxModelName {
		message += fmt.Sprintf(", did you mean %q?", near)
	}
	return nil, errorf(CodeProviderRequired, "%s", message)
}

// follow looks up each id of the request. A known one decides about provider and key.
// Where callers are told apart, an unknown one needs a key of the caller's own.
func (x *exchange) follow() *Error {
	in := &x.in
	if in.surface.state == stateMember {
		if err := x.followRef(in.pathRef()); err != nil {
			return err
		}
	}
	if form, ok := in.body.(*reqbody.Form); ok {
		for name, value := range form.Members() {
			if ref, ok := ids.InForm(name, value); ok {
				if err := x.followRef(ref); err != nil {
					return err
				}
			}
		}
		return nil
	}
	if len(in.raw) == 0 {
		return nil
	}
	// Without callers the ids are a matter of routes alone.
	if in.owner == 0 && (x.s.ids.Empty() || !ids.Mentions(in.raw)) {
		return nil
	}
	for ref := range ids.InRequest(in.raw) {
		if err := x.followRef(ref); err != nil {
			return err
		}
	}
	return nil
}

// followRef follows one id.
func (x *exchange) followRef(ref ids.Ref) *Error {
	at, s := &x.in.place, x.s.selector
	route, known := x.s.ids.Find(x.in.owner, ref)
	if !known {
		if x.in.owner == 0 {
			return nil
		}
		if at.own = true; at.key != nil && !s.isOwn(at.key) {
			return noSuchID(ref)
		}
		return nil
	}
	p := s.byName[route.Provider]
	if p == nil || fold(p.id) != route.Provider || p.disabled || !s.allows(p) || route.Key >= len(p.allKeys()) {
		return noSuchID(ref) // the config has changed since
	}
	key := p.allKeys()[route.Key]
	switch {
	case at.own && !s.isOwn(key):
		return noSuchID(ref)
	case at.key != nil && at.key != key:
		return errorf(CodeProviderConflict, "the %s %q lives elsewhere than another id of the request", ref.Kind, shown(ref.ID))
	}
	at.provider, at.key, at.sole = p, key, true
	return nil
}

// allKeys are the provider's keys, or the stand-in for none.
func (p *provider) allKeys() []*apiKey {
	if len(p.keys) == 0 {
		return p.keyless
	}
	return p.keys
}

// isOwn reports whether a key is the caller's own: it depends on the request, or is the
// client's.
func (s *selector) isOwn(k *apiKey) bool { return k.perRequest || k.none && s.passThrough }

// hasOwn reports whether a provider may get a key of the caller's own.
func (x *exchange) hasOwn(p *provider) bool {
	return slices.ContainsFunc(p.allKeys(), x.s.selector.isOwn)
}

// noSuchID is the error for an id that is not the caller's, or does not exist. The two
// look the same to a caller.
func noSuchID(ref ids.Ref) *Error {
	return errorf(CodeIDNotFound, "no %s %q", ref.Kind, shown(ref.ID))
}

// unknown is the error of a request with an id that nobody may ask for.
func (x *exchange) unknown() *Error {
	switch {
	case x.in.lists():
		return errorf(CodeNotFound, "%s is not served: the list belongs to a key of all callers", x.in.r.URL.Path)
	case x.in.surface.state == stateMember:
		return noSuchID(x.in.pathRef())
	}
	return errorf(CodeIDNotFound, "the request holds an id of a file, response, conversation, vector store or container that does not exist")
}

// settleOn decides the provider of a request without a model: the one found so far, or
// the only one that can serve it.
func (x *exchange) settleOn() *Error {
	at, lists := &x.in.place, x.in.lists()
	able := x.able()
	if p := at.provider; p != nil {
		if !slices.Contains(able, p) {
			return x.cannot(p)
		}
		able = []*provider{p}
	}
	if all := len(able); lists || at.own {
		able = slices.DeleteFunc(able, func(p *provider) bool { return !x.hasOwn(p) && !(lists && p.sharedLists) })
		if len(able) == 0 && all > 0 {
			return x.unknown()
		}
	}
	switch len(able) {
	case 0:
		return errorf(CodeNoMatchingModels, "no configured provider can serve %s requests", x.in.surface.name)
	case 1:
		at.provider = able[0]
		at.own = at.own || lists && !able[0].sharedLists
		return nil
	}
	names := make([]string, len(able))
	for i, p := range able {
		names[i] = p.id
	}
	return errorf(CodeProviderRequired, "the request does not tell its provider: name one of %s in the header %s", strings.Join(names, ", "), headerProvider)
}

// able are the providers that can serve a request without a model: of the configured
// ones, or of all if none is configured.
func (x *exchange) able() []*provider {
	var all []*provider
	s, q := x.s.selector, x.in.query()
	for _, p := range s.providers {
		if (p.configured || s.passThrough) && s.rejects(q, p.whole()) == reasonNone {
			all = append(all, p)
		}
	}
	return all
}

// cannot is the error for a provider that does not serve the request.
func (x *exchange) cannot(p *provider) *Error {
	switch r := x.s.selector.rejects(x.in.query(), p.whole()); r {
	case reasonProviderNotAllowed:
		return errorf(CodeProviderNotAllowed, "provider %q is not configured, and only_allow_configured_providers is set", p.id)
	case reasonNoKey:
		return errorf(CodeNoAPIKey, "provider %q needs an API key and has none", p.id)
	case reasonProviderDisabled:
		return errorf(CodeNoMatchingModels, "provider %q is disabled", p.id)
	}
	return errorf(CodeNoMatchingModels, "provider %q does not offer %s", p.id, x.in.surface.name)
}

// whole stands for a provider as a candidate of requests without a model. It has the
// provider's name alone.
func (p *provider) whole() *model {
	m := p.find("")
	m.configured = true
	return m
}

// keep leaves the models that the place of the request allows.
func (at *placement) keep(p *plan, isOwn func(*apiKey) bool) {
	if at.own {
		p.candidates = slices.DeleteFunc(slices.Clone(p.candidates), func(m *model) bool {
			return !slices.ContainsFunc(m.provider.allKeys(), isOwn)
		})
	}
	if at.sole && len(p.candidates) > 1 {
		p.candidates = p.candidates[:1]
	}
}

// narrow leaves the keys that the place of the request allows.
func (at *placement) narrow(keys []*apiKey, isOwn func(*apiKey) bool) []*apiKey {
	switch {
	case at.key != nil:
		at.room[0] = at.key
		return at.room[:]
	case at.own:
		return slices.DeleteFunc(slices.Clone(keys), func(k *apiKey) bool { return !isOwn(k) })
	}
	return keys
}

// idNote remembers the ids that an answer tells, as soon as it tells them: a client may
// use one while the stream of its response is under way. It belongs to one attempt.
type idNote struct {
	table *ids.Table // nil: nothing is remembered
	owner uint64
	kind  ids.Kind // of the answer itself; None if only containers are looked for
	model bool     // a model answers: it may have worked in a container
	told  bool     // the answer's own id was seen
	route ids.Route
}

// idNote makes the note of an attempt with a key.
func (c *call) idNote(a *attempt) idNote {
	s, in := c.surface, c.in
	model := s.name == surfaceResponses && !in.places() || s.name == surfaceMessages
	makes := s.state == stateMakes || s.state == stateLists && in.r.Method == http.MethodPost || s.tells
	if c.codec != nil || !makes && !model {
		return idNote{}
	}
	n := idNote{table: c.s.ids, owner: in.owner, model: model, route: routeOf(a)}
	if stored, ok := in.stores(); makes && (stored || !ok) {
		n.kind = s.kind
	}
	return n
}

// stores is the field store of a request for a response.
func (in *inbound) stores() (stored, ok bool) {
	if doc, isJSON := in.body.(*reqbody.Document); isJSON {
		return doc.Bool("store")
	}
	return false, false
}

// routeOf is the place of what an attempt made.
func routeOf(a *attempt) ids.Route {
	p := a.model.provider
	return ids.Route{Provider: fold(p.id), Key: max(slices.Index(p.allKeys(), a.usedKey), 0)}
}

// answer reads an answer, or its front.
func (n *idNote) answer(data []byte) {
	if n.table == nil {
		return
	}
	if n.kind != ids.None {
		n.note(ids.InAnswer(n.kind, data))
	}
	if n.model {
		n.note(ids.Containers(data))
	}
}

// event reads an event of a stream.
func (n *idNote) event(data []byte) {
	if n.table == nil {
		return
	}
	if n.kind != ids.None && !n.told {
		if ref, ok := ids.InEvent(n.kind, data); ok {
			n.told = true
			n.note([]ids.Ref{ref})
		}
	}
	if n.model {
		n.note(ids.Containers(data))
	}
}

func (n *idNote) note(refs []ids.Ref) {
	for _, ref := range refs {
		n.table.Note(n.owner, ref, n.route)
	}
}

// learn remembers the id of a path that its provider knew: the next request needs no
// header.
func (x *exchange) learn() {
	if x.in.surface.state != stateMember || x.in.r.Method == http.MethodDelete {
		return
	}
	a := x.loop.trail.answering()
	x.s.ids.Note(x.in.owner, x.in.pathRef(), routeOf(a))
}
