package aigateway

import (
	"bytes"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/jsonscan"
	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// pathRef is the id in the request's path.
//
// It is empty for a surface without an id in its path.
// The path's words stand at the places of the pattern's: "files/{id}/content"
// against "files/file-abc/content" gives file-abc.
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
//
// The gateway would hand such an id on in a path of the provider: "..%2fmodels"
// behind /files/ reaches another endpoint, with the operator's key.
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

// locator finds the place of a request.
//
// It fills inbound.place, before the selection. A request for a stored thing
// must go to the provider and the key that made it: another key would not find
// it.
type locator struct {
	in *inbound
	s  *settings
}

// locate finds the place of the state that a request is about.
//
// The provider comes from a header, from an id, or from there being only one. A
// header and an id that disagree are an error, for one of them is a mistake.
func (l locator) locate() *Error {
	at := &l.in.place
	named, err := l.named()
	if err != nil {
		return err
	}
	if err := l.follow(); err != nil {
		return err
	}
	switch {
	case at.provider == nil:
		at.provider = named
	case named != nil && named != at.provider:
		return errorf(CodeProviderConflict, "%s names %q, but an id of the request belongs to another provider", headerProvider, named.id)
	}
	if !l.in.places() {
		return nil
	}
	at.sole = true
	return l.settleOn()
}

// named is the provider that the client names by a header, nil without one.
// The name may be an id or an alias. An unknown one is an error with the most
// similar name: to ignore it could send a file to the wrong provider.
func (l locator) named() (*provider, *Error) {
	name := strings.TrimSpace(header.First(l.in.r.Header, headerProvider))
	if name == "" {
		return nil, nil
	}
	s := l.s.selector
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
//
// Ids stand in the path, in fields of a form, or anywhere in a JSON body. Bodies are gone
// through only if ids are known here, or if callers are told apart: a caller must not reach
// another one's things by a guessed id.
func (l locator) follow() *Error {
	in := l.in
	if in.surface.state == stateMember {
		if err := l.followRef(in.pathRef()); err != nil {
			return err
		}
	}
	if in.surface.upgrades {
		for _, id := range in.r.URL.Query()["call_id"] {
			if err := l.followRef(ids.Ref{Kind: ids.Call, ID: id}); err != nil {
				return err
			}
		}
	}
	if form, ok := in.body.(*reqbody.Form); ok {
		return l.followForm(form)
	}
	// Without callers the ids are a matter of routes alone.
	if len(in.raw) == 0 || in.owner == 0 && (l.s.ids.Empty() || !ids.Mentions(in.raw)) {
		return nil
	}
	return l.followBody()
}

// followForm follows the ids in the fields of a form.
func (l locator) followForm(form *reqbody.Form) *Error {
	for name, value := range form.Members() {
		if ref, ok := ids.InForm(name, value); ok {
			if err := l.followRef(ref); err != nil {
				return err
			}
		}
	}
	return nil
}

// followBody follows the ids in a JSON body.
func (l locator) followBody() *Error {
	for ref := range ids.InRequest(l.in.raw) {
		if err := l.followRef(ref); err != nil {
			return err
		}
	}
	return nil
}

// followRef follows one id.
//
// A route whose provider or key is gone from the config is an unknown id: the
// key of another account must not be tried.
//
// An unknown id may be older than the table remembers. Without callers it is
// passed on, and the provider decides.
func (l locator) followRef(ref ids.Ref) *Error {
	at, s := &l.in.place, l.s.selector
	route, known := l.s.ids.Find(l.in.owner, ref)
	if !known {
		if l.in.owner == 0 {
			return nil
		}
		if at.own = true; at.key != nil && !s.isOwn(at.key) {
			return noSuchID(ref)
		}
		return nil
	}
	if ref.Past {
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

// hasOwn reports whether a provider may get a key of the caller's own.
func (l locator) hasOwn(p *provider) bool {
	return slices.ContainsFunc(p.allKeys(), l.s.selector.isOwn)
}

// noSuchID is the error for an id that is not the caller's, or does not exist. The two
// look the same to a caller.
func noSuchID(ref ids.Ref) *Error {
	return errorf(CodeIDNotFound, "no %s %q", ref.Kind, shown(ref.ID))
}

// unknown is the error of a request with an id that nobody may ask for.
func (l locator) unknown() *Error {
	switch {
	case l.in.lists():
		return errorf(CodeNotFound, "%s is not served: the list belongs to a key of all callers", l.in.r.URL.Path)
	case l.in.surface.state == stateMember:
		return noSuchID(l.in.pathRef())
	}
	return errorf(CodeIDNotFound, "the request holds an id of a file, response, conversation, container or other stored thing that does not exist")
}

// settleOn decides the provider of a request without a model: the one found so far, or
// the only one that can serve it.
//
// A list, such as GET files, shows what is behind a key. So it is served where the key is
// the caller's own, or where the provider's shared_lists allows it.
func (l locator) settleOn() *Error {
	at, lists := &l.in.place, l.in.lists()
	able := l.able()
	if p := at.provider; p != nil {
		if !slices.Contains(able, p) {
			return l.cannot(p)
		}
		able = []*provider{p}
	}
	if all := len(able); lists || at.own {
		able = slices.DeleteFunc(able, func(p *provider) bool { return !l.hasOwn(p) && !(lists && p.sharedLists) })
		if len(able) == 0 && all > 0 {
			return l.unknown()
		}
	}
	switch len(able) {
	case 0:
		return errorf(CodeNoMatchingModels, "no configured provider can serve %s requests", l.in.surface.name)
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
func (l locator) able() []*provider {
	var all []*provider
	s, q := l.s.selector, l.in.query()
	for _, p := range s.providers {
		if (p.configured || s.passThrough) && s.rejects(q, p.whole()) == reasonNone {
			all = append(all, p)
		}
	}
	return all
}

// cannot is the error for a provider that does not serve the request.
// The reason is the selector's, in words for a request without a model.
func (l locator) cannot(p *provider) *Error {
	switch r := l.s.selector.rejects(l.in.query(), p.whole()); r {
	case reasonProviderNotAllowed:
		return errorf(CodeProviderNotAllowed, "provider %q is not configured, and only_allow_configured_providers is set", p.id)
	case reasonNoKey:
		return errorf(CodeNoAPIKey, "provider %q needs an API key and has none", p.id)
	case reasonProviderDisabled:
		return errorf(CodeNoMatchingModels, "provider %q is disabled", p.id)
	}
	return errorf(CodeNoMatchingModels, "provider %q does not offer %s", p.id, l.in.surface.name)
}

// keep leaves the models that the place of the request allows.
// Own things need a provider with a key of the caller's. A sole place takes one
// candidate: the next provider would not know the id.
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
//
// room spares an allocation for the usual single key.
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
	kind  ids.Kind // of the answer itself; None if only those of its work are looked for
	model bool     // a model answers: it may have worked in a container, and written files
	items bool     // so are the items of a response or a conversation
	told  bool     // the answer's own id was seen
	route ids.Route
	bill  ids.Ref // the response whose use may be owed; zero for none
}

// stores is the field store of a request for a response.
func (in *inbound) stores() (stored, ok bool) {
	if doc, isJSON := in.body.(*reqbody.Document); isJSON {
		return doc.Bool("store")
	}
	return false, false
}

// asksAloud reports whether a chat request asks for sound.
func (in *inbound) asksAloud() bool {
	_, ok := in.body.Get("audio")
	return ok
}

// routeOf is the place of what an attempt made.
// The key is an index, so the table holds no secrets. A key unknown to the
// provider counts as its first.
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
		n.note(ids.Made(data))
	}
	if n.items {
		n.note(ids.Items(data))
	}
}

// ownID reads the id of an answer that is too large to be held, as it stands between its
// quotes.
// It makes a small answer around the id, for the one parser of answers.
func (n *idNote) ownID(raw []byte) {
	if n.table != nil && n.kind != ids.None {
		n.note(ids.InAnswer(n.kind, slices.Concat([]byte(`{"id":"`), raw, []byte(`"}`))))
	}
}

// event reads an event of a stream.
// After the answer's own id only ids of the model's work are looked for.
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
		n.note(ids.Made(data))
	}
	if n.items && bytes.Contains(data, []byte(ids.ItemDone)) {
		n.note(ids.Items(data))
	}
}

// note remembers where the things of an answer are: at the provider and key that the
// answer came from, for the caller that asked.
func (n *idNote) note(refs []ids.Ref) {
	for _, ref := range refs {
		at := n.route
		if ref.Kind != ids.Response {
			at.Owed = ""
		} else if at.Owed != "" {
			n.bill = ref
		}
		n.table.Note(n.owner, ref, at)
	}
}

// pays reports whether the use that an answer tells is to be counted. A stored thing
// repeats the use of the request that made it. Only a response that was made in the
// background may still be owed: it is counted once.
func (n *idNote) pays(in *inbound, a *attempt) bool {
	owed := ""
	if n.bill.ID != "" {
		owed, n.bill = n.table.Settle(n.owner, n.bill), ids.Ref{}
	}
	switch {
	case !in.places() || a.used:
		return true
	case owed == "":
		return false
	}
	a.payer = a.model.provider.find(owed)
	return true
}

// learn remembers the id of a path that its provider knew: the next request needs no
// header.
// What is owed for a response stays with it, as long as the place is the same. A
// deleted thing has no place.
func (l locator) learn(a *attempt) {
	if l.in.surface.state != stateMember || l.in.r.Method == http.MethodDelete {
		return
	}
	at := routeOf(a)
	if before, known := l.s.ids.Find(l.in.owner, l.in.pathRef()); known && before.Provider == at.Provider && before.Key == at.Key {
		at.Owed = before.Owed
	}
	l.s.ids.Note(l.in.owner, l.in.pathRef(), at)
}

// newIDNote makes the note of an attempt on a surface. A translated answer has ids of
// its own.
func newIDNote(table *ids.Table, in *inbound, s *surface, translated bool, a *attempt) idNote {
	if s.kind == ids.Response && s.state == stateMember {
		n := idNote{table: table, owner: in.owner, bill: in.pathRef(), route: routeOf(a), items: true}
		n.model = !strings.HasSuffix(s.path, "/input_items") // these are the client's own words
		return n
	}
	if s.kind == ids.Conversation && strings.Contains(s.path, "/items") {
		return newItemNote(table, in, s, a)
	}
	model := s.name == surfaceResponses && !in.places() || s.name == surfaceMessages || s.name == surfaceChat && in.asksAloud()
	makes := s.state == stateMakes || s.state == stateLists && in.r.Method == http.MethodPost || s.tells
	if translated || !makes && !model {
		return idNote{}
	}
	n := idNote{table: table, owner: in.owner, model: model, route: routeOf(a)}
	if stored, ok := in.stores(); makes && (stored || !ok) {
		n.kind, n.items = s.kind, s.kind == ids.Response
	}
	if doc, isJSON := in.body.(*reqbody.Document); isJSON && s.kind == ids.Response {
		if background, _ := doc.Bool("background"); background {
			n.route.Owed = a.model.id
		}
	}
	return n
}

// newItemNote makes the note of an attempt on the items of a conversation: a list of them,
// or one.
func newItemNote(table *ids.Table, in *inbound, s *surface, a *attempt) idNote {
	n := idNote{table: table, owner: in.owner, items: true, route: routeOf(a)}
	if strings.HasSuffix(s.path, "{item}") && in.r.Method == http.MethodGet {
		n.kind = ids.Item
	}
	return n
}

// admitBatch refuses a batch that would pass by the rules of the config. uncounted
// reports that its client has a limit in tokens or money.
//
// OpenAI's batches name a file with their requests. Anthropic's carry them in
// the body, so each can be read and held to the rules.
func (l locator) admitBatch(uncounted bool) *Error {
	s := l.in.surface
	if s.state != stateLists || l.in.r.Method != http.MethodPost || s.kind != ids.Batch && s.kind != ids.MessageBatch {
		return nil
	}
	if uncounted {
		return errorf(CodeNotAdmitted, "batches are not admitted: their tokens and their cost cannot be counted against the client's limit")
	}
	if s.kind == ids.MessageBatch {
		return l.readRequests()
	}
	if p := l.in.place.provider; l.s.restricts(p) && !p.uncheckedBatches {
		return errorf(CodeNotAdmitted, "batches are not admitted: the requests in the file of a batch cannot be checked")
	}
	return nil
}

// restricts reports whether the config rules over single requests to a provider: by a
// flag, a cap, a field of the body or a list of parameters.
//
// A file of a batch is at the provider, and its requests are not seen. So a
// config with such rules takes batches of files only where uncheckedBatches
// allows them.
func (s *settings) restricts(p *provider) bool {
	return s.selector.onlyProviders || s.selector.onlyModels || s.maxInput > 0 || s.maxOutput > 0 || len(p.body) > 0 ||
		slices.ContainsFunc(p.surfaces, func(a apiSurface) bool { return a.params != nil }) ||
		slices.ContainsFunc(p.models, func(m *model) bool { return len(m.denied) > 0 })
}

// readRequests finds the requests of a batch, and holds each to the rules for a request
// of its own.
func (l locator) readRequests() *Error {
	doc, isJSON := l.in.body.(*reqbody.Document)
	if !isJSON {
		return badBatch("requests must be a list")
	}
	list, err := single(doc, "requests")
	if err != nil {
		return err
	}
	if len(list) == 0 || list[0] != '[' {
		return badBatch("requests must be a list")
	}
	c := jsonscan.Lenient(list)
	c.Enter('[')
	for c.Elem() {
		c.Peek()
		from := c.Offset()
		c.Skip()
		r, err := l.readRequest(c.Since(from))
		if err != nil {
			return err
		}
		r.start, r.end = from, c.Offset()
		l.in.place.requests = append(l.in.place.requests, r)
	}
	return nil
}

// readRequest reads one element of the list.
//
// Its own selection and its own limit on the input are checked, as if it came
// alone. The selection's strategies do not run.
func (l locator) readRequest(element []byte) (batchRequest, *Error) {
	r := batchRequest{element: new(reqbody.Document), doc: new(reqbody.Document)}
	if reqbody.Scan(element, r.element) != nil {
		return r, badBatch("each of requests must be an object")
	}
	var e *Error
	if r.params, e = single(r.element, "params"); e != nil {
		return r, e
	}
	err := reqbody.Scan(r.params, r.doc)
	if err == nil {
		r.sel, err = r.doc.Selection()
	}
	if err != nil {
		return r, badBatch("params of a request: %v", err)
	}
	if r.model, e = l.batchModel(r.sel.Model); e != nil {
		return r, e
	}
	f := lineup{s: l.s, in: &inbound{ctx: l.in.ctx, raw: r.params}, room: capacity{deadline: l.in.start.Add(l.in.readTime + l.s.total)}}
	return r, f.inputTooLarge(r.model)
}

// batchModel finds the model of a request in a batch at the provider of the batch.
//
// The first name of an alias that leads to a model of the provider counts.
func (l locator) batchModel(name string) (*model, *Error) {
	s, q := l.s.selector, l.in.query()
	q.surface = l.s.surfaces.byPath[surfaceMessages]
	if isAuto(name) {
		return nil, badBatch("each request of a batch must name its model")
	}
	var rejected []rejection
	for _, entry := range s.aliases.expand([]string{name}) {
		r := s.resolve(q, entry).at(l.in.place.provider, entry, reasonElsewhere)
		if len(r.models) > 0 {
			return r.models[0], nil
		}
		rejected = append(rejected, r.rejected...)
	}
	return nil, s.unresolved(q, rejected)
}

// single returns the value of a member that stands once in an object. Two parsers could
// disagree about a repeated one.
func single(doc *reqbody.Document, name string) ([]byte, *Error) {
	n := 0
	for other := range doc.Names() {
		if reqbody.Alike(other, name) {
			n++
		}
	}
	value, ok := doc.Get(name)
	if !ok || n != 1 {
		return nil, badBatch("%q must stand once in a batch, and in each of its requests", name)
	}
	return value, nil
}

// badBatch is the error of a batch in a wrong form.
// It is the client's fault, a 400.
func badBatch(format string, args ...any) *Error {
	return errorf(CodeInvalidRequestBody, "invalid request body: "+format, args...)
}
