package aigateway

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/fleet"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/limit"
	"github.com/aigateway-go/aigateway/internal/ratelimit"
	"github.com/aigateway-go/aigateway/internal/reqbody"
	"github.com/aigateway-go/aigateway/internal/route"
)

// admission is the way of a request past the limits of its client and the service's
// own admission.
//
// It is in three steps: admit before the selection, settle after the last
// attempt, and stamp on the answer's header.
type admission struct {
	claims   []limit.Claim
	exact    fleet.Claims // those in the store of the fleet
	admitted *limit.Admitted
	done     func(*Result)
	refused  bool // the answer is final: it is not handed on
}

// admit takes a request in, or says why not.
//
// The client's limits come first. The service is asked only about requests that
// may still pass.
func (a *admission) admit(s *settings, in *inbound) *Error {
	err := a.admitClient(s, in, time.Now())
	if err == nil && s.admission != nil {
		shown := in.shown()
		done, refusal := s.admission.Admit(in.ctx, &shown)
		a.done = done
		err = notAdmitted(refusal)
	}
	a.refused = err != nil
	return err
}

// admitClient counts a request against the limits of its client.
//
// Exact limits are taken from the store first, all in one step. If a limit of this replica
// then refuses, they are given back.
//
// An entry without a key for this request does not limit it, unless the entry is
// required. A limit in USD is required by default: an anonymous request would
// spend without a bound.
func (a *admission) admitClient(s *settings, in *inbound, now time.Time) *Error {
	for i := range s.clientLimits {
		l := &s.clientLimits[i]
		key, err := l.key.Eval(in.ctx, &in.request)
		switch {
		case err == nil && key != "":
			claim := limit.Claim{Entry: l.entry, Key: s.hashKey(l.name, key)}
			a.claims = append(a.claims, claim)
			if l.allowance.Exact && s.fleet != nil {
				a.exact.Add(&l.allowance, claim.Key)
			}
		case l.required:
			e := errorf(CodeNotAdmitted, "the request does not say whose it is")
			e.Err = fmt.Errorf("client_limits[%d] has no key: %w", i, cmp.Or(err, errEmptyKey))
			return e
		}
	}
	measure, reset, ok := a.exact.Take(in.ctx, s.exact, now)
	if ok {
		admitted, over := s.clients.Admit(now, a.claims)
		if over == nil {
			a.admitted = admitted
			return nil
		}
		a.exact.GiveBack(s.exact, time.Now())
		measure, reset = over.Measure, over.Reset
	}
	return limitExceeded(measure, reset.Sub(now))
}

// limitExceeded is the error for a client over a limit.
//
// A client need not repeat its request for a budget of a day or a month: NoRetry
// tells its SDK.
func limitExceeded(over limit.Measure, wait time.Duration) *Error {
	e := errorf(CodeClientLimitExceeded, "the limit %s is used up: try again in %s", over, roughly(wait))
	e.RetryAfter = max(wait, time.Millisecond)
	e.NoRetry = over == limit.Day || over == limit.Month
	return e
}

// errEmptyKey is for an expression without a name for the sender.
var errEmptyKey = errors.New("it is empty")

// roughly is a wait in whole seconds, rounded up.
func roughly(d time.Duration) string {
	return (time.Duration(math.Ceil(d.Seconds())) * time.Second).String()
}

// notAdmitted is the error for the client of a request that the service refused.
//
// An *Error of the service goes to the client as it is. Another error stays
// inside: its text may hold names of the service.
func notAdmitted(refusal error) *Error {
	var own *Error
	switch is := errors.As(refusal, &own); {
	case refusal == nil:
		return nil
	case is && own != nil:
		return own.complete()
	case is:
		refusal = errors.New("Admission returned a nil *Error as its error") // which has no text
	}
	e := errorf(CodeNotAdmitted, "the request is not admitted")
	e.Err = refusal
	return e
}

// settle charges the request to its client, and tells the service's admission, once.
//
// A second call does nothing. The tokens are those of all attempts. made is asked for
// the Result if the service wants it.
func (a *admission) settle(s *settings, t *trail, made resultMaker, err *Error) {
	if a.admitted != nil {
		u, cost := t.total()
		var tokens int64
		if u != nil {
			tokens = u.InputTokens + u.OutputTokens
		}
		now, money := time.Now(), int64(cost.USD)
		a.admitted.Settle(now, tokens, money)
		a.exact.Settle(s.exact, now, tokens, money)
		a.admitted = nil
	}
	if done := a.done; done != nil {
		a.done = nil
		done(made.result(err))
	}
}

// stamp tells the rest of the client's limits. The upstream's own are about
// the gateway's key, and do not pass.
//
// The names are those of OpenAI. They stand in answers of both formats.
func (a *admission) stamp(clients *limit.Clients, h http.Header) {
	if len(a.claims) == 0 {
		return
	}
	standing := clients.Nearest(time.Now(), a.claims)
	ratelimit.Replace(h, ratelimit.Left(standing.Requests), ratelimit.Left(standing.Tokens))
}

// uncounted reports whether the request's client has a limit in tokens or money that
// does not let uncounted requests pass.
func (a *admission) uncounted(limits []clientLimit) bool {
	for _, l := range limits {
		if l.uncounted || l.allowance.TokensPerMinute == 0 && l.allowance.PerDay == 0 && l.allowance.PerMonth == 0 {
			continue
		}
		for _, c := range a.claims {
			if c.Entry == l.entry {
				return true
			}
		}
	}
	return false
}

// admitSession refuses a session that could not be counted against its client's limit.
func (a *admission) admitSession(s *surface, limits []clientLimit) *Error {
	if s.upgrades && a.uncounted(limits) {
		return errorf(CodeNotAdmitted, "a session is not admitted: its tokens and its cost cannot be limited while it lasts")
	}
	return nil
}

// pathRef is the id in the request's path. It is empty for a surface without an id in
// its path.
func (in *inbound) pathRef() ids.Ref {
	ref := ids.Ref{Kind: in.surface.kind}
	if all := route.IDs(in.surface.path, in.path); len(all) > 0 {
		ref.ID = all[0] // the thing itself; what follows is one of its parts
	}
	return ref
}

// misleads reports whether a path has an id that a provider could read as another
// path. The raw path decides: the decoded one has lost encoded slashes. A path that only
// its decoding makes one with an id has such a slash before the id.
//
// The gateway would hand such an id on in a path of the provider: "..%2fmodels"
// behind /files/ reaches another endpoint, with the operator's key.
func (m surfaces) misleads(u *url.URL) bool {
	raw := u.EscapedPath()
	if !strings.Contains(raw, "%") && !strings.Contains(raw, "..") {
		return false
	}
	s, end := m.find(raw)
	if decoded, _ := m.find(u.Path); decoded != s && decoded != nil && decoded.state == stateMember {
		return true
	}
	if s == nil || s.state != stateMember {
		return false
	}
	return slices.ContainsFunc(route.IDs(s.path, end), func(escaped string) bool {
		id, err := url.PathUnescape(escaped)
		return err != nil || !ids.Valid(id)
	})
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
	for m := range form.Members() {
		for ref := range ids.InForm(m.Name, m.Value, m.File) {
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
	from, known := l.s.ids.Find(l.in.owner, ref)
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
	p := s.byName[from.Provider]
	if p == nil || fold(p.id) != from.Provider || p.disabled || !s.allows(p) || from.Key >= len(p.allKeys()) {
		return noSuchID(ref) // the config has changed since
	}
	key := p.allKeys()[from.Key]
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
	if ref.Kind == ids.Message {
		return errorf(CodeThreadNotFound, "no thread goes on from the message %q", shown(ref.ID))
	}
	return errorf(CodeIDNotFound, "no %s %q", ref.Kind, shown(ref.ID))
}

// unknown is the error of a request with an id that nobody may ask for.
func (l locator) unknown() *Error {
	switch {
	case l.in.lists():
		return errorf(CodeNotFound, "%s is not served: the list belongs to a key of all callers", l.in.r.URL.Path)
	case l.in.surface.state == stateMember:
		return noSuchID(l.in.pathRef())
	case l.in.threaded():
		return errorf(CodeThreadNotFound, "the request goes on from a message, or holds an id of another stored thing, that does not exist")
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

// stores is the field store of a request for a response.
func (in *inbound) stores() (stored, ok bool) {
	if doc, isJSON := in.body.(*reqbody.Document); isJSON {
		return doc.Bool("store")
	}
	return false, false
}

// threaded reports whether a request of messages begins or continues a thread: a
// conversation that the provider holds, under the ids of its answers.
func (in *inbound) threaded() bool {
	if in.surface.name != surfaceMessages {
		return false
	}
	thread, ok := in.body.Get("thread")
	return ok && len(thread) > 0 && thread[0] == '{'
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

// pays reports whether the use that an answer tells is to be counted. A stored thing
// repeats the use of the request that made it. Only a response that was made in the
// background may still be owed: it is counted once.
func (a *attempt) pays(n *ids.Note, in *inbound) bool {
	owed := n.Settle()
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
func newIDNote(table *ids.Table, in *inbound, s *surface, translated bool, a *attempt) ids.Note {
	if s.kind == ids.Response && s.state == stateMember {
		n := ids.Note{Table: table, Owner: in.owner, Bill: in.pathRef(), Route: routeOf(a), Items: true}
		n.Work = !strings.HasSuffix(s.path, "/input_items") // these are the client's own words
		return n
	}
	if s.kind == ids.Conversation && strings.Contains(s.path, "/items") {
		return newItemNote(table, in, s, a)
	}
	model := s.name == surfaceResponses && !in.places() || s.name == surfaceMessages || s.name == surfaceChat && in.asksAloud()
	makes := s.state == stateMakes || s.state == stateLists && in.r.Method == http.MethodPost || s.tells
	if translated || !makes && !model {
		return ids.Note{}
	}
	n := ids.Note{Table: table, Owner: in.owner, Work: model, Route: routeOf(a)}
	if stored, ok := in.stores(); makes && (stored || !ok) {
		n.Kind, n.Items = s.kind, s.kind == ids.Response
	}
	if in.threaded() {
		n.Kind = ids.Message
	}
	if doc, isJSON := in.body.(*reqbody.Document); isJSON && s.kind == ids.Response {
		if background, _ := doc.Bool("background"); background {
			n.Route.Owed = a.model.id
		}
	}
	return n
}

// newItemNote makes the note of an attempt on the items of a conversation: a list of them,
// or one.
func newItemNote(table *ids.Table, in *inbound, s *surface, a *attempt) ids.Note {
	n := ids.Note{Table: table, Owner: in.owner, Items: true, Route: routeOf(a)}
	if strings.HasSuffix(s.path, "{item}") && in.r.Method == http.MethodGet {
		n.Kind = ids.Item
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
// of its own: its own selection and its own limit on the input are checked, as if it
// came alone. The selection's strategies do not run.
func (l locator) readRequests() *Error {
	doc, isJSON := l.in.body.(*reqbody.Document)
	if !isJSON {
		return badBatch("requests must be a list")
	}
	for r, err := range reqbody.Batch(doc) {
		if err != nil {
			return badBatch("%v", err)
		}
		m, e := l.batchModel(r.Sel.Model)
		if e != nil {
			return e
		}
		f := lineup{s: l.s, in: &inbound{ctx: l.in.ctx, raw: r.Params}, room: capacity{deadline: l.in.start.Add(l.in.readTime + l.s.total)}}
		if e := f.inputTooLarge(m); e != nil {
			return e
		}
		l.in.place.requests = append(l.in.place.requests, batchRequest{r, m})
	}
	return nil
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
	for _, entry := range s.aliases.expand([]string{name}, s.catalog) {
		r := s.resolve(q, entry).at(l.in.place.provider, entry, reasonElsewhere)
		if len(r.models) > 0 {
			return r.models[0], nil
		}
		rejected = append(rejected, r.rejected...)
	}
	return nil, s.unresolved(q, rejected)
}

// badBatch is the error of a batch in a wrong form.
// It is the client's fault, a 400.
func badBatch(format string, args ...any) *Error {
	return errorf(CodeInvalidRequestBody, "invalid request body: "+format, args...)
}
