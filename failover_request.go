package aigateway

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/aigateway-go/aigateway/internal/header"
	"github.com/aigateway-go/aigateway/internal/redact"
	"github.com/aigateway-go/aigateway/internal/reqbody"
	"github.com/aigateway-go/aigateway/internal/stats"
)

// outbound makes the upstream requests of one candidate with one key.
type outbound struct {
	s         *settings
	in        *inbound
	trail     *trail
	model     *model
	key       *apiKey
	track     *stats.Track // of the key's value
	form      keyForm
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
func (o *outbound) text(ctx context.Context, what string, f field) (value string, ok bool, err error) {
	value, err = o.templates.text(ctx, f.value)
	if err == nil {
		return value, true, nil
	}
	if o.templates.err != nil {
		return "", false, &requestError{FailureSecret, o.templates.err}
	}
	o.trail.note("%s %q was left out: %v", what, f.name, err)
	return "", false, nil
}

// newRequest makes the upstream request of one attempt. It notes the URL, the key
// and the secrets in a.
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
	if o.surface.model == modelInQuery {
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
			q.set(f.name, url.QueryEscape(f.name)+"="+url.QueryEscape(value))
			if f.secret {
				o.templates.set.hideLiteral(value)
			}
		} else {
			q.names = append(q.names, f.name) // nor may the client give it a value
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

func (q *rawQuery) set(name, pair string) {
	q.names, q.pairs = append(q.names, name), append(q.pairs, pair)
}

// merge adds the pairs of a query, except names of earlier sources.
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
	dropped := o.in.r.Header["Connection"]
	ownKey := o.key.none && len(p.operatorAuth) == 0 && o.s.selector.passThrough
	for name, values := range o.in.r.Header {
		if !o.forwards(name, ownKey) || namedBy(dropped, name) {
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
			delete(h, f.name) // nor may the client give it a value
			continue
		}
		if !header.IsValue(value) {
			return nil, badRequest("the value of header %q holds a line break or control character", f.name)
		}
		h[f.name] = []string{value}
		if f.secret {
			o.templates.set.hideLiteral(value)
		}
	}
	if o.codec != nil && o.surface.format == formatAnthropic && h["Anthropic-Version"] == nil {
		h["Anthropic-Version"] = []string{messagesVersion}
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
	sent := o.in.r.Header.Get("Content-Type")
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

// forwards reports whether a provider may see a client's header. ownKey is set if
// the provider also gets the client's key.
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
	if o.codec != nil {
		return o.s.forward[name] // the others are about an API that the provider does not speak
	}
	return strings.HasPrefix(name, "Openai-") || strings.HasPrefix(name, "Anthropic-") ||
		strings.HasPrefix(name, "X-Stainless-") || o.s.forward[name]
}

// namedBy reports whether a Connection header lists a field. Such fields are for
// the next hop only.
func namedBy(connection []string, name string) bool {
	for _, line := range connection {
		for word := range strings.SplitSeq(line, ",") {
			if strings.EqualFold(strings.TrimSpace(word), name) {
				return true
			}
		}
	}
	return false
}

// authenticate puts the credential into the header. An operator's own credential
// comes with the configured headers. It beats the key, unless it has no value for
// this request.
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
		a.ownKey = !o.key.perRequest || len(a.secrets.used) > 0
		o.templates.set.hide(v)
		value = v
	case o.s.selector.passThrough && o.in.credential.given():
		value = o.in.credential.value.Reveal()
		o.templates.set.hide(value)
	default:
		return nil
	}
	name, scheme := p.auth.Header, p.auth.Scheme
	if name == "" {
		name, scheme = "Authorization", given(scheme, "Bearer")
		if o.surface.format == formatAnthropic && p.auth.Scheme == "" {
			bearer := o.form.bearer(o.formHint())
			a.formOpen = a.ownKey && o.form == formOfClient && o.formHint().given() && !p.forms.takes(bearer)
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

// upstreamBody is the client's body with the edits that the candidate needs.
func (o *outbound) upstreamBody(ctx context.Context) (*reqbody.Body, error) {
	switch {
	case len(o.in.place.requests) > 0:
		return o.batchBody(ctx)
	case o.in.places(), o.surface.upgrades:
		return reqbody.Whole(o.in.raw), nil
	}
	m, p := o.model, o.model.provider
	// Usual requests need no more edits than fit here, and so no allocation.
	e := edits(o.editRoom[:0])
	if !o.in.sel.HasModel || o.in.sel.Model != m.id {
		e.set("model", reqbody.Quote(m.id))
	}
	if _, ok := o.body.Get("models"); ok {
		e.set("models", nil)
	}
	// Configured fields come before the limits and the parameters, which bind them
	// too.
	for _, f := range p.body {
		raw := f.raw
		if raw == nil {
			v, err := o.templates.tree(ctx, f.tree)
			if err != nil {
				if o.templates.err != nil {
					return nil, &requestError{FailureSecret, o.templates.err}
				}
				return nil, badRequest("body field %q: %w", f.name, err)
			}
			if raw, err = json.Marshal(v); err != nil {
				return nil, badRequest("body field %q: %w", f.name, err)
			}
		}
		e.set(f.name, raw)
	}
	o.capOutput(&e)
	o.dropParams(&e)
	o.dropLookalikes(&e)
	o.askForUsage(&e)
	if o.in.sel.Stream {
		o.choices = o.choicesOf(e)
	}
	body, err := o.body.Splice(e)
	if err != nil {
		return nil, badRequest("%w", err)
	}
	return body, nil
}

// choicesOf returns the number of choices in the answer: n for each prompt. The
// legacy completions take several prompts.
func (o *outbound) choicesOf(e edits) int {
	choices := 1
	if raw := o.outgoing(e, "n"); len(raw) > 0 {
		// Servers take 2, 2.0 and "2".
		if n, err := strconv.ParseFloat(strings.Trim(string(raw), `"`), 64); err == nil && n > 1 && n <= 1<<16 {
			choices = int(n)
		}
	}
	raw := o.outgoing(e, "prompt")
	if len(raw) == 0 || raw[0] != '[' {
		return choices
	}
	var prompts []json.RawMessage
	if json.Unmarshal(raw, &prompts) != nil || len(prompts) == 0 {
		return choices
	}
	if first := prompts[0][0]; first == '"' || first == '[' { // else they are tokens
		choices *= len(prompts)
	}
	return choices
}

// outgoing is the value of a field in the upstream request. Empty if the field is
// left out.
func (o *outbound) outgoing(e edits, name string) []byte {
	if i := e.find(name); i >= 0 {
		return e[i].Value
	}
	value, _ := o.body.Get(name)
	return value
}

// edits is a list of edits, at most one for each name.
type edits []reqbody.Edit

// set replaces the edit of a name, or adds one.
func (e *edits) set(name string, value []byte) {
	if i := e.find(name); i >= 0 {
		(*e)[i].Value = value
		return
	}
	*e = append(*e, reqbody.Edit{Name: name, Value: value})
}

// find returns the index of a name's edit, -1 without one.
func (e *edits) find(name string) int {
	return slices.IndexFunc(*e, func(x reqbody.Edit) bool { return x.Name == name })
}

// capOutput lowers each of the surface's limits above max_output_tokens, and sets
// one if the request has no limit. A negative or malformed limit is replaced too:
// some upstreams take -1 for no limit, and "9999" for a number.
func (o *outbound) capOutput(e *edits) {
	limits := o.surface.limits
	if o.s.maxOutput == 0 || len(limits) == 0 {
		return
	}
	limit := strconv.AppendInt(nil, o.s.maxOutput, 10)
	found := false
	for _, name := range limits {
		n, present, isNumber := o.body.Number(name)
		if i := e.find(name); i >= 0 {
			v, err := strconv.ParseFloat(string((*e)[i].Value), 64)
			n, present, isNumber = v, (*e)[i].Value != nil, err == nil
		}
		if !present || !isNumber && o.isNull(name, *e) {
			continue
		}
		found = true
		if !isNumber || n < 0 || n > float64(o.s.maxOutput) {
			e.set(name, limit)
		}
	}
	if found {
		return
	}
	name := limits[0]
	if o.surface.name == surfaceChat && o.model.provider.refusesMaxTokens {
		name = "max_completion_tokens" // its newer models refuse max_tokens
	}
	e.set(name, limit)
}

// isNull reports whether a field is present with the value null. Like an absent
// field, it leaves the limit to the model.
func (o *outbound) isNull(name string, e edits) bool {
	if i := e.find(name); i >= 0 {
		return string(e[i].Value) == "null"
	}
	v, _ := o.body.Get(name)
	return string(v) == "null"
}

// dropParams removes fields outside the surface's supported_params, and fields in
// the model's unsupported_params. Configured fields are held to both too.
func (o *outbound) dropParams(e *edits) {
	a, _ := o.model.provider.speaks(o.surface)
	if a != nil && a.params != nil {
		for name := range o.body.Names() {
			if !a.params[name] {
				o.remove(name)
				e.set(name, nil)
			}
		}
		for i := range *e {
			if !a.params[(*e)[i].Name] {
				(*e)[i].Value = nil
			}
		}
	}
	for _, name := range o.model.denied {
		// Without a model the request would be meaningless.
		if name != "model" {
			if _, ok := o.in.body.Get(name); ok {
				o.remove(name)
			}
			e.set(name, nil)
		}
	}
}

// remove notes that a field of the client's does not go out. A client can send
// thousands.
func (o *outbound) remove(name string) {
	if len(o.removed) <= maxListed && name != "models" && !slices.Contains(o.removed, name) {
		o.removed = append(o.removed, shown(name))
	}
}

// dropLookalikes removes client fields that could undo a configured field. Some
// upstreams take a similar name for the same field: Go folds case, and C ends a
// string at a NUL. Repeated limits are removed too.
func (o *outbound) dropLookalikes(e *edits) {
	var governed []string
	if o.s.maxOutput > 0 {
		governed = append(governed, o.surface.limits...)
	}
	for _, f := range o.model.provider.body {
		governed = append(governed, f.name)
	}
	governed = append(governed, o.model.denied...)
	if len(governed) == 0 {
		return
	}
	// Names include repetitions, as they stand in the body.
	seen := map[string]bool{}
	for name := range o.body.Names() {
		i := slices.IndexFunc(governed, func(g string) bool { return reqbody.Alike(name, g) })
		switch {
		case i < 0:
		case !slices.Contains(governed, name):
			e.set(name, nil)
		case seen[name] && e.find(name) < 0:
			value, _ := o.body.Get(name)
			e.set(name, value) // the last one counts, and the others go
		}
		seen[name] = true
	}
}

// askForUsage asks for usage in a stream whose client did not. The stream is then
// relayed without it. A client that asks for it in a wrong way keeps its mistake.
func (o *outbound) askForUsage(e *edits) {
	o.usageAsk = usageUnasked
	if _, isJSON := o.in.body.(*reqbody.Document); !isJSON || !o.in.sel.Stream || !o.surface.usageOption {
		return
	}
	options, ok := withUsage(o.outgoing(*e, "stream_options"))
	switch {
	case o.codec != nil && o.refuser == o.model && e.find("stream_options") < 0:
		e.set("stream_options", nil)
	case o.codec != nil && !ok && e.find("stream_options") < 0:
		o.usageAsk = usageForTranslation
	case !ok:
		o.usageAsk = usageForClient
	case o.s.askUsage && o.refuser != o.model && o.s.habits.of(o.model) == habitAsk && o.passes("stream_options"):
		e.set("stream_options", options)
		o.usageAsk = usageForGateway
	}
}

// passes reports whether a field may reach the model.
func (o *outbound) passes(name string) bool {
	a, _ := o.model.provider.speaks(o.surface)
	if a != nil && a.params != nil && !a.params[name] {
		return false
	}
	for _, denied := range o.model.denied {
		if denied == name {
			return false
		}
	}
	return true
}

// onlyUsage is stream_options for a client that sent none. It is never changed.
var onlyUsage = []byte(`{"include_usage":true}`)

// withUsage returns stream_options with include_usage, and all other options as they
// were. It is false if the options ask for usage already, or are not an object.
func withUsage(options []byte) ([]byte, bool) {
	options = bytes.TrimSpace(options)
	if len(options) == 0 || string(options) == "null" {
		return onlyUsage, true
	}
	var given struct {
		IncludeUsage json.RawMessage `json:"include_usage"`
	}
	if options[0] != '{' || json.Unmarshal(options, &given) != nil || string(given.IncludeUsage) == "true" {
		return nil, false
	}
	var doc reqbody.Document
	if reqbody.Scan(options, &doc) != nil {
		return nil, false
	}
	body, err := doc.Splice([]reqbody.Edit{{Name: "include_usage", Value: []byte("true")}})
	if err != nil {
		return nil, false
	}
	return body.Bytes(), true
}
