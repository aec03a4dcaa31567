package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aigateway-go/aigateway"
)

const (
	// liveTimeout bounds the wait for one model list.
	liveTimeout = 10 * time.Second
	// liveAtOnce bounds the questions under way.
	liveAtOnce = 8
	// maxModelList bounds a model list, in bytes. That of OpenRouter takes half a MiB.
	maxModelList = 8 << 20
)

// printLive asks each provider for its model list with each of its keys, some at once.
// It prints the answers in the order of the config, and returns whether all are good.
// Keys in err, the error of Check, are left out.
func printLive(ctx context.Context, stdout io.Writer, cfg aigateway.Config, err error) bool {
	unresolved := map[string]bool{}
	var missing aigateway.ConfigErrors
	errors.As(err, &missing)
	for _, e := range missing {
		unresolved[e.Path] = true
	}
	var questions []*question
	for i, p := range cfg.Providers {
		at := fmt.Sprintf("providers[%d]", i)
		switch {
		case p.Disabled:
		case len(p.APIKeys) == 0:
			questions = append(questions, newQuestion(cfg, at, at, p))
		}
		for j, key := range p.APIKeys {
			if path := fmt.Sprintf("%s.api_keys[%d].value", at, j); !p.Disabled && !unresolved[path] {
				p.APIKeys = []aigateway.APIKey{key}
				questions = append(questions, newQuestion(cfg, path, at, p))
			}
		}
	}
	var asking sync.WaitGroup
	turns := make(chan struct{}, liveAtOnce)
	for _, q := range questions {
		turns <- struct{}{}
		asking.Go(func() {
			q.ask(ctx)
			<-turns
		})
	}
	asking.Wait()
	good := true
	for _, q := range questions {
		lines, ok := q.findings()
		good = good && ok
		for _, line := range lines {
			fmt.Fprintln(stdout, line)
		}
	}
	return good
}

// question is for the model list of one provider with one key. A gateway of its own
// sends it: that gateway knows how the key and the other headers are sent, and cuts
// secrets out of errors.
type question struct {
	path   string // of the key in the config, or of a provider without one
	at     string // of the provider
	models []aigateway.Model

	gateway *aigateway.Gateway
	list    modelList
	result  *aigateway.Result // of the latest request
	answer  *liveAnswer       // nil if nothing was sent
	err     error
}

// unlikely is the model of all questions. It never reaches a provider.
const unlikely = "aigateway-check-live"

func newQuestion(cfg aigateway.Config, path, at string, p aigateway.Provider) *question {
	q := &question{path: path, at: at, models: p.Models}
	p.Models = []aigateway.Model{{ID: unlikely}}
	p.PerRequestTimeout = ""
	// The strategies, limits and other providers of the config could only get in the way.
	one := aigateway.Config{
		Providers: []aigateway.Provider{p}, OnlyAllowConfiguredProviders: true,
		PerRequestTimeout: aigateway.Duration(liveTimeout.String()), MaxAttempts: 1,
		Headers: cfg.Headers, QueryParams: cfg.QueryParams,
		Secrets: cfg.Secrets, Registry: cfg.Registry, URLPolicy: cfg.URLPolicy,
		Transport: &q.list,
		Hooks: &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) {
			q.result = r
		}},
	}
	one.InternalEndpoints, q.list.transport = endpoints(cfg.InternalEndpoints)
	q.gateway, q.err = aigateway.New(one)
	return q
}

// endpoints returns a transport for all endpoints, and a copy of them without Unix
// sockets: a gateway with a Transport refuses those. The transport dials the socket
// for the host that stands in its place.
func endpoints(m map[string]string) (map[string]string, http.RoundTripper) {
	copied, sockets := maps.Clone(m), map[string]string{}
	for name, target := range m {
		if path, ok := strings.CutPrefix(target, "unix://"); ok {
			host := fmt.Sprintf("socket-%d.internal", len(sockets))
			copied[name], sockets[host+":80"] = "http://"+host, path
		}
	}
	dialer := &net.Dialer{Timeout: liveTimeout}
	return copied, &http.Transport{
		Proxy: func(r *http.Request) (*url.URL, error) {
			if strings.HasSuffix(r.URL.Hostname(), ".internal") {
				return nil, nil
			}
			return http.ProxyFromEnvironment(r)
		},
		DialContext: func(ctx context.Context, network, addr string) (net.Conn, error) {
			if path, ok := sockets[addr]; ok {
				return dialer.DialContext(ctx, "unix", path)
			}
			return dialer.DialContext(ctx, network, addr)
		},
		DisableKeepAlives: true, // one request each
	}
}

// surfaces are the parts of an API to ask on. A provider with both formats may take
// its key in only one of them.
var surfaces = []string{"messages", "chat/completions", "responses", "embeddings", "images/generations", "audio/speech", "audio/transcriptions", "rerank"}

// ask sends the question, until a list comes or a second format fails too.
func (q *question) ask(ctx context.Context) {
	for _, surface := range surfaces {
		if q.err != nil || q.answer != nil && (q.answer.isList() || q.answer.surface != surfaces[0]) {
			return
		}
		body := fmt.Sprintf(`{"model":%q,"max_tokens":1,"messages":[{"role":"user","content":"hello"}],"input":"hello","prompt":"hello"}`, unlikely)
		r, err := http.NewRequestWithContext(ctx, http.MethodPost, "/v1/"+surface, strings.NewReader(body))
		if err != nil {
			q.err = err
			return
		}
		r.Header.Set("Content-Type", "application/json")
		if surface == surfaces[0] {
			r.Header.Set("Anthropic-Version", "2023-06-01")
		}
		q.list.answer = nil
		q.gateway.ServeHTTP(nowhere{}, r)
		// Without an answer, the provider does not serve this surface, or the request
		// failed before it was sent.
		if a := q.list.answer; a != nil {
			a.surface, a.failure = surface, failure(q.result)
			if q.answer != nil && a.failure != q.answer.failure {
				a.failure = q.answer.failure + "; in the OpenAI format: " + a.failure
			}
			q.answer = a
		}
	}
}

// failure is the gateway's judgement of the only attempt, without secrets.
func failure(r *aigateway.Result) string {
	for _, m := range r.ModelsTried {
		for _, a := range m.RequestsMade {
			return a.Error
		}
	}
	return ""
}

// findings are the lines about the answer. The flag is false if one of them is a
// problem.
func (q *question) findings() (lines []string, ok bool) {
	switch a := q.answer; {
	case q.err != nil: // a fault of the question, for New has accepted the whole config
		return []string{q.path + ": " + q.err.Error()}, false
	case a == nil:
		// The key depends on the request, or is the client's own.
		return []string{"warning: " + q.path + ": not asked: " + q.why()}, true
	case a.isList():
		// A model may be served without being listed.
		lines = append(lines, fmt.Sprintf("%s: %d models", q.path, len(a.models)))
		for j, m := range q.models {
			if !m.Disabled && !a.has(m.ID) {
				lines = append(lines, fmt.Sprintf("warning: %s.models[%d].id: the provider does not list %q among its %d models", q.at, j, m.ID, len(a.models)))
			}
		}
		return lines, true
	case a.status == http.StatusNotFound, a.status == http.StatusMethodNotAllowed, a.status == http.StatusNotImplemented:
		// Many servers have no list, and have not looked at the key.
		return []string{fmt.Sprintf("warning: %s: the provider answered %d to GET %s: it has no model list, or base_url is wrong", q.path, a.status, a.url)}, true
	case a.status/100 == 2:
		// Such as a sign-in page.
		return []string{fmt.Sprintf("%s: GET %s was answered with something else than a model list: is base_url right?", q.path, a.url)}, false
	default:
		return []string{q.path + ": " + a.failure}, false
	}
}

// why is the reason that nothing was sent, in the gateway's words.
func (q *question) why() string {
	if q.result == nil || q.result.Error == nil {
		return "the gateway sent nothing"
	}
	for _, m := range q.result.ModelsTried {
		if m.Error != "" {
			return m.Error
		}
	}
	return strings.TrimPrefix(q.result.Error.Message, fmt.Sprintf("model %q: ", unlikely))
}

// modelList is the transport of a question. It turns the gateway's request into one
// for the model list, at the same base_url, with the same key, headers and query. It
// serves one request at a time.
type modelList struct {
	transport http.RoundTripper
	answer    *liveAnswer // nil until a request has come
}

// liveAnswer is the answer to a question. It holds no part of the provider's body but
// the ids of models.
type liveAnswer struct {
	surface string
	url     string   // without a query
	status  int      // zero if no answer came
	models  []string // nil if the body is not a list; a list may be empty
	failure string   // the gateway's judgement; empty if it sent nothing
}

// RoundTrip sends the request for the list. Errors of a provider go on to the gateway,
// which judges them.
func (l *modelList) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.Body != nil {
		r.Body.Close()
	}
	ask := r.Clone(r.Context())
	ask.Method, ask.Body, ask.GetBody, ask.ContentLength = http.MethodGet, nil, nil, 0
	// Without its own Accept-Encoding, the transport decompresses.
	for _, name := range []string{"Content-Type", "Content-Length", "Content-Encoding", "Accept-Encoding"} {
		ask.Header.Del(name)
	}
	for _, surface := range surfaces {
		if base, ok := strings.CutSuffix(ask.URL.Path, "/"+surface); ok {
			ask.URL.Path = base + "/models"
			ask.URL.RawPath = strings.TrimSuffix(ask.URL.RawPath, "/"+surface)
			if ask.URL.RawPath != "" {
				ask.URL.RawPath += "/models"
			}
			break
		}
	}
	// A query can hold a key.
	shown := url.URL{Scheme: ask.URL.Scheme, Host: ask.URL.Host, Path: ask.URL.Path}
	l.answer = &liveAnswer{url: shown.String()}
	resp, err := l.transport.RoundTrip(ask)
	if err != nil {
		return nil, err
	}
	l.answer.status = resp.StatusCode
	if resp.StatusCode/100 != 2 {
		return resp, nil
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxModelList))
	if err != nil {
		l.answer.status = 0
		return nil, err
	}
	l.answer.models = modelIDs(body)
	// The gateway waits for a chat answer. Its judgement of this one is not read.
	return &http.Response{StatusCode: http.StatusNoContent, Body: http.NoBody, Request: r}, nil
}

// modelIDs reads the ids of a list, nil if the body is another thing.
func modelIDs(body []byte) []string {
	type model struct {
		ID string `json:"id"`
	}
	var list struct {
		Data *[]model `json:"data"`
	}
	// Together answers with the list itself.
	if json.Unmarshal(body, &list) != nil && json.Unmarshal(body, &list.Data) != nil || list.Data == nil {
		return nil
	}
	ids := []string{}
	for _, m := range *list.Data {
		ids = append(ids, m.ID)
	}
	return ids
}

func (a *liveAnswer) isList() bool { return a.models != nil }

// has reports whether the list has a model. Google lists models/NAME, and Ollama
// NAME:latest.
func (a *liveAnswer) has(id string) bool {
	return slices.ContainsFunc(a.models, func(listed string) bool {
		listed = strings.TrimSuffix(strings.TrimPrefix(listed, "models/"), ":latest")
		return strings.EqualFold(listed, strings.TrimSuffix(id, ":latest"))
	})
}

// nowhere is the client of a question. It forgets the answer: the transport has seen it.
type nowhere struct{}

func (nowhere) Header() http.Header         { return http.Header{} }
func (nowhere) Write(p []byte) (int, error) { return len(p), nil }
func (nowhere) WriteHeader(int)             {}
