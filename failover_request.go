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
	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// usedSecret is a secret that went into an attempt. It is kept to have it
// resolved anew after a 401, and to cut it out of what comes back.
type usedSecret struct {
	vault, name string // empty for a literal key
	value       secret
}

// templates evaluates the ${…} of a request's attempts, and notes the secrets
// that they used.
type templates struct {
	in    expr.TemplateInput
	s     *settings
	used  []usedSecret
	since int // where in used those of the current attempt begin
	cut   *scrubber
	cutOf int   // the length of used that cut was made of
	err   error // why a secret could not be resolved
}

// secret answers secrets.get.
func (t *templates) secret(ctx context.Context, vault, name string) (string, error) {
	value, err := t.s.secrets.ResolveSecret(ctx, vault, name)
	if err != nil {
		t.err = fmt.Errorf("secret %q of vault %q: %w", name, vault, err)
		return "", t.err
	}
	t.used = append(t.used, usedSecret{vault, name, newSecret(value)})
	return value, nil
}

// begin starts another attempt.
func (t *templates) begin() { t.since, t.err = len(t.used), nil }

// requestError is a configured value that an upstream request could not be
// made of.
type requestError struct {
	kind FailureKind // FailureSecret or FailureRequest
	err  error
}

func (e *requestError) Error() string { return e.err.Error() }
func (e *requestError) Unwrap() error { return e.err }

func badRequest(format string, args ...any) error {
	return &requestError{FailureRequest, fmt.Errorf(format, args...)}
}

// text evaluates a template of a header or parameter. ok is false where it has
// no value for this request, which leaves the header or parameter out.
func (x *exchange) text(ctx context.Context, what string, f field) (value string, ok bool, err error) {
	value, err = evaluate(&x.templates, func() (string, error) { return f.value.Text(ctx, &x.templates.in) })
	if err == nil {
		return value, true, nil
	}
	if x.templates.err != nil {
		return "", false, &requestError{FailureSecret, x.templates.err}
	}
	x.note("%s %q was left out: %v", what, f.name, err)
	return "", false, nil
}

// newRequest makes the upstream request of one attempt. It notes in a what is
// sent where.
func (x *exchange) newRequest(ctx context.Context, m *model, key *apiKey, a *attemptRecord) (*http.Request, error) {
	p := m.provider
	x.templates.begin()
	u, err := x.upstreamURL(ctx, p)
	if err != nil {
		return nil, err
	}
	a.url = p.base.Scheme + "://" + p.base.Host + u.Path
	header, err := x.upstreamHeader(ctx, p, key, a)
	if err != nil {
		return nil, err
	}
	body, err := x.upstreamBody(ctx, m)
	if err != nil {
		return nil, err
	}
	req := &http.Request{
		Method:        http.MethodPost,
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
	return req.WithContext(ctx), nil
}

// upstreamURL joins the surface's path to the base URL, and merges the queries:
// the provider's config, the gateway's, the client's, the base URL's.
func (x *exchange) upstreamURL(ctx context.Context, p *provider) (*url.URL, error) {
	u := &url.URL{Scheme: p.target.Scheme, Host: p.target.Host, Path: p.base.Path + "/" + x.path}
	if p.base.RawPath != "" {
		u.RawPath = p.base.RawPath + "/" + x.path
	}
	client := x.r.URL.RawQuery
	if len(p.query) == 0 && (client == "" || p.base.RawQuery == "") && !hasCredential(client) {
		u.RawQuery = client + p.base.RawQuery // one of them is empty
		return u, nil
	}
	var q rawQuery
	for _, f := range p.query {
		value, ok, err := x.text(ctx, "query parameter", f)
		if err != nil {
			return nil, err
		}
		if ok {
			q.set(f.name, url.QueryEscape(f.name)+"="+url.QueryEscape(value))
			if f.secret {
				x.templates.hideLiteral(value)
			}
		} else {
			q.names = append(q.names, f.name) // nor may the client give it a value
		}
	}
	q.merge(client, isCredentialParam)
	q.merge(p.base.RawQuery, func(string) bool { return false })
	u.RawQuery = strings.Join(q.pairs, "&")
	return u, nil
}

// rawQuery is a query made of the pairs of several, each as it was written. The
// first source of a name keeps it.
type rawQuery struct {
	names []string
	pairs []string
}

func (q *rawQuery) set(name, pair string) {
	q.names, q.pairs = append(q.names, name), append(q.pairs, pair)
}

// merge adds the pairs of a query whose names no earlier source had.
func (q *rawQuery) merge(raw string, skip func(name string) bool) {
	earlier := q.names
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name := paramName(pair)
		if !skip(name) && !slices.Contains(earlier, name) {
			q.set(name, pair)
		}
	}
}

// paramName is the decoded name of a pair. One that cannot be decoded stands
// for itself.
func paramName(pair string) string {
	raw, _, _ := strings.Cut(pair, "=")
	if name, err := url.QueryUnescape(raw); err == nil {
		return name
	}
	return raw
}

// hasCredential reports whether a client's query authenticates it.
func hasCredential(raw string) bool {
	if raw == "" {
		return false
	}
	for pair := range strings.SplitSeq(raw, "&") {
		if isCredentialParam(paramName(pair)) {
			return true
		}
	}
	return false
}

// isCredentialParam reports whether a parameter is one that APIs take keys in.
func isCredentialParam(name string) bool {
	switch strings.ToLower(name) {
	case "key", "api_key", "api-key", "apikey", "x-api-key", "access_token", "token", "auth", "authorization":
		return true
	}
	return false
}

// upstreamHeader is what the provider gets to see: the client's headers that
// concern the request, the configured ones, and exactly one credential.
func (x *exchange) upstreamHeader(ctx context.Context, p *provider, key *apiKey, a *attemptRecord) (http.Header, error) {
	h := make(http.Header, 12)
	dropped := x.r.Header["Connection"]
	ownKey := key == nil && len(p.operatorAuth) == 0 && x.s.passThrough
	for name, values := range x.r.Header {
		if x.forwards(name, ownKey) && !namedBy(dropped, name) {
			h[name] = values
		}
	}
	x.setContentType(h)
	h["Accept-Encoding"] = identityEncoding
	for _, f := range p.headers {
		value, ok, err := x.text(ctx, "header", f)
		if err != nil {
			return nil, err
		}
		if !ok {
			delete(h, f.name) // nor may the client give it a value
			continue
		}
		if !isHeaderValue(value) {
			return nil, badRequest("the value of header %q holds a line break or control character", f.name)
		}
		h[f.name] = []string{value}
		if f.secret {
			x.templates.hideLiteral(value)
		}
	}
	if _, ok := h["User-Agent"]; !ok {
		h["User-Agent"] = nil // nor does the transport add its own
	}
	return h, x.authenticate(ctx, h, p, key, a)
}

var identityEncoding = []string{"identity"}

// setContentType has the type say what the body was read as. JSON may come
// under another type, or none (curl -d calls it a form), and an upstream that
// believed that could find another model in it. Of several types the first is
// the one that a form was read by.
//
// It stays whatever Connection says, and names no charset but UTF-8: under
// utf-7, a field that was not "model" here would be that at the provider.
func (x *exchange) setContentType(h http.Header) {
	sent := x.r.Header.Get("Content-Type")
	kind, params, err := mediaType(sent)
	_, isForm := x.body.(*reqbody.Form)
	foreign := strings.Contains(strings.ToLower(sent), "charset") && !strings.EqualFold(params["charset"], "utf-8")
	switch {
	case !isForm && (err != nil || !isJSONType(kind)):
		sent = "application/json"
	case foreign && err == nil:
		delete(params, "charset")
		sent = mime.FormatMediaType(kind, params)
	case len(h["Content-Type"]) == 1:
		return
	}
	h["Content-Type"] = []string{sent}
}

// forwards reports whether a provider may see a client's header. ownKey says
// that it gets the client's key too.
func (x *exchange) forwards(name string, ownKey bool) bool {
	switch name {
	case "Openai-Api-Key", "Anthropic-Api-Key":
		return false
	case "Content-Type", "Accept", "User-Agent", "Idempotency-Key", "X-Request-Id":
		return true
	case "Openai-Organization", "Openai-Project":
		return ownKey
	}
	return strings.HasPrefix(name, "Openai-") || strings.HasPrefix(name, "Anthropic-") ||
		strings.HasPrefix(name, "X-Stainless-") || x.s.forward[name]
}

// namedBy reports whether a Connection header takes a field for its own.
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

// authenticate puts the credential into the header. An operator's own comes
// with the configured headers, and beats the key, unless it has no value for
// this request.
func (x *exchange) authenticate(ctx context.Context, h http.Header, p *provider, key *apiKey, a *attemptRecord) error {
	if slices.ContainsFunc(p.operatorAuth, func(name string) bool { _, ok := h[name]; return ok }) {
		return nil
	}
	var value string
	switch {
	case key != nil:
		v, err := evaluate(&x.templates, func() (string, error) { return key.value.Text(ctx, &x.templates.in) })
		if err != nil {
			if x.templates.err != nil {
				return &requestError{FailureSecret, x.templates.err}
			}
			return badRequest("api key: %w", err)
		}
		if v == "" || !isHeaderValue(v) {
			return badRequest("the api key is empty, or holds a line break or control character")
		}
		x.templates.hide(v)
		value = v
	case x.s.passThrough && x.credential.given():
		value = x.credential.value.Reveal()
		x.templates.hide(value)
	default:
		return nil
	}
	a.key = redactText(value)
	name, scheme := p.auth.Header, p.auth.Scheme
	if name == "" {
		name, scheme = "Authorization", given(scheme, "Bearer")
		if x.surface.format == formatAnthropic && p.auth.Scheme == "" && !x.credential.bearer {
			name, scheme = "X-Api-Key", ""
		}
	}
	a.sentAs = name
	if scheme != "" {
		value = scheme + " " + value
		a.sentAs += ": " + scheme
	}
	h[name] = []string{value}
	return nil
}

// credential is the key that a client brought.
type credential struct {
	value secret
	// bearer is set where it came as Authorization: Bearer.
	bearer bool
}

// given reports whether there is one.
func (c credential) given() bool { return c.value.Reveal() != "" }

// clientCredential reads it. Anthropic's own header counts before the other
// one, as it does at Anthropic.
func clientCredential(h http.Header) credential {
	if v := h.Get("X-Api-Key"); v != "" {
		return credential{value: newSecret(v)}
	}
	scheme, value, ok := strings.Cut(h.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return credential{}
	}
	return credential{value: newSecret(strings.TrimSpace(value)), bearer: true}
}

// refreshed resolves anew the secrets that an attempt used, and reports whether
// one of them has changed.
func (x *exchange) refreshed(ctx context.Context) bool {
	changed := false
	for _, u := range x.templates.used[x.templates.since:] {
		if u.name == "" {
			continue
		}
		value, err := x.s.secrets.Refresh(ctx, u.vault, u.name)
		if err == nil && value != u.value.Reveal() {
			changed = true
		}
	}
	return changed
}

// isRequestError reports whether a request could not be made, and in what way.
func isRequestError(err error) (FailureKind, bool) {
	var e *requestError
	if errors.As(err, &e) {
		return e.kind, true
	}
	return "", false
}
