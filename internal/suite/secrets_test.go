package suite_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// plantedSecret is a secret to plant at a place. The tests look for its middle,
// which redaction never shows.
func plantedSecret(where string) string { return "secret-" + where + secretMark(where) + "-the-end" }

func secretMark(where string) string { return "XX" + where + "secretmiddleof" + where + "XX" }

// secretPlaces are the places of secrets: the gateway's config and the client's
// request.
func secretPlaces() []string {
	return []string{"literalkey", "secretkey", "oldkey", "header", "literalheader", "operatorauth", "query", "literalquery", "body", "nested",
		"bearer", "xapikey", "cookie", "param", "token", "proxyauth", "goog", "jwt"}
}

// leakWatch collects every output of a gateway.
type leakWatch struct {
	mu   sync.Mutex
	seen []string
}

func (w *leakWatch) see(what string, values ...any) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, v := range values {
		for _, verb := range []string{"%+v", "%#v", "%q", "%x"} {
			w.seen = append(w.seen, what+": "+fmt.Sprintf(verb, v))
		}
		text, err := json.Marshal(v)
		w.seen = append(w.seen, what+" as JSON: "+string(text)+fmt.Sprint(err))
	}
}

// Write takes the lines of a log.
func (w *leakWatch) Write(p []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.seen = append(w.seen, "log: "+string(p))
	return len(p), nil
}

// check looks for every planted secret.
func (w *leakWatch) check(t *testing.T) {
	t.Helper()
	for _, where := range secretPlaces() {
		w.checkFor(t, where, secretMark(where))
	}
}

// checkFor looks for one mark in every encoding.
func (w *leakWatch) checkFor(t *testing.T, where, mark string) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	require.NotEmpty(t, w.seen)
	all := strings.Join(w.seen, "\n")
	for _, form := range secretForms(mark) {
		if i := strings.Index(all, form); i >= 0 {
			line := strings.LastIndex(all[:i], "\n") + 1
			t.Errorf("%s is in %.30s …%s", where, all[line:], all[max(line, i-100):min(len(all), i+50)])
			return
		}
	}
}

func secretForms(mark string) []string {
	forms := []string{mark, mark[:len(mark)*2/3], hex.EncodeToString([]byte(mark))}
	for offset := range 3 {
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(mark[offset:]))[:20])
	}
	return forms
}

// leakyStore is a secret store with values to change, and with secrets in its
// errors.
type leakyStore struct {
	mu      sync.Mutex
	rotated bool
	broken  bool
	panics  bool
}

func (s *leakyStore) ResolveSecret(_ context.Context, _, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.panics:
		panic("no " + plantedSecret(name))
	case s.broken && name == "secretkey":
		return plantedSecret(name), fmt.Errorf("cannot renew %q", plantedSecret(name))
	case s.rotated && name == "secretkey":
		return plantedSecret("oldkey"), nil
	}
	return plantedSecret(name), nil
}

func (s *leakyStore) set(f func(*leakyStore)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	f(s)
}

// leakConfig has a secret at every place of a config, and every observer turned
// on.
func leakConfig(w *leakWatch, store aigateway.SecretResolver, upstream string) aigateway.Config {
	secret := func(name string) aigateway.Template {
		return aigateway.Template("${secrets.get('vault', '" + name + "')}")
	}
	literal := func(name string) aigateway.Template { return aigateway.Template(plantedSecret(name)) }
	models := []aigateway.Model{{ID: "m"}}
	return aigateway.Config{
		Registry: aigateway.NoRegistry(),
		Providers: []aigateway.Provider{
			{ID: "a", BaseURL: "http://a.internal", Models: models, APIKeys: []aigateway.APIKey{{Value: secret("secretkey")}, {Value: literal("literalkey")}}},
			{ID: "b", BaseURL: "http://a.internal", Models: models, Headers: map[string]aigateway.Template{"Authorization": "Basic " + literal("operatorauth")}},
		},
		Headers:           map[string]aigateway.Template{"X-Tenant": "tenant " + secret("header"), "X-Auth-Token": literal("literalheader")},
		QueryParams:       map[string]aigateway.Template{"sig": secret("query"), "access_token": literal("literalquery")},
		Body:              map[string]any{"user": string(secret("body")), "metadata": map[string]any{"deep": []any{string(secret("nested"))}}},
		InternalEndpoints: map[string]string{"a.internal": upstream},
		Secrets:           store,
		PerRequestTimeout: "5s", OnError: aigateway.OnErrorContinue,
		Logger:         w.logger(),
		FailoverPolicy: w.policy(),
		Hooks:          w.hooks(),
	}
}

// logger, policy and hooks show the watch the gateway's outputs.
func (w *leakWatch) logger() *slog.Logger {
	return slog.New(slog.NewJSONHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

func (w *leakWatch) policy() aigateway.FailoverPolicy {
	return aigateway.FailoverPolicyFunc(func(f aigateway.Failure) aigateway.Step {
		w.see("Failure", f)
		return aigateway.DefaultFailoverPolicy().NextStep(f)
	})
}

func (w *leakWatch) hooks() *aigateway.Hooks {
	return &aigateway.Hooks{
		RequestStart: func(ctx context.Context, r aigateway.ClientRequest) context.Context {
			w.see("RequestStart", r, &r)
			return ctx
		},
		AttemptStart: func(ctx context.Context, a aigateway.Attempt) context.Context {
			w.see("AttemptStart", a, &a)
			return ctx
		},
		AttemptDone: func(_ context.Context, a aigateway.Attempt) { w.see("AttemptDone", a, &a, a.Response) },
		RequestDone: func(_ context.Context, res *aigateway.Result) { w.see("Result", res, *res, res.Error) },
	}
}

// leakRequest is a request with a client's credentials in every place.
func leakRequest(body string) *http.Request {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions?x=1&key="+plantedSecret("param"), strings.NewReader(body))
	for name, value := range map[string]string{
		"Content-Type": "application/json", "Authorization": "Bearer " + plantedSecret("bearer"), "X-Api-Key": plantedSecret("xapikey"),
		"Cookie": "a=b; session=" + plantedSecret("cookie"), "X-Session-Token": plantedSecret("token"), "Proxy-Authorization": "Basic " + plantedSecret("proxyauth"),
		"X-Goog-Api-Key": plantedSecret("goog"), "X-Amzn-Jwt": plantedSecret("jwt"),
	} {
		r.Header.Set(name, value)
	}
	return r
}

// leakEcho is a text with everything in a request. The text before it moves the
// secrets to where a cut at some length splits them.
func leakEcho(r *http.Request, before int) string {
	data, _ := io.ReadAll(r.Body)
	auth := r.Header.Get("Authorization") + r.Header.Get("X-Auth-Token") + r.Header.Get("X-Tenant")
	return strings.Repeat("x", before) + " " + auth + " " + base64.StdEncoding.EncodeToString([]byte("user:"+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))) +
		" " + r.RequestURI + " " + url.QueryEscape(auth) + string(data)
}

// TestSecretsOnEveryPath plants secrets everywhere, lets a provider repeat them
// in every kind of failure, and looks for them in every output.
func TestSecretsOnEveryPath(t *testing.T) {
	quote := func(s string) string { b, _ := json.Marshal(s); return string(b) }
	packed := func(s string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		io.WriteString(z, s)
		z.Close()
		return b.String()
	}
	headers := func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Echo", r.Header.Get("Authorization"))
		w.Header().Add("X-Echo", r.RequestURI)
		w.Header().Set("Set-Cookie", "k="+r.Header.Get("Authorization"))
		w.Header().Set("Www-Authenticate", `Bearer realm="`+r.Header.Get("X-Tenant")+`"`)
		w.Header().Set("X-Ratelimit-Limit-Requests", r.Header.Get("X-Auth-Token"))
	}
	answer := func(status int, kind, encoding string, make func(echo string) string) func(before int) http.HandlerFunc {
		return func(before int) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				headers(w, r)
				w.Header().Set("Content-Type", kind)
				if encoding != "" {
					w.Header().Set("Content-Encoding", encoding)
				}
				w.WriteHeader(status)
				io.WriteString(w, make(leakEcho(r, before)))
			}
		}
	}
	errorBody := func(echo string) string {
		return `{"error":{"message":` + quote(echo) + `,"type":"x","code":` + quote(echo) + `}}`
	}
	const sse = "text/event-stream"
	paths := map[string]func(before int) http.HandlerFunc{
		"whole":                  answer(200, "application/json", "", func(string) string { return `{"choices":[]}` }),
		"200 with an error":      answer(200, "application/json", "", errorBody),
		"200 that is no JSON":    answer(200, "application/json", "", func(e string) string { return e }),
		"a sign-in page":         answer(200, "text/html", "", func(e string) string { return "<html>" + e }),
		"a redirect":             answer(307, "text/plain", "", func(e string) string { return e }),
		"error event first":      answer(200, sse, "", func(e string) string { return "data: " + errorBody(e) + "\n\n" }),
		"cut stream":             answer(200, sse, "", func(string) string { return gatewaytest.ChatRole }),
		"broken stream":          answer(200, sse, "", func(string) string { return gatewaytest.ChatDelta("x") }),
		"400 in two encodings":   answer(400, "application/json", "gzip, gzip", func(e string) string { return packed(packed(errorBody(e))) }),
		"400 as text in message": answer(400, "application/json", "", func(e string) string { return `{"message":` + quote(e) + `}` }),
		"400 as detail":          answer(400, "application/json", "", func(e string) string { return `{"detail":` + quote(e) + `}` }),
		"content filter": answer(400, "application/json", "", func(e string) string {
			return `{"error":{"message":` + quote(e) + `,"code":"content_filter"}}`
		}),
		"reset": func(int) http.HandlerFunc { return gatewaytest.Abort },
		"garbage": func(before int) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				echo := leakEcho(r, before)
				conn, _, err := http.NewResponseController(w).Hijack()
				if err != nil {
					return
				}
				defer conn.Close()
				io.WriteString(conn, r.Header.Get("Authorization")+" "+echo+"\r\n\r\n")
			}
		},
	}
	for _, status := range []int{401, 402, 403, 404, 409, 413, 429, 500, 529} {
		paths[fmt.Sprint(status)] = answer(status, "application/json", "", errorBody)
	}
	paths["400, packed"] = answer(400, "application/json", "gzip", func(e string) string { return packed(errorBody(e)) })
	for name, path := range paths {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := new(leakWatch)
			for _, before := range []int{0, 150} { // of what is cut at 200 bytes
				up := gatewaytest.NewUpstream(t, path(before))
				leakAsk(t, w, new(leakyStore), up.URL, nil)
			}
			w.check(t)
		})
	}
	for name, change := range map[string]func(*leakyStore){
		"a key that is rotated":      func(s *leakyStore) { s.rotated = true },
		"a store that quotes values": func(s *leakyStore) { s.broken = true },
		"a store that panics":        func(s *leakyStore) { s.panics = true },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, store := new(leakWatch), new(leakyStore)
			up := gatewaytest.NewUpstream(t, answer(200, "application/json", "", func(string) string { return `{"choices":[]}` })(0), answer(401, "application/json", "", errorBody)(0))
			leakAsk(t, w, store, up.URL, func() { store.set(change) })
			w.check(t)
			if name == "a store that panics" {
				leakAsk(t, w, store, up.URL, nil)
				w.check(t)
			}
		})
	}
	t.Run("a transport that quotes its request", func(t *testing.T) {
		w := new(leakWatch)
		leakAskConfig(t, w, leakConfig(w, new(leakyStore), "http://127.0.0.1:1"), func(cfg *aigateway.Config) {
			cfg.Transport = failingTransport{}
		}, nil)
		w.check(t)
	})
}

// failingTransport repeats the whole request in its error.
type failingTransport struct{}

func (failingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	data, _ := io.ReadAll(r.Body)
	r.Body.Close()
	return nil, &url.Error{Op: "Post", URL: r.URL.String(), Err: fmt.Errorf("%v %s", r.Header, data)}
}

func leakAsk(t *testing.T, w *leakWatch, store aigateway.SecretResolver, upstream string, then func()) {
	t.Helper()
	leakAskConfig(t, w, leakConfig(w, store, upstream), nil, then)
}

// leakAskConfig sends requests of several kinds, and shows the watch all
// outputs. then is called after the first request.
func leakAskConfig(t *testing.T, w *leakWatch, cfg aigateway.Config, set func(*aigateway.Config), then func()) {
	t.Helper()
	if set != nil {
		set(&cfg)
	}
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	page := g.DebugHandler()
	next := http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		res, ok := aigateway.ResultFromContext(r.Context())
		assert.True(t, ok)
		w.see("ResultFromContext", res)
		rw.WriteHeader(599)
	})
	for i, body := range []string{
		`{"model":"m","stream":true}`, `{"model":"a:m"}`, `{"model":"b:m"}`, `{"model":"nope"}`, `{"model":1}`,
	} {
		for _, h := range []http.Handler{g, g.Wrap(next)}[i%2:] {
			rec := httptest.NewRecorder()
			func() {
				defer func() { w.see("panic", recover()) }()
				h.ServeHTTP(rec, leakRequest(body))
			}()
			w.see("answer", rec.Header(), rec.Body.String())
		}
		if i == 0 && then != nil {
			then()
		}
		res, err := g.Explain(leakRequest(body))
		w.see("Explain", res, err)
	}
	rec := httptest.NewRecorder()
	page.ServeHTTP(rec, httptest.NewRequest(http.MethodGet, "/", nil))
	assert.Equal(t, 200, rec.Code)
	w.see("debug page", rec.Body.String())
	w.see("Check", g.Check(t.Context()))
	w.see("Gateway", g, *cfg.Hooks)
	w.see("Config", aigateway.Config{Providers: cfg.Providers, Headers: cfg.Headers, QueryParams: cfg.QueryParams, Secrets: cfg.Secrets})
	unread := leakRequest("")
	unread.Body = io.NopCloser(iotest.ErrReader(errors.New("cut")))
	rec = httptest.NewRecorder()
	g.ServeHTTP(rec, unread)
	w.see("unread", rec.Body.String())
	ctx, cancel := context.WithTimeout(t.Context(), time.Nanosecond)
	defer cancel()
	g.ServeHTTP(httptest.NewRecorder(), leakRequest(`{"model":"m"}`).WithContext(ctx))
}

// TestSecretsMadeOfSecrets: a value made from a secret is a secret, in every
// header and field, and in every echo.
func TestSecretsMadeOfSecrets(t *testing.T) {
	const mark = "middleoftheplantedsecret"
	const key = "AbCd+Ef&" + mark + "=GhIj/KlMn"
	secret := func(suffix string) aigateway.Template {
		return aigateway.Template("${secrets.get('vault', 'name')" + suffix + "}")
	}
	escaped := func(set, digits string) func(string) string {
		return func(s string) string {
			var b strings.Builder
			for _, r := range s {
				if strings.ContainsRune(set, r) {
					b.WriteString(`\u00` + string(digits[r>>4]) + string(digits[r&15]))
				} else {
					b.WriteRune(r)
				}
			}
			return b.String()
		}
	}
	for name, tt := range map[string]struct {
		set   func(*aigateway.Provider)
		write func(string) string
	}{
		"trimmed in a header": {set: func(p *aigateway.Provider) { p.Headers = map[string]aigateway.Template{"X-Up": secret(".trim()")} }},
		"a part of it": {set: func(p *aigateway.Provider) {
			p.Headers = map[string]aigateway.Template{"X-Up": secret(".trim().split('&')[1]")}
		}},
		"behind a scheme": {set: func(p *aigateway.Provider) {
			p.Headers = map[string]aigateway.Template{"X-Up": "Token " + secret(".trim()")}
		}},
		"in a query parameter": {set: func(p *aigateway.Provider) { p.QueryParams = map[string]aigateway.Template{"sig": secret(".trim()")} }},
		"in the body":          {set: func(p *aigateway.Provider) { p.Body = map[string]any{"tok": string(secret(".trim()"))} }},
		"in a list of the body": {set: func(p *aigateway.Provider) {
			p.Body = map[string]any{"tok": map[string]any{"x": string(secret(".split(',')"))}}
		}},
		"as .NET escapes it": {write: escaped("+&", "0123456789ABCDEF")},
		"as Gson escapes it": {write: escaped("&=", "0123456789abcdef")},
	} {
		t.Run(name, func(t *testing.T) {
			w := new(leakWatch)
			up := gatewaytest.NewUpstream(t, func(rw http.ResponseWriter, r *http.Request) {
				body, _ := io.ReadAll(r.Body)
				echo := r.Header.Get("X-Up") + " " + strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ") + " " + r.URL.RawQuery + " " + string(body)
				text, _ := json.Marshal(echo)
				said := string(text)
				if tt.write != nil {
					said = `"` + tt.write(strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer ")) + `"`
				}
				gatewaytest.JSON(422, `{"error":{"message":`+said+`}}`)(rw, r)
			})
			p := aigateway.Provider{ID: "a", BaseURL: "http://a.internal"}
			if tt.set != nil {
				tt.set(&p)
			} else {
				p.APIKeys = []aigateway.APIKey{{Value: key}}
			}
			g, err := aigateway.New(aigateway.Config{
				Providers: []aigateway.Provider{p}, InternalEndpoints: map[string]string{"a.internal": up.URL},
				Secrets: aigateway.MapSecrets(map[string]map[string]string{"vault": {"name": key + "\n"}}), Logger: w.logger(), Hooks: w.hooks(),
			})
			require.NoError(t, err)
			rec := httptest.NewRecorder()
			g.ServeHTTP(rec, leakRequest(`{"model":"a:m"}`))
			require.Equal(t, 422, rec.Code)
			var said struct{ Error struct{ Message string } }
			require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &said), rec.Body)
			w.see("answer", rec.Body.String(), said.Error.Message)
			w.checkFor(t, "the secret", mark)
		})
	}
}

// TestNoSecretsInWhatLooksAtThem: an expression may choose a word by looking at
// a secret. The word itself is not secret, and stays in the answers.
func TestNoSecretsInWhatLooksAtThem(t *testing.T) {
	up := gatewaytest.NewUpstream(t, gatewaytest.JSON(200, `{"choices":[{"message":{}}],"kind":"application/json","param":null}`),
		gatewaytest.JSON(400, `{"error":{"message":"no customer null, nor application/json","param":null}}`))
	g, err := aigateway.New(aigateway.Config{
		Providers: []aigateway.Provider{{ID: "a", BaseURL: "http://a.internal", Headers: map[string]aigateway.Template{
			"X-Kind": "${secrets.get('vault', 'mode') == 'mode-one' ? 'application/json' : 'text/plain'}",
			"X-Cust": "${secrets.get('vault', 'mode') == 'mode-one' ? 'customer null' : 'none'}",
		}}},
		InternalEndpoints: map[string]string{"a.internal": up.URL}, Secrets: aigateway.MapSecrets(map[string]map[string]string{"vault": {"mode": "mode-one"}}),
	})
	require.NoError(t, err)
	for _, want := range []string{`"kind":"application/json","param":null`, `no customer null, nor application/json","param":null`} {
		w := httptest.NewRecorder()
		g.ServeHTTP(w, leakRequest(`{"model":"a:m"}`))
		assert.Contains(t, w.Body.String(), want)
		assert.Equal(t, "application/json", w.Header().Get("Content-Type"))
	}
}

// TestSecretsInUnmadeRequests: the error of a request that could not be made
// does not contain the secrets of its other parts.
func TestSecretsInUnmadeRequests(t *testing.T) {
	known := plantedSecret("header")
	for name, secrets := range map[string]aigateway.SecretResolver{
		"a store that quotes another secret": aigateway.SecretResolverFunc(func(_ context.Context, _, name string) (string, error) {
			if name == "known" {
				return known, nil
			}
			return "", errors.New("GET vault?token=" + known)
		}),
		"a secret as the name of one": aigateway.MapSecrets(map[string]map[string]string{"vault": {"known": known}}),
	} {
		t.Run(name, func(t *testing.T) {
			w := new(leakWatch)
			g, err := aigateway.New(aigateway.Config{Secrets: secrets, Logger: w.logger(), Hooks: w.hooks(), Providers: []aigateway.Provider{{
				ID: "a", BaseURL: "https://a.internal", Headers: map[string]aigateway.Template{
					"X-A": "${secrets.get('vault', 'known')}", "X-B": "${secrets.get('vault', secrets.get('vault', 'known'))}",
				},
			}}})
			require.NoError(t, err)
			g.ServeHTTP(httptest.NewRecorder(), leakRequest(`{"model":"a:m"}`))
			w.check(t)
		})
	}
}

// TestSecretsInErrorsOfStores: if a store quotes a secret in an error, the
// gateway redacts the values that it knows.
func TestSecretsInErrorsOfStores(t *testing.T) {
	w := new(leakWatch)
	see := func(_ string, err error) {
		require.Error(t, err)
		w.see("error", err)
		for ; err != nil; err = errors.Unwrap(err) {
			w.see("wrapped", err)
		}
	}
	store := new(leakyStore)
	cache := aigateway.NewSecretCache(store, 0)
	value, err := cache.ResolveSecret(t.Context(), "v", "secretkey")
	require.NoError(t, err)
	require.Equal(t, plantedSecret("secretkey"), value)
	store.set(func(s *leakyStore) { s.broken = true })
	see(cache.Refresh(t.Context(), "v", "secretkey"))
	see(aigateway.NewSecretCache(store, 0).ResolveSecret(t.Context(), "v", "secretkey"))

	quoting := false
	last := aigateway.NewSecretCache(aigateway.SecretResolverFunc(func(context.Context, string, string) (string, error) {
		if quoting {
			return "", fmt.Errorf("%w: it was %q", aigateway.ErrSecretNotFound, plantedSecret("oldkey"))
		}
		return plantedSecret("oldkey"), nil
	}), 0)
	_, err = last.ResolveSecret(t.Context(), "v", "n")
	require.NoError(t, err)
	quoting = true
	_, err = last.Refresh(t.Context(), "v", "n")
	see("", err)
	require.ErrorIs(t, err, aigateway.ErrSecretNotFound, "what the error means stays")
	w.check(t)
}

// TestSecretsInConfigFaults: the error of a config with secrets names every
// problem, and no secret.
func TestSecretsInConfigFaults(t *testing.T) {
	w := new(leakWatch)
	secret := plantedSecret("literalkey")
	for _, doc := range []string{
		"providers: [{id: p, api_keys: [" + secret + "]}]",
		"providers: [{id: p, api_keys: " + secret + "}]",
		"providers: [{id: p, api_keys: [{value: [" + secret + "]}]}]",
		"providers: [{id: p, api_keys: [{valeu: " + secret + "}]}]",
		"providers: [{id: p, headers: " + secret + "}]",
		"headers: {X-A: [" + secret + "]}\nquery_params: " + secret + "\nbody: " + secret,
		"headers: {X-A: \"" + secret + "\n", "headers: {X-A: &" + secret + " *b}",
	} {
		_, err := aigateway.ParseConfig([]byte(doc))
		require.Error(t, err, doc)
		w.see("ParseConfig", err)
	}
	key := func(v string) aigateway.Provider {
		return aigateway.Provider{ID: "p", BaseURL: "https://p.example.com", APIKeys: []aigateway.APIKey{{Value: aigateway.Template(v)}}}
	}
	at := func(u string) aigateway.Provider { return aigateway.Provider{ID: "p", BaseURL: u} }
	auth := func(a aigateway.Auth) aigateway.Provider {
		return aigateway.Provider{ID: "p", BaseURL: "https://p.example.com", Auth: a}
	}
	for i, p := range []aigateway.Provider{
		key(secret + "\n"), key(secret + "${nope}"), key(secret + "${"), key(secret + "${secrets.get('a')}"), key(secret + "${1 +}"),
		at("https://user:" + secret + "@p.example.com"), at("https://p.example.com/?key=" + secret + "&%zz"), at("https://p.example.com/#" + secret),
		auth(aigateway.Auth{Scheme: "Bearer " + secret}), auth(aigateway.Auth{Header: "X-Api-Key: sk-" + secret}), at("sk-" + secret),
		at("ftp://" + secret + "@p.example.com"), at("https://p.example.com:" + secret + "@x"), at("https://:" + secret + "@[::1"),
		{ID: "p", BaseURL: "https://p.example.com", Headers: map[string]aigateway.Template{"X-A": aigateway.Template(secret + "\r\n")}},
		{ID: "p", BaseURL: "https://p.example.com", Headers: map[string]aigateway.Template{"X A": aigateway.Template(secret)}},
		{ID: "p", BaseURL: "https://p.example.com", QueryParams: map[string]aigateway.Template{"": aigateway.Template(secret)}},
		{ID: "p", BaseURL: "https://p.example.com", Body: map[string]any{"x": secret + "${nope}"}},
		{ID: "p", BaseURL: "https://p.example.com", Body: map[string]any{"x": func() string { return secret }}},
	} {
		_, err := aigateway.New(aigateway.Config{Providers: []aigateway.Provider{p}, Registry: aigateway.NoRegistry(), InternalEndpoints: map[string]string{"a.internal": "http://u:" + secret + "@b"}})
		require.Error(t, err, i)
		w.see("New", err)
		w.see("Provider", aigateway.Provider{APIKeys: p.APIKeys, Headers: p.Headers, QueryParams: p.QueryParams})
		var all aigateway.ConfigErrors
		require.ErrorAs(t, err, &all)
		for _, e := range all {
			w.see("ConfigError", e, *e)
		}
	}
	w.check(t)
}
