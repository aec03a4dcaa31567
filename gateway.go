package aigateway

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway/internal/debugpage"
	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/reqbody"
	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/aigateway-go/aigateway/internal/usage"
)

// maxClientModels bounds the names that one request may ask for.
const maxClientModels = 100

// Gateway is an [http.Handler] that answers requests in the OpenAI and
// Anthropic formats by sending each to a model at a provider, and to the next
// one where that fails. Make one with [New]. It is safe for concurrent use, has
// no goroutine of its own, and need not be closed.
type Gateway struct {
	current   atomic.Pointer[settings]
	recorder  *stats.Recorder
	history   debugpage.History
	reloading sync.Mutex
}

// New makes a Gateway. It reports everything that is wrong with cfg, each as a
// [*ConfigError]. It does no network I/O: secrets are resolved when they are
// needed (see [Gateway.Check]), and of the interfaces only the registry and the URL
// policy are asked.
func New(cfg Config) (*Gateway, error) {
	s, err := newSettings(cfg)
	if err != nil {
		return nil, err
	}
	g := &Gateway{recorder: stats.NewRecorder(cfg.Region, cfg.Account)}
	s.attach(g.recorder)
	s.debug = newDebugSettings(&g.history, cfg)
	if s.transport == nil {
		s.transport, s.ownTransport = newTransport(s.addrs), true
	}
	g.current.Store(s)
	return g, nil
}

// Reload replaces the gateway's config at once, for the requests that come
// after it; those under way finish on the old one. Where it returns an error,
// the old config stays.
//
// Nothing of the old Config is carried over: Logger, Secrets, Hooks, Transport and
// all else that no file holds come from the new one, and must be set on it
// again. What the gateway has learnt stays: metrics, rests, and the requests that
// the debug page shows. Connections are kept too, unless the transport is another
// one or the URL policy is an [AddrPolicy].
func (g *Gateway) Reload(cfg Config) error {
	s, err := newSettings(cfg)
	if err != nil {
		return err
	}
	g.reloading.Lock()
	defer g.reloading.Unlock()
	old := g.current.Load()
	switch {
	case s.transport != nil:
	case old.ownTransport && old.addrs == nil && s.addrs == nil:
		s.transport, s.ownTransport = old.transport, true
	default:
		s.transport, s.ownTransport = newTransport(s.addrs), true
	}
	s.attach(g.recorder)
	s.debug = newDebugSettings(&g.history, cfg)
	g.recorder.Move(cfg.Region, cfg.Account)
	g.current.Store(s)
	if t, ok := old.transport.(*http.Transport); ok && old.ownTransport && old.transport != s.transport {
		t.CloseIdleConnections()
	}
	return nil
}

// Check resolves every secret that the config names, and reports those that
// cannot be, each as a [*ConfigError] with its place. A secret whose name an
// expression computes from the request is known only then, and not checked.
func (g *Gateway) Check(ctx context.Context) error {
	s := g.current.Load()
	var p problems
	for _, ref := range s.secretRefs {
		if _, err := s.secrets.ResolveSecret(ctx, ref.vault, ref.name); err != nil {
			p.add(ref.path, "", "secret %q of vault %q: %v", ref.name, ref.vault, err)
		}
	}
	if len(p) == 0 {
		return nil
	}
	return fmt.Errorf("aigateway: secrets that do not resolve:\n%w", ConfigErrors(p))
}

// ServeHTTP answers a request. A path that is no surface of the gateway gets
// 404 in the OpenAI error format.
//
// A stream that breaks after it has begun ends in a panic with
// [http.ErrAbortHandler], which makes net/http abort the client's connection:
// middleware that recovers must pass it on, as it must for httputil.ReverseProxy.
func (g *Gateway) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	g.serve(w, r, nil) //nolint:contextcheck // the exchange carries the request's context
}

// Wrap returns a handler that answers like ServeHTTP, but leaves to next all
// paths that are no surface of the gateway and, under [OnErrorContinue], the
// requests that it could not serve. If next is nil, it leaves nothing.
func (g *Gateway) Wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		g.serve(w, r, next) //nolint:contextcheck // as above
	})
}

func (g *Gateway) serve(w http.ResponseWriter, r *http.Request, next http.Handler) {
	s := g.current.Load()
	surface, path := s.surfaces.find(r.URL.Path)
	id, models := modelsPath(r.URL.Path)
	reading := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case models && reading: // first, as a model's id may end like a surface
		s.serveModels(w, r, id)
	case surface != nil && r.Method == http.MethodPost:
		x := newExchange(s, w, r, surface, path)
		x.next = next
		x.serve()
	case surface != nil:
		methodNotAllowed(w, surface.format, r, http.MethodPost)
	case models:
		methodNotAllowed(w, clientFormat(r.Header), r, "GET, HEAD")
	case next != nil:
		next.ServeHTTP(w, r)
	default:
		writeError(w, formatOpenAI, errorf(CodeNotFound, "%s is no path that the gateway serves", r.URL.Path), requestID(r.Header))
	}
}

func methodNotAllowed(w http.ResponseWriter, f format, r *http.Request, allowed string) {
	w.Header().Set("Allow", allowed)
	writeError(w, f, errorf(CodeMethodNotAllowed, "%s is called by %s, not %s", r.URL.Path, allowed, r.Method), requestID(r.Header))
}

// exchange is one client request on its way through the gateway. It belongs to
// the request's goroutine.
type exchange struct {
	s       *settings
	w       http.ResponseWriter
	r       *http.Request
	ctx     context.Context // the client's
	next    http.Handler    // nil for a terminal handler
	surface *surface
	path    string // what is joined to a base URL
	id      string
	start   time.Time

	raw        []byte // the client's body
	json       reqbody.Document
	body       clientBody
	sel        reqbody.Selection
	credential credential
	request    expr.Request
	plan       plan
	chosenKeys []keysRecord

	deadline  time.Time // total_timeout
	templates templates
	tried     []triedRecord
	rested    []restedRecord
	attempts  []attemptRecord
	meter     usage.Meter
	written   usage.Written // where a strategy wants to know
	turn      stats.Turn    // of turnOf, which is to be tried next
	turnOf    *model
	choices   int   // of the answer, as far as the request tells: each ends on its own
	estimated int64 // tokens of the prompt, where they were counted or estimated
	notes     []string

	readTime    time.Duration // spent on waiting for the client's body
	waited      time.Duration // between retries
	committedAt time.Time
	lost        bool // the client's body was read in part, and cannot be handed on
	answered    bool // an upstream's error was relayed
	abort       bool // the client's connection must not end as if all were well
}

func newExchange(s *settings, w http.ResponseWriter, r *http.Request, surface *surface, path string) *exchange {
	x := &exchange{
		s: s, w: w, r: r, ctx: r.Context(), surface: surface, path: path,
		start: time.Now(), id: requestID(r.Header), credential: clientCredential(r.Header),
	}
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = r.RemoteAddr
	}
	x.request = expr.Request{
		Method: r.Method, Path: r.URL.Path, Host: r.Host, ID: x.id, ClientIP: ip, Header: r.Header,
	}
	x.templates.s = s
	x.templates.in = expr.TemplateInput{Request: &x.request, Secret: x.templates.secret}
	return x
}

// serve is the pipeline: read, select, send, answer, report.
func (x *exchange) serve() {
	if hook := x.s.hooks.RequestStart; hook != nil {
		if ctx := hook(x.ctx, x.client()); ctx != nil {
			x.ctx = ctx
		}
	}
	err := x.read()
	if err == nil {
		err = x.choose()
	}
	if err == nil {
		err = x.failover()
	}
	handOn := err != nil && x.continues() && !x.answered && !x.lost && err.Code != CodeStreamBroken && err.Code != CodeClientGone
	if err != nil && !handOn && !x.answered && x.committedAt.IsZero() {
		// Also for a client that seems gone: some close only their half of the
		// connection, and must not take an empty 200 for the answer.
		writeError(x.w, x.surface.format, err, x.id)
	}
	res := x.report(err)
	switch {
	case x.abort:
		panic(http.ErrAbortHandler)
	case handOn:
		r := x.r.WithContext(context.WithValue(x.ctx, resultKey{}, res))
		if x.raw != nil {
			r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(x.raw)), int64(len(x.raw))
		}
		x.next.ServeHTTP(x.w, r)
	}
}

// continues reports whether a failed request goes on to the next handler.
func (x *exchange) continues() bool { return x.s.onContinue && x.next != nil }

// read reads and scans the body.
func (x *exchange) read() *Error {
	for _, enc := range x.r.Header["Content-Encoding"] { // one line may follow another
		if enc != "" && !strings.EqualFold(enc, "identity") {
			return errorf(CodeUnsupportedMediaType, "the body has Content-Encoding %q: send it uncompressed", enc)
		}
	}
	begin := time.Now()
	raw, err := reqbody.Read(x.r.Body, x.r.ContentLength, x.s.maxBody)
	x.readTime = time.Since(begin)
	x.deadline = begin.Add(x.readTime + x.s.total)
	x.lost = err != nil
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, reqbody.ErrTooLarge):
		return errorf(CodeRequestTooLarge, "the body is over %d bytes", x.s.maxBody)
	case errors.As(err, &tooLarge):
		return errorf(CodeRequestTooLarge, "the body is over %d bytes", tooLarge.Limit)
	case err != nil && x.ctx.Err() != nil:
		return x.gone()
	case err != nil:
		e := errorf(CodeInvalidRequestBody, "the body could not be read to its end")
		e.Err = err
		return e
	}
	x.raw = raw
	if err := x.scan(); err != nil {
		e := errorf(CodeInvalidRequestBody, "invalid request body: %v", err)
		e.Err = err
		return e
	}
	return nil
}

// scan finds in the body what the gateway needs to know. JSON is recognised by
// its first byte too, as curl sends it under the type of a form.
func (x *exchange) scan() (err error) {
	first := bytes.TrimLeft(x.raw, " \t\r\n")
	sent := x.r.Header.Get("Content-Type")
	switch {
	case !reqbody.IsForm(sent) || bytes.HasPrefix(first, []byte("{")):
		err, x.body = reqbody.Scan(x.raw, &x.json), &x.json
	case !x.surface.form:
		return errors.New("this surface takes JSON, not multipart/form-data")
	default:
		form := new(reqbody.Form)
		err, x.body = reqbody.ScanForm(x.raw, sent, form), form
	}
	if err != nil {
		return err
	}
	if x.sel, err = x.body.Selection(); err != nil {
		return err
	}
	if n := len(x.sel.Models); n > maxClientModels {
		return fmt.Errorf("models names %d models; at most %d are tried", n, maxClientModels)
	}
	return nil
}

// mediaType is mime.ParseMediaType, which makes a map for each, but for the two
// that nearly all messages have.
func mediaType(header string) (kind string, params map[string]string, err error) {
	switch header {
	case "application/json", "text/event-stream":
		return header, nil, nil
	}
	return mime.ParseMediaType(header)
}

// choose selects the models to try.
func (x *exchange) choose() *Error {
	var err *Error
	x.plan, err = x.s.choose(x.ctx, x.query())
	if err != nil && x.ctx.Err() != nil {
		return x.gone()
	}
	return err
}

func (x *exchange) query() query {
	q := query{surface: x.surface, credential: x.credential.given(), request: &x.request}
	if len(x.sel.Models) == 0 && !isAuto(x.sel.Model) {
		q.names = []string{x.sel.Model}
		return q
	}
	for _, name := range append([]string{x.sel.Model}, x.sel.Models...) {
		if !isAuto(name) {
			q.names = append(q.names, name)
		}
	}
	return q
}

// isAuto reports whether a name leaves the choice to the gateway.
func isAuto(name string) bool {
	return name == "" || strings.EqualFold(name, "auto") || strings.EqualFold(name, "ngrok/auto")
}

// flush sends on what was written. A writer that cannot flush sends it when it
// is full.
func (x *exchange) flush() error {
	if err := http.NewResponseController(x.w).Flush(); err != nil && !errors.Is(err, http.ErrNotSupported) {
		return err
	}
	return nil
}

// note adds a remark to the Result, once.
func (x *exchange) note(format string, args ...any) {
	if n := fmt.Sprintf(format, args...); !slices.Contains(x.notes, n) {
		x.notes = append(x.notes, n)
	}
}

// report tells the hook and the log what became of the request. The Result is
// made only for those who want one.
func (x *exchange) report(err *Error) *Result {
	var res *Result
	if x.s.hooks.RequestDone != nil || err != nil && x.continues() {
		res = x.result(err)
	}
	x.log(err)
	x.remember(err)
	if hook := x.s.hooks.RequestDone; hook != nil {
		hook(x.ctx, res)
		if x.continues() {
			res = x.result(err) // the hook's own may have been changed
		}
	}
	return res
}
