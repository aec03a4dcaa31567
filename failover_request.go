package aigateway

import (
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/expr"
	"github.com/aigateway-go/aigateway/internal/fields"
	"github.com/aigateway-go/aigateway/internal/habits"
	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/realtime"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/reqbody"
	"github.com/aigateway-go/aigateway/internal/stats"
	"github.com/aigateway-go/aigateway/internal/translate"
)

// outbound makes the upstream requests of one candidate with one key.
//
// It is a part of the call, and is set up anew for each candidate and key. What
// it notes about a request, such as removed fields, is read after the attempt.
type outbound struct {
	s         *settings
	in        *inbound
	trail     *trail
	model     *model
	key       *apiKey
	track     *stats.Track // of the key's value
	form      habits.KeyForm
	codec     *codec
	surface   *surface   // the upstream's
	path      string     // is joined to the base URL
	body      clientBody // on the upstream's side of the codec
	templates templates
	choices   int // of the answer, as far as the request tells: each ends on its own
	usageAsk  usageAsk
	removed   []string        // the client's fields that do not go out
	editRoom  [4]reqbody.Edit // for the usual edits of the body
	refuser   *model          // it refused the gateway's stream_options in this request
}

// requestError reports a configured value that cannot go into an upstream request.
//
// Nothing was sent then. A FailureSecret may pass for the next key, and a
// FailureRequest is a slip of the config for this request.
type requestError struct {
	kind FailureKind // FailureSecret or FailureRequest
	err  error
}

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

// badRequest is the error of a value that is not valid in a request.
func badRequest(format string, args ...any) error {
	return &requestError{FailureRequest, fmt.Errorf(format, args...)}
}

// text evaluates a template of a header or parameter. ok is false if the template
// has no value for this request; the header or parameter is then left out.
func (o *outbound) text(ctx context.Context, what string, f fields.Field) (value string, ok bool, err error) {
	value, err = o.templates.text(ctx, f.Value)
	if err == nil {
		return value, true, nil
	}
	if o.templates.err != nil {
		return "", false, &requestError{FailureSecret, o.templates.err}
	}
	o.trail.note("%s %q was left out: %v", what, f.Name, err)
	return "", false, nil
}

// newRequest makes the upstream request of one attempt. It notes the URL, the key
// and the secrets in a.
//
// The order matters for secrets: each one is noted in the attempt when it is read, so that
// an error on the way can be cleaned of it.
func (o *outbound) newRequest(ctx context.Context, a *attempt) (*http.Request, error) {
	p := o.model.provider
	o.templates.set, o.templates.err = &a.secrets, nil
	u, err := o.upstreamURL(ctx, p)
	if err != nil {
		return nil, err
	}
	a.path = u.Path
	header, err := o.upstreamHeader(ctx, p, a)
	if err != nil {
		return nil, err
	}
	if o.surface.upgrades {
		o.handshake(header)
	}
	o.removed = nil
	body, err := o.upstreamBody(ctx)
	a.removed = o.removed
	if err != nil {
		return nil, err
	}
	if o.in.lent {
		body.Within(&o.in.loan)
	}
	req := &http.Request{
		Method:        o.in.r.Method,
		URL:           u,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          body.NewReader(),
		GetBody:       func() (io.ReadCloser, error) { return body.NewReader(), nil },
		ContentLength: body.Len(),
		Host:          p.base.Host,
	}
	if body.Len() == 0 {
		// Else net/http would send an empty body in chunks.
		req.Body, req.GetBody = http.NoBody, func() (io.ReadCloser, error) { return http.NoBody, nil }
	}
	return req.WithContext(ctx), nil
}

// upstreamURL joins the surface's path to the base URL, and merges the queries: the
// provider's config, the gateway's, the client's, the base URL's. Earlier ones win.
//
// The client's pairs keep their spelling and their order. A provider may read
// them in its own way.
func (o *outbound) upstreamURL(ctx context.Context, p *provider) (*url.URL, error) {
	base, raw := p.base.Path, p.base.RawPath
	if o.surface.root {
		base, raw = strings.TrimSuffix(base, "/v1"), strings.TrimSuffix(raw, "/v1")
	}
	u := &url.URL{Scheme: p.target.Scheme, Host: p.target.Host, Path: base + "/" + o.path}
	if raw != "" {
		u.RawPath = raw + "/" + o.path
	}
	client := o.in.r.URL.RawQuery
	if o.surface.model == modelInQuery && !o.in.joinsOrHears() {
		client = withModel(client, o.model.id)
	}
	if o.codec != nil {
		client = "" // it belongs to another API
	}
	if len(p.query) == 0 && (client == "" || p.base.RawQuery == "" && o.in.pathModel == "") && !hasCredential(client) {
		u.RawQuery = client + p.base.RawQuery // one of them is empty
		return u, nil
	}
	var q rawQuery
	for _, f := range p.query {
		value, ok, err := o.text(ctx, "query parameter", f)
		if err != nil {
			return nil, err
		}
		if ok {
			q.set(f.Name, url.QueryEscape(f.Name)+"="+url.QueryEscape(value))
			if f.Secret {
				o.templates.set.HideLiteral(value)
			}
		} else {
			q.names = append(q.names, f.Name) // nor may the client give it a value
		}
	}
	q.merge(client, func(name string) bool {
		// The version of Azure's API belongs to the path that named the model.
		return redact.IsCredentialParam(name) || o.in.pathModel != "" && strings.EqualFold(name, "api-version")
	})
	q.merge(p.base.RawQuery, func(string) bool { return false })
	u.RawQuery = strings.Join(q.pairs, "&")
	return u, nil
}

// rawQuery is a query made of the pairs of several queries, each in its own
// spelling. The first source of a name keeps it.
type rawQuery struct {
	names []string
	pairs []string
}

// set adds a pair under its decoded name.
func (q *rawQuery) set(name, pair string) {
	q.names, q.pairs = append(q.names, name), append(q.pairs, pair)
}

// merge adds the pairs of a query, except names of earlier sources.
//
// Within one query repeated names stay: a list is written so.
func (q *rawQuery) merge(raw string, skip func(name string) bool) {
	earlier := q.names
	taken := func(name string) bool {
		return skip(name) || slices.ContainsFunc(earlier, func(e string) bool { return strings.EqualFold(e, name) })
	}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair != "" && !slices.ContainsFunc(paramNames(pair), taken) {
			q.set(paramName(pair), pair)
		}
	}
}

// paramNames are all names that a server could read in a pair: a few servers also
// split at a semicolon.
func paramNames(pair string) []string {
	var names []string
	for part := range strings.SplitSeq(pair, ";") {
		names = append(names, paramName(part))
	}
	return names
}

// paramName is the decoded name of a pair. If it cannot be decoded, it stays as it
// is.
func paramName(pair string) string {
	raw, _, _ := strings.Cut(pair, "=")
	if name, err := url.QueryUnescape(raw); err == nil {
		return name
	}
	return raw
}

// hasCredential reports whether a client's query holds a credential. The gateway's
// key replaces it.
func hasCredential(raw string) bool {
	if raw == "" {
		return false
	}
	for pair := range strings.SplitSeq(raw, "&") {
		if slices.ContainsFunc(paramNames(pair), redact.IsCredentialParam) {
			return true
		}
	}
	return false
}

// upstreamHeader makes the header for the provider: those of the client's headers
// that concern the request, the configured headers, and exactly one credential.
func (o *outbound) upstreamHeader(ctx context.Context, p *provider, a *attempt) (http.Header, error) {
	// As large as it may become: a map of eight takes half the memory of one of nine.
	h := make(http.Header, len(o.in.r.Header)+len(p.headers)+2)
	dropped := header.WordsOf(o.in.r.Header["Connection"]) // such fields are for the next hop only
	ownKey := o.sendsOwnKey()
	for name, values := range o.in.r.Header {
		if !o.forwards(name, ownKey) || dropped.Has(name) {
			continue
		}
		if name == "Idempotency-Key" {
			// Under its usual name, net/http would resend the request by itself.
			name = "idempotency-key"
		}
		h[name] = values
	}
	o.setContentType(h)
	h["Accept-Encoding"] = identityEncoding
	for _, f := range p.headers {
		value, ok, err := o.text(ctx, "header", f)
		if err != nil {
			return nil, err
		}
		if !ok {
			delete(h, f.Name) // nor may the client give it a value
			continue
		}
		if !header.IsValue(value) {
			return nil, badRequest("the value of header %q holds a line break or control character", f.Name)
		}
		h[f.Name] = []string{value}
		if f.Secret {
			o.templates.set.HideLiteral(value)
		}
	}
	if o.codec != nil && o.surface.format == formatAnthropic && h["Anthropic-Version"] == nil {
		h["Anthropic-Version"] = []string{translate.MessagesVersion}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // nor does the transport add its own
	}
	return h, o.authenticate(ctx, h, p, a)
}

// identityEncoding is shared by all requests and must not be changed. The gateway
// reads answers, so it asks for them uncompressed.
var identityEncoding = []string{"identity"}

// setContentType sets the type that the body was read as. JSON may come under
// another type, or without one (curl -d calls it a form). An upstream that believed
// the type could find another model in it. If the client sent several types, the
// first counts, as it did for reading a form.
//
// The type stays whatever Connection says. It names no charset but UTF-8: under
// utf-7 the gateway and the provider could disagree about the field "model".
func (o *outbound) setContentType(h http.Header) {
	if len(o.in.raw) == 0 {
		return // it has no body
	}
	sent := header.First(o.in.r.Header, "Content-Type")
	kind, params, err := header.MediaType(sent)
	_, isForm := o.in.body.(*reqbody.Form)
	foreign := strings.Contains(strings.ToLower(sent), "charset") && !strings.EqualFold(params["charset"], "utf-8")
	switch {
	case !isForm && (err != nil || !header.IsJSON(kind)):
		sent = "application/json"
	case foreign && err == nil:
		delete(params, "charset")
		sent = mime.FormatMediaType(kind, params)
	case len(h["Content-Type"]) == 1:
		return
	}
	h["Content-Type"] = []string{sent}
}

// sendsOwnKey reports whether the provider gets the client's own key.
//
// That is pass-through: no provider is configured, and the client brings its own
// key.
func (o *outbound) sendsOwnKey() bool {
	return o.key.none && len(o.model.provider.operatorAuth) == 0 && o.s.selector.passThrough
}

// forwards reports whether a provider may see a client's header. ownKey is set if
// the provider also gets the client's key.
//
// Nothing is forwarded that is not named here or in forward_headers: an unknown
// header could hold a secret of the service.
func (o *outbound) forwards(name string, ownKey bool) bool {
	switch name {
	case "Content-Type", "Accept", "User-Agent", "Idempotency-Key", "X-Request-Id":
		return true
	case "Openai-Organization", "Openai-Project":
		return ownKey
	}
	if redact.IsCredentialHeader(name) || name == headerProvider {
		return false
	}
	if o.s.forward[name] || o.codec != nil {
		return o.s.forward[name] // the others are about an API that the provider does not speak
	}
	return (strings.HasPrefix(name, "Openai-") || strings.HasPrefix(name, "Anthropic-") || strings.HasPrefix(name, "X-Stainless-")) && !redact.TellsCredential(name)
}

// authenticate puts the credential into the header. An operator's own credential
// comes with the configured headers. It beats the key, unless it has no value for
// this request.
//
// The order is: a credential among the configured headers, the configured key,
// and the client's own key in pass-through. Without any of them the request goes
// out without a credential, as for a local server.
func (o *outbound) authenticate(ctx context.Context, h http.Header, p *provider, a *attempt) error {
	if slices.ContainsFunc(p.operatorAuth, func(name string) bool { _, ok := h[name]; return ok }) {
		a.operatorAuth = true
		return nil
	}
	var value string
	switch {
	case !o.key.none:
		v, err := o.templates.text(ctx, o.key.value)
		if err != nil {
			if o.templates.err != nil {
				return &requestError{FailureSecret, o.templates.err}
			}
			return badRequest("api key: %w", err)
		}
		if v == "" || !header.IsValue(v) {
			return badRequest("the api key is empty, or holds a line break or control character")
		}
		// A value made only from the request is the client's key.
		a.ownKey = !o.key.perRequest || len(a.secrets.Used()) > 0
		o.templates.set.Hide(v)
		value = v
	case o.s.selector.passThrough && o.in.credential.given():
		value = o.in.credential.value.Reveal()
		o.templates.set.Hide(value)
	default:
		return nil
	}
	name, scheme := p.auth.Header, p.auth.Scheme
	if name == "" {
		name, scheme = "Authorization", given(scheme, "Bearer")
		if o.surface.format == formatAnthropic && p.auth.Scheme == "" {
			bearer := o.form.Bearer(o.formHint().bearer)
			a.formOpen = a.ownKey && o.form == habits.KeyOfClient && o.formHint().given() && !p.forms.Takes(bearer)
			if !bearer {
				name, scheme = "X-Api-Key", ""
			}
		}
	}
	a.sentHeader, a.sentScheme = name, scheme
	if scheme != "" {
		value = scheme + " " + value
	}
	a.credential[0] = value
	h[name] = a.credential[:]
	return nil
}

// isRequestError reports whether err is a requestError, and returns its kind.
func isRequestError(err error) (FailureKind, bool) {
	var e *requestError
	if errors.As(err, &e) {
		return e.kind, true
	}
	return "", false
}

// formHint is the client's credential as far as its form tells in which form this
// API wants a key.
func (o *outbound) formHint() credential {
	if o.codec != nil {
		return credential{}
	}
	return o.in.credential
}

// handshake adds the client's handshake to the header for the provider. Extensions are
// left out: a compressed frame would hide its usage. The client's organization and
// project belong to its own key.
func (o *outbound) handshake(h http.Header) {
	h["Connection"], h["Upgrade"] = []string{"Upgrade"}, []string{"websocket"}
	for _, name := range [...]string{"Sec-Websocket-Key", "Sec-Websocket-Version", "Sec-Websocket-Protocol"} {
		if v := o.in.r.Header[name]; len(v) > 0 {
			h[name] = v
		}
	}
	const protocols = "Sec-Websocket-Protocol"
	if v := h[protocols]; len(v) > 0 && !o.sendsOwnKey() {
		if h[protocols] = []string{realtime.CutAccount(v)}; h[protocols][0] == "" {
			delete(h, protocols)
		}
	}
}

// withModel is a query with a model in the place of the client's.
func withModel(raw, model string) string {
	pairs := []string{"model=" + url.QueryEscape(model)}
	for pair := range strings.SplitSeq(raw, "&") {
		if pair != "" && paramName(pair) != "model" {
			pairs = append(pairs, pair)
		}
	}
	return strings.Join(pairs, "&")
}

// templates evaluates the ${…} of an attempt, and notes their secrets.
// It belongs to one goroutine.
type templates struct {
	in      expr.TemplateInput
	secrets *SecretCache
	set     *redact.Set // of the attempt
	err     error       // why a secret could not be resolved
}

// secret answers secrets.get. It keeps the error, to tell a failed secret from a
// failed expression.
func (t *templates) secret(ctx context.Context, vault, name string) (string, error) {
	value, err := t.secrets.ResolveSecret(ctx, vault, name)
	if err != nil {
		t.err = fmt.Errorf("secret %q of vault %q: %w", name, vault, err)
		return "", t.err
	}
	t.set.Add(redact.UsedSecret{Vault: vault, Name: name, Value: redact.NewSecret(value)})
	return value, nil
}

// evaluate evaluates a template. A value made from a secret is secret too.
func evaluate[T any](t *templates, eval func() (T, error)) (T, error) {
	t.err = nil // of an earlier template, which may have gone on without that secret
	before := len(t.set.Used())
	v, err := eval()
	if len(t.set.Used()) > before {
		t.set.HideDerived(v, t.set.Used()[before:])
	}
	return v, err
}

// text evaluates a template to a string.
func (t *templates) text(ctx context.Context, v *expr.Template) (string, error) {
	return evaluate(t, func() (string, error) { return v.Text(ctx, &t.in) })
}

// tree evaluates the templates in a value of the body. It shares nothing with the
// config.
// The first failing template ends the evaluation.
func (t *templates) tree(ctx context.Context, v any) (any, error) {
	switch v := v.(type) {
	case *expr.Template:
		return evaluate(t, func() (any, error) { return v.Eval(ctx, &t.in) })
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, child := range v {
			c, err := t.tree(ctx, child)
			if err != nil {
				return nil, err
			}
			m[k] = c
		}
		return m, nil
	case []any:
		l := make([]any, len(v))
		for i, child := range v {
			c, err := t.tree(ctx, child)
			if err != nil {
				return nil, err
			}
			l[i] = c
		}
		return l, nil
	default:
		return v, nil
	}
}
