package aigateway

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"iter"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/coding"
	"github.com/aigateway-go/aigateway/internal/dialect"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/fleet"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/inprocess"
	"github.com/aigateway-go/aigateway/internal/realtime"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/reqbody"
	"github.com/aigateway-go/aigateway/internal/route"
	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// maxClientModels bounds the number of names in one request.
const maxClientModels = 100

// inbound is the client's request: its body, the names of models, and the client's
// key. It belongs to the request's goroutine.
type inbound struct {
	r          *http.Request
	ctx        context.Context
	surface    *surface // the client's
	path       string   // is joined to a base URL
	pathModel  string   // the model that the path names, as Azure's clients do
	id         string
	start      time.Time
	credential credential
	request    expr.Request // as expressions see it

	raw      []byte // the body, decoded; nil until it was read
	wire     []byte // the body as it came
	json     reqbody.Document
	body     clientBody
	sel      reqbody.Selection
	name     [1]string     // room for the usual query
	lent     bool          // raw and wire are the caller's own bytes, see forget
	loan     reqbody.Loan  // of lent bytes to transports
	readTime time.Duration // spent on waiting for the body
	partial  bool          // the body was read in part, and cannot be handed on
	tokens   int64         // of the prompt, once they were counted or estimated
	guessed  int64         // tokens of the prompt, once they were guessed
	// wantsStream is set if the client asked for a stream in any way: by stream in
	// body, form or query, or by stream_format.
	wantsStream bool

	caller   string // who asks; empty if nobody says
	labels   []slog.Attr
	callerID uint64 // a keyed hash of the caller, or of the client's address
	owner    uint64 // callerID if the service tells callers apart, else 0
	fleet    *fleet.Fleet

	place placement // of the state that it is about

	need       expr.Facts // that expressions read
	ai         *expr.RequestFacts
	told       expr.Facts // in ai
	sessionKey string
}

// clientBody is a client's body as it was scanned: JSON or a form.
//
// The two kinds are [reqbody.Document] and [reqbody.Form]. Both are read with
// the same names, so the selection need not know the kind.
type clientBody interface {
	Selection() (reqbody.Selection, error)
	Names() iter.Seq[string]
	Get(name string) (value []byte, ok bool)
	Number(name string) (n float64, present, isNumber bool)
	Facts() reqbody.Facts
	Session() (source reqbody.SessionSource, key string)
	Splice(edits []reqbody.Edit) (*reqbody.Body, error)
}

// receive starts a request on a surface. It reads nothing of the body yet.
//
// It fails for no request. Whatever is wrong with one shows when it is read.
func (in *inbound) receive(r *http.Request, surface *surface, path string, c *callers) {
	in.r, in.ctx, in.surface, in.path = r, r.Context(), surface, path
	in.pathModel = route.ModelBefore(r.URL.Path, path)
	in.start, in.id, in.credential = time.Now(), c.requestID(r), clientCredential(r.Header)
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = r.RemoteAddr
	}
	in.request = expr.Request{
		Method: r.Method, Path: r.URL.Path, Host: r.Host, ID: in.id, ClientIP: ip, Header: r.Header,
	}
	if surface.upgrades {
		in.cutKey()
	}
}

// requestID is the service's id of a request, else the client's, else a new one. An
// id has 1 to 128 visible ASCII characters.
func (c *callers) requestID(r *http.Request) string {
	if c.id != nil {
		if id := c.id(r); header.IsID(id) {
			return id
		}
	}
	return requestID(r.Header)
}

// requestID is the client's id of a request, else a new one.
//
// A new one has 96 bits of chance.
func requestID(h http.Header) string {
	if id := header.First(h, "X-Request-Id"); header.IsID(id) {
		return id
	}
	var b [12]byte
	rand.Read(b[:])
	text := [4 + 2*len(b)]byte{'r', 'e', 'q', '_'}
	hex.Encode(text[4:], b[:])
	return string(text[:])
}

// identify notes the caller. Without a caller from the service, clients are told
// apart by their address, and only for blame.
func (in *inbound) identify(c *callers) {
	// The salt keeps a caller apart from an address of the same text.
	salt := "c"
	var text string
	switch {
	case c.name != nil:
		in.caller = c.name(in.r)
		text = in.caller
	case c.expr != nil:
		in.caller, _ = c.expr.Eval(in.ctx, &in.request) // without a value it is the empty caller
		text = in.caller
	default:
		salt, text = "a", network(in.request.ClientIP)
	}
	in.request.Caller = in.caller
	if c.labels != nil {
		in.labels = boundLabels(c.labels(in.r))
	}
	in.callerID, in.fleet = c.hash(salt, text), c.fleet
	// Pins and queues belong to callers. Addresses do not count as callers, because
	// many clients can share one.
	if c.name != nil || c.expr != nil {
		in.owner = in.callerID
	}
}

// hash is a keyed hash of a caller. It is the same in all replicas of a fleet.
//
// Pins, limits and blame know a caller by this hash.
func (c *callers) hash(salt, text string) uint64 {
	if c.fleet == nil {
		return maphash.String(c.seed, salt+text)
	}
	sum := c.fleet.Recall("caller", salt, text)
	return binary.BigEndian.Uint64(sum[:])
}

// network is the part of an address that belongs to one client: of IPv6 a /64. A
// client can use a new address of its /64 for each request, and must not count as
// many.
func network(ip string) string {
	addr, err := netip.ParseAddr(ip)
	if err != nil || addr.Unmap().Is4() {
		return ip
	}
	b := addr.As16()
	return string(b[:8])
}

// callers finds the caller of a request. Without a function and an expression,
// clients are told apart by their address.
type callers struct {
	name   func(*http.Request) string
	expr   *expr.Identity
	seed   maphash.Seed                    // of the gateway
	fleet  *fleet.Fleet                    // of the gateway, or nil
	id     func(*http.Request) string      // Config.RequestID, or nil
	labels func(*http.Request) []slog.Attr // or nil
}

// maxLabels bounds the labels of a request.
const maxLabels = 8

// boundLabels is a copy of labels with a sensible number and length, as texts.
//
// Labels go into logs, metrics and the debug page. A service that puts a prompt
// into one must not fill them.
func boundLabels(labels []slog.Attr) []slog.Attr {
	out := make([]slog.Attr, 0, min(len(labels), maxLabels))
	for _, l := range labels {
		if l.Key != "" && len(out) < maxLabels {
			out = append(out, slog.String(shown(l.Key), shown(l.Value.Resolve().String())))
		}
	}
	return out
}

// asks is the request in the terms of health: its caller and its endpoint.
func (in *inbound) asks() stats.Request {
	return stats.Request{Caller: in.callerID, Surface: in.surface.number, Fleet: in.fleet.Up()}
}

// clientCredential reads the client's key. X-Api-Key comes before Authorization, as
// at Anthropic. It returns zero if the request has no key.
func clientCredential(h http.Header) credential {
	if v := header.First(h, "X-Api-Key"); v != "" {
		return credential{value: redact.NewSecret(v)}
	}
	scheme, value, ok := strings.Cut(header.First(h, "Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return credential{}
	}
	return credential{value: redact.NewSecret(strings.TrimSpace(value)), bearer: true}
}

// read reads the body, within a limit in bytes, and decodes and scans it.
//
// readTime is measured here, and is not counted as the gateway's own time.
func (in *inbound) read(body io.Reader, limit int64) *Error {
	begin := time.Now()
	var err error
	raw := inprocess.Borrow(in.r, limit)
	if in.lent = raw != nil; !in.lent {
		raw, err = reqbody.Read(body, in.r.ContentLength, limit)
	}
	in.readTime = time.Since(begin)
	// A handler after the gateway needs the whole body, and part of it is lost now.
	in.partial = err != nil
	if err != nil {
		return in.unread(err, limit)
	}
	in.raw, in.wire = raw, raw
	// OnErrorContinue hands the wire form on, and the providers get the decoded
	// one.
	if encoding := strings.Join(in.r.Header["Content-Encoding"], ", "); encoding != "" { // one line may follow another
		if err := in.decode(encoding, limit); err != nil {
			return err
		}
	}
	if err := in.scan(); err != nil {
		e := errorf(CodeInvalidRequestBody, "invalid request body: %v", err)
		e.Err = err
		return e
	}
	return nil
}

// forget ends the use of a body that was lent: its owner may change it from here on. A
// transport that still sends the body gets no more of it. A Result may be made after
// forget, and has what it needs of the body by then.
func (in *inbound) forget(attempts []*attempt) {
	if !in.lent {
		return
	}
	for _, a := range attempts {
		if a.used && a.guess != nil {
			a.consumed()
		}
	}
	in.lent, in.raw, in.wire, in.body, in.json = false, nil, nil, nil, reqbody.Document{}
	in.loan.End()
	inprocess.GiveBack(in.r)
}

// unread is the error of a body that did not come whole.
//
// A body over the limit of a middleware is told with that limit, for the client
// can act on it only then.
func (in *inbound) unread(err error, limit int64) *Error {
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, reqbody.ErrTooLarge):
		return errorf(CodeRequestTooLarge, "the body is over %d bytes", limit)
	// Middleware may bound the body too, and its limit may be the lower one.
	case errors.As(err, &tooLarge):
		return errorf(CodeRequestTooLarge, "the body is over %d bytes", tooLarge.Limit)
	case errors.Is(err, os.ErrDeadlineExceeded):
		e := errorf(CodeClientGone, "the client stopped sending its request")
		e.Status = http.StatusRequestTimeout
		return e
	case in.ctx.Err() != nil:
		return in.gone()
	}
	e := errorf(CodeInvalidRequestBody, "the body could not be read to its end")
	e.Err = err
	return e
}

// decode removes the content coding. The provider gets the body plain.
//
// The ratio bounds a small body that would unfold into a huge one.
func (in *inbound) decode(encoding string, limit int64) *Error {
	plain, err := coding.DecodeRequest(in.raw, encoding, limit)
	var unknown *coding.UnknownError
	switch {
	case errors.As(err, &unknown):
		return errorf(CodeUnsupportedMediaType, "the body has Content-Encoding %q: send gzip, deflate, zstd, or the body as it is", shown(encoding))
	case errors.Is(err, coding.ErrTooLarge):
		return errorf(CodeRequestTooLarge, "the body is over %d bytes, or over 100 times its compressed size", limit)
	case err != nil:
		e := errorf(CodeInvalidRequestBody, "the body is not of its Content-Encoding %q", shown(encoding))
		e.Err = err
		return e
	}
	in.raw = plain
	return nil
}

// scan finds the fields that the gateway needs in the body. JSON is also recognized
// by its first byte, because curl sends it under the type of a form.
func (in *inbound) scan() (err error) {
	if in.places() && (len(in.raw) == 0 || in.surface.model == modelNowhere && reqbody.SaysNothing(in.raw)) {
		in.body = &in.json
		in.wantsStream = in.asksStreamOtherwise()
		return nil
	}
	if in.surface.upgrades {
		return in.scanQuery()
	}
	first := bytes.TrimLeft(bytes.TrimPrefix(in.raw, []byte("\ufeff")), " \t\r\n")
	sent := header.First(in.r.Header, "Content-Type")
	switch {
	case !reqbody.IsForm(sent) || bytes.HasPrefix(first, []byte("{")):
		err, in.body = reqbody.Scan(in.raw, &in.json), &in.json
	case !in.surface.form:
		return errors.New("this surface takes JSON, not multipart/form-data")
	default:
		form := new(reqbody.Form)
		err, in.body = reqbody.ScanForm(in.raw, sent, form), form
	}
	if err != nil {
		return err
	}
	if in.sel, err = in.body.Selection(); err != nil {
		return err
	}
	if in.places() {
		return nil
	}
	if in.pathModel != "" && len(in.sel.Models) == 0 && isAuto(in.sel.Model) {
		// The body's own, if any, is "", null or auto, and does not go out.
		in.sel.Model, in.sel.HasModel = in.pathModel, false
	}
	in.wantsStream = in.sel.Stream || in.asksStreamOtherwise()
	// Each name costs a selection, so a request must not bring thousands.
	if n := len(in.sel.Models); n > maxClientModels {
		return fmt.Errorf("models names %d models; at most %d are tried", n, maxClientModels)
	}
	return nil
}

// asksStreamOtherwise reports whether the client asks for a stream by the query, or
// by stream_format.
func (in *inbound) asksStreamOtherwise() bool {
	if format, ok := in.body.Get("stream_format"); ok && strings.EqualFold(strings.Trim(string(format), `"`), "sse") {
		return true
	}
	return in.r.URL.RawQuery != "" && reqbody.IsTrue(in.r.URL.Query().Get("stream"))
}

// wantsUsage reports whether the client asked for usage in its stream.
func (in *inbound) wantsUsage() bool { return wantsUsage(in.body) }

// wantsUsage reads {"stream_options": {"include_usage": true}}.
func wantsUsage(body clientBody) bool {
	var options struct {
		IncludeUsage bool `json:"include_usage"`
	}
	raw, ok := body.Get("stream_options")
	return ok && json.Unmarshal(raw, &options) == nil && options.IncludeUsage
}

// query is the part of the request for the selection.
//
// model comes before models. A name that leaves the choice to the gateway is left out.
func (in *inbound) query() query {
	q := query{surface: in.surface, credential: in.credential.given(), request: &in.request, owner: in.owner, provider: in.place.provider}
	if in.places() {
		return q
	}
	if len(in.sel.Models) == 0 && !isAuto(in.sel.Model) {
		in.name[0] = in.sel.Model
		q.names = in.name[:]
		return q
	}
	for _, name := range append([]string{in.sel.Model}, in.sel.Models...) {
		if !isAuto(name) {
			q.names = append(q.names, name)
		}
	}
	if len(q.names) == 0 { // the choice may depend on what models are able to do
		in.expose(expr.Uses{Facts: ableFacts})
	}
	return q
}

// gone is the error of a request that ended from outside: its client has left, or
// the embedding service has ended it.
func (in *inbound) gone() *Error {
	message := "the client left before an answer was whole"
	cause := context.Cause(in.ctx)
	// A cause other than Canceled comes from the service: net/http cancels without
	// a cause.
	switch {
	case errors.Is(cause, context.DeadlineExceeded):
		message = "the service's own deadline for the request passed before an answer was whole"
	case !errors.Is(cause, context.Canceled):
		message = "the service ended the request before an answer was whole"
	}
	e := errorf(CodeClientGone, "%s", message)
	e.Err = cause
	return e
}

// shown is the request without its secrets, for hooks and Results.
//
// It shares nothing with the request: a hook may keep it.
func (in *inbound) shown() ClientRequest {
	c := ClientRequest{
		Method: in.r.Method, Path: in.r.URL.Path, Headers: make(http.Header, len(in.r.Header)),
		Model: shown(in.sel.Model), Stream: in.sel.Stream, Caller: shown(in.caller),
	}
	for _, l := range in.labels {
		if c.Labels == nil {
			c.Labels = make(map[string]string, len(in.labels))
		}
		c.Labels[l.Key] = l.Value.String()
	}
	for _, name := range in.sel.Models {
		c.Models = append(c.Models, shown(name))
	}
	for name, values := range in.r.Header {
		for _, v := range values {
			if redact.IsCredentialHeader(name) || redact.IsSecretName(name) {
				v = redact.Text(v)
			}
			c.Headers[name] = append(c.Headers[name], v)
		}
	}
	return c
}

// own is the client's body for a provider that speaks its format. Reasoning that
// another provider made, and the gateway marked, is cut: this one could not verify it.
func (in *inbound) own() clientBody {
	f, ok := in.surface.dialect()
	if !ok || len(in.raw) == 0 {
		return in.body
	}
	cut := dialect.Cut(f, in.raw)
	if len(cut) == len(in.raw) {
		return in.body
	}
	doc := new(reqbody.Document)
	if reqbody.Scan(cut, doc) != nil {
		return in.body
	}
	return doc
}

// sessionHeaders name a conversation. The first one in the request counts.
var sessionHeaders = []string{"X-Session-Id", "X-Claude-Code-Session-Id", "Session-Id", "Session_id"}

// ableFacts decide whether a model can serve a request.
const ableFacts = expr.FactInputTokens | expr.FactMaxOutputTokens | expr.FactTools | expr.FactImages |
	expr.FactAudio | expr.FactDocuments | expr.FactJSONSchema

// bodyFacts need a pass over the body.
const bodyFacts = ableFacts&^expr.FactInputTokens | expr.FactReasoning | expr.FactServiceTier | expr.FactUser | expr.FactPreviousResponseID

// expose lets expressions read req.session and req.ai, if one of them does.
//
// An expression that reads neither costs nothing: the functions stay nil.
func (in *inbound) expose(uses expr.Uses) {
	if uses.Session {
		in.request.Session = in.session
	}
	if uses.Facts != 0 {
		in.need |= uses.Facts
		in.request.AI = in.facts
	}
}

// session answers req.session: a hash of a header or of a part of the body. One that
// is found is made once. It is empty before the body was read.
func (in *inbound) session() string {
	if in.body == nil || in.sessionKey != "" {
		return in.sessionKey
	}
	for _, name := range sessionHeaders {
		if v := in.r.Header.Get(name); v != "" {
			sum := sha256.Sum256([]byte(v))
			in.sessionKey = hex.EncodeToString(sum[:16])
			return in.sessionKey
		}
	}
	_, in.sessionKey = in.body.Session()
	return in.sessionKey
}

// facts answers req.ai. It reads only the facts in need, and again where the need
// has grown. It is empty before the body was read.
func (in *inbound) facts() *expr.RequestFacts {
	if in.body == nil || in.ai != nil && in.told == in.need {
		return in.ai
	}
	f := &expr.RequestFacts{Surface: in.surface.name, Stream: in.wantsStream}
	if in.need&bodyFacts != 0 {
		b := in.body.Facts()
		f.MaxOutputTokens, f.Tools, f.Images = b.MaxOutputTokens, int64(b.Tools), int64(b.Images)
		f.Audio, f.Documents = int64(b.Audio), int64(b.Documents)
		f.JSONSchema, f.Reasoning = b.JSONSchema, b.Reasoning
		f.ServiceTier, f.User, f.PreviousResponseID = b.ServiceTier, b.User, b.PreviousResponseID
	}
	if in.need&expr.FactInputTokens != 0 {
		f.InputTokens = in.estimate()
	}
	in.ai, in.told = f, in.need
	return f
}

// guess returns the tokens of the prompt for the bill of a provider that does not
// tell them. Metrics do not count a guess.
func (in *inbound) guess() int64 {
	if in.tokens > 0 {
		return in.tokens
	}
	if in.guessed == 0 {
		in.guessed = usage.Estimate(in.raw)
	}
	return in.guessed
}

// estimate returns the tokens of the prompt: as they were counted, else estimated.
func (in *inbound) estimate() int64 {
	if in.tokens == 0 {
		in.tokens = usage.Estimate(in.raw)
	}
	return in.tokens
}

// maxListed bounds the names in one header.
const maxListed = 32

// The names of the headers.
const (
	answerPrefix    = "X-Aigateway-"
	headerRequestID = answerPrefix + "Request-Id"
	// headerTranslated says what was translated to what, and which fields were lost.
	headerTranslated     = answerPrefix + "Translated"
	headerModel          = answerPrefix + "Model"
	headerAttempts       = answerPrefix + "Attempts"
	headerRemovedParams  = answerPrefix + "Removed-Params"
	headerRejectedModels = answerPrefix + "Rejected-Models"
	headerAffinity       = answerPrefix + "Affinity"
	headerCost           = answerPrefix + "Cost"
)

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

// batchRequest is one request of a batch in the client's body, with its model.
type batchRequest struct {
	*reqbody.BatchRequest
	model *model
}

// places reports whether a request names its provider, or an id, in place of a model.
func (in *inbound) places() bool {
	return in.surface.model != modelInBody && in.surface.model != modelInQuery || in.lists()
}

// lists reports whether a request lists the things behind a key.
func (in *inbound) lists() bool {
	return in.surface.state == stateLists && in.r.Method == http.MethodGet
}

// scanQuery finds the model of a session.
//
// A session has its model in the query: wss://…/realtime?model=gpt-realtime.
func (in *inbound) scanQuery() error {
	if len(in.raw) > 0 {
		return errors.New("a WebSocket has no body")
	}
	names := in.r.URL.Query()["model"]
	if len(names) > 1 {
		return errors.New("the query names its model more than once")
	}
	if in.body = &in.json; len(names) == 1 {
		in.sel.Model, in.sel.HasModel = names[0], true
	}
	return nil
}

// joinsOrHears reports whether a session without a model in its query is one that has none
// there: it joins a call, or the model that transcribes is named in the session itself. A
// provider refuses a model beside these.
func (in *inbound) joinsOrHears() bool {
	if in.sel.HasModel {
		return false
	}
	q := in.r.URL.Query()
	return q.Has("call_id") || q.Get("intent") == "transcription"
}

// cutKey takes a client's key out of the subprotocols of a handshake. It is the client's
// credential, where there is no other one.
func (in *inbound) cutKey() {
	const name = "Sec-Websocket-Protocol"
	rest, key := realtime.CutKey(in.r.Header[name])
	if key == "" {
		return
	}
	r := *in.r
	r.Header = r.Header.Clone()
	r.Header.Set(name, rest)
	if rest == "" {
		r.Header.Del(name)
	}
	in.r, in.request.Header = &r, r.Header
	if !in.credential.given() {
		in.credential = credential{value: redact.NewSecret(key), bearer: true}
	}
}

// outputLimit is the client's limit on the answer's tokens, 0 without one.
//
// The least of several limits counts. The bound keeps the sum with the estimate
// in range.
func (in *inbound) outputLimit() int64 {
	least := 0.0
	for _, name := range []string{"max_tokens", "max_completion_tokens", "max_output_tokens"} {
		if n, _, ok := in.body.Number(name); ok && n > 0 && (least == 0 || n < least) {
			least = n
		}
	}
	return int64(min(least, 1<<40))
}
