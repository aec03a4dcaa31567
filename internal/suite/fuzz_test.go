package suite_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// fuzzPaths are the surfaces, and a few paths besides.
var fuzzPaths = []string{
	fieldChat, "/v1/completions", fieldResponses, "/v1/responses/compact", fieldMessages, "/v1/messages/count_tokens", "/v1/embeddings",
	"/v1/moderations", "/v1/rerank", "/v1/images/generations", "/v1/images/edits", "/v1/audio/speech", "/v1/audio/transcriptions",
	"/openai/deployments/m/chat/completions", "/v1/engines/m/completions", fieldChat + "?stream=true&api-key=x", "/v1/models", "/nothing",
}

// fuzzSecret is part of each secret. No output may show it.
const fuzzSecret = "0123456789abcdef"

// fuzzConfig is a config that follows from a seed.
func fuzzConfig(seed uint64) aigateway.Config {
	r := rand.New(rand.NewPCG(seed, 1))
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	cfg := testbed.Config(r.IntN(4), []string{"a", "b", "c"}[:1+r.IntN(3)]...)
	cfg.Secrets = aigateway.MapSecrets(map[string]map[string]string{"v": {"k": "sk-v-" + fuzzSecret}})
	cfg.MaxAttempts, cfg.MaxBodyBytes = 1+r.IntN(5), 1<<16
	cfg.StreamCommit = aigateway.StreamCommit(pick("", "complete"))
	cfg.EmptyAnswers = aigateway.EmptyAnswers(pick("", "fail"))
	cfg.Refusals = aigateway.Refusals(pick("", "fail_over"))
	cfg.MaxOutputTokens, cfg.MaxInputTokens = r.IntN(3)*10, r.IntN(3)*1000
	cfg.OnlyAllowConfiguredModels, cfg.OnlyAllowConfiguredProviders = r.IntN(3) == 0, r.IntN(3) == 0
	cfg.CallerExpr = pick("", "req.headers['x-team'][0]")
	cfg.ForwardHeaders = []string{"X-Team"}
	if s := pick("", "ai.models", "ai.models.random()", "ai.models.sortBy(m, m.metrics.global.error_rate.total)", "ai.models.filter(m, req.headers['x-team'][0] == 'a')"); s != "" {
		cfg.ModelSelection.Strategy = []string{s}
	}
	if s := pick("", "ai.keys.random()", "ai.keys.filter(k, false)"); s != "" {
		cfg.APIKeySelection.Strategy = []string{s}
	}
	if r.IntN(3) == 0 {
		cfg.Headers = map[string]aigateway.Template{"X-Op": "${secrets.get('v', 'k')}", "X-Team-Is": "${req.headers['x-team'][0]}"}
	}
	if r.IntN(3) == 0 {
		cfg.Body = map[string]any{"user": "${secrets.get('v', 'k')}", "n": 2}
	}
	if r.IntN(3) == 0 && len(cfg.Providers[0].APIKeys) > 0 {
		cfg.Providers[0].APIKeys[0].Value = aigateway.Template(pick("${secrets.get('v', 'k')}", "${secrets.get('v', 'none')}", "${secrets.get('v', req.headers['x-team'][0])}"))
	}
	return cfg
}

// fuzzAnswers are the answers of providers. Those with %s echo the credentials, and
// are errors: a good answer is relayed as it is.
var fuzzAnswers = func() []http.HandlerFunc {
	list := []http.HandlerFunc{gatewaytest.Fitting("good"), gatewaytest.Fitting("good"), gatewaytest.Stream(gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, gatewaytest.ChatDone)}
	for _, n := range fieldNoAnswers {
		list = append(list, gatewaytest.JSON(200, n.body))
	}
	for _, s := range fieldNoStreams {
		list = append(list, gatewaytest.Stream(s.events))
	}
	for _, d := range fieldDeadKeys {
		list = append(list, gatewaytest.JSON(d.status, d.body))
	}
	for _, status := range []int{200, 301, 400, 401, 403, 404, 409, 413, 422, 429, 500, 503, 529} {
		list = append(list, func(w http.ResponseWriter, r *http.Request) {
			echo := r.Header.Get("Authorization") + r.Header.Get("X-Api-Key") + r.Header.Get("X-Op")
			w.Header().Set("X-Echo", echo)
			gatewaytest.Error(status, "some_code", "said to "+echo)(w, r)
		})
	}
	return list
}()

// FuzzServeHTTP serves any request under any config, from providers that answer
// anything. No request panics or shows a secret, each has a well-formed answer, and
// none goes out more often than max_attempts says.
func FuzzServeHTTP(f *testing.F) {
	for i := range fuzzPaths {
		for _, body := range []string{`{"model":"m"}`, `{"model":"m","stream":true}`, `{"models":["a:m","b:m"],"n":2}`, `{"model":"auto"}`, `{}`, `{"model":"unheard-of"}`, "\ufeff{\"model\":\"m\"}", `[`, ""} {
			f.Add(uint8(i), uint8(0), uint64(i), []byte(body), "a")
		}
	}
	f.Add(uint8(0), uint8(1), uint64(7), []byte(fieldCoded(f, "gzip", `{"model":"m"}`)), "a")
	f.Add(uint8(0), uint8(2), uint64(8), []byte(fieldCoded(f, "zstd", `{"model":"m"}`)), "")
	f.Add(uint8(12), uint8(4), uint64(9), []byte("--b\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n--b--\r\n"), "b")
	encodings := []string{"", "gzip", "zstd", "deflate"}
	f.Fuzz(func(t *testing.T, path, form uint8, seed uint64, body []byte, team string) {
		cfg := fuzzConfig(seed % 1024)
		random := rand.New(rand.NewPCG(seed, 2))
		sent := 0
		cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
			sent++
			if r.Body != nil {
				io.Copy(io.Discard, r.Body)
				r.Body.Close()
			}
			if random.IntN(8) == 0 {
				return nil, errors.New("dial " + r.URL.Host + " with " + r.Header.Get("Authorization"))
			}
			w := httptest.NewRecorder()
			fuzzAnswers[random.IntN(len(fuzzAnswers))](w, r)
			return w.Result(), nil
		})
		var log bytes.Buffer
		var results []*aigateway.Result
		cfg.Logger = slog.New(slog.NewJSONHandler(&log, nil))
		cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { results = append(results, res) }}
		g, err := aigateway.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		r := httptest.NewRequest(http.MethodPost, fuzzPaths[int(path)%len(fuzzPaths)], bytes.NewReader(body))
		r.Header["X-Team"] = []string{team}
		r.Header.Set("Authorization", "Bearer sk-client-"+fuzzSecret)
		if e := encodings[int(form)%len(encodings)]; e != "" {
			r.Header.Set("Content-Encoding", e)
		}
		r.Header.Set("Content-Type", []string{"application/json", "multipart/form-data; boundary=b"}[int(form)/len(encodings)%2])
		w := httptest.NewRecorder()
		aborted := fuzzServe(g, w, r)

		if sent > cfg.MaxAttempts {
			t.Errorf("%d upstream requests, and max_attempts is %d", sent, cfg.MaxAttempts)
		}
		if sent > 0 && len(results) != 1 {
			t.Errorf("%d Results", len(results))
		}
		kind := w.Header().Get("Content-Type")
		switch {
		case w.Code < 200 || w.Code > 599:
			t.Errorf("status %d", w.Code)
		case !aborted && w.Code >= 400 && (w.Body.Len() == 0 || strings.Contains(kind, "json") && !json.Valid(w.Body.Bytes())):
			t.Errorf("%d %s without a readable error: %q", w.Code, kind, w.Body)
		case !aborted && w.Code == 200 && !strings.Contains(kind, "event-stream") && !json.Valid(w.Body.Bytes()):
			t.Errorf("200 %s that is not JSON: %q", kind, w.Body)
		}
		shown, err := json.Marshal(results)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(body, []byte(fuzzSecret)) || strings.Contains(team, fuzzSecret) {
			return // the client's own words
		}
		for name, text := range map[string]string{"answer": w.Body.String(), "header": fmt.Sprint(w.Header()), "log": log.String(), "Result": string(shown)} {
			if strings.Contains(text, fuzzSecret) {
				t.Errorf("a secret in the %s: %s", name, text)
			}
		}
	})
}

// fuzzServe serves a request, and reports whether the answer was aborted.
func fuzzServe(h http.Handler, w http.ResponseWriter, r *http.Request) (aborted bool) {
	defer func() {
		if v := recover(); v != nil {
			if err, ok := v.(error); !ok || !errors.Is(err, http.ErrAbortHandler) {
				panic(v)
			}
			aborted = true
		}
	}()
	h.ServeHTTP(w, r)
	return false
}

// fuzzWhole are whole answers to a stream request and to others, by path. Each has
// the words w0 to w9.
var fuzzWhole = func() map[string][2]string {
	words := make([]string, 10)
	for i := range words {
		words[i] = fmt.Sprintf("w%d", i)
	}
	join := func(front string, event func(word string) string, back string) string {
		var b strings.Builder
		b.WriteString(front)
		for _, w := range words {
			b.WriteString(event(w))
		}
		return b.String() + back
	}
	m := map[string][2]string{
		fieldChat: {"", join(gatewaytest.ChatRole, gatewaytest.ChatDelta, gatewaytest.ChatStop+gatewaytest.ChatDone)},
		"/v1/completions": {"", join("", func(w string) string {
			return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"text\":%q,\"finish_reason\":null}]}\n\n", w)
		}, "data: {\"choices\":[{\"index\":0,\"text\":\"\",\"finish_reason\":\"stop\"}]}\n\n"+gatewaytest.ChatDone)},
		fieldResponses: {"", join(fieldMessage("response.created", `"response":{"id":"r"}`), func(w string) string {
			return fieldMessage("response.output_text.delta", fmt.Sprintf(`"delta":%q`, w))
		}, fieldMessage("response.completed", `"response":{"status":"completed"}`))},
		fieldMessages: {"", join(fieldMessage("message_start", `"message":{"id":"m"}`), func(w string) string {
			return fieldMessage("content_block_delta", fmt.Sprintf(`"index":0,"delta":{"type":"text_delta","text":%q}`, w))
		}, fieldMessage("message_delta", `"delta":{"stop_reason":"end_turn"}`)+fieldMessage("message_stop", ""))},
	}
	for _, path := range []string{fieldChat, "/v1/completions", fieldResponses, fieldMessages, "/v1/embeddings", "/v1/moderations", "/v1/rerank", "/v1/images/generations", "/v1/messages/count_tokens"} {
		whole := m[path]
		whole[0] = gatewaytest.LeastAnswer(path, strings.Join(words, " "), `"words":"`+strings.Join(words, " ")+`"`)
		m[path] = whole
	}
	return m
}()

// fuzzBody gives bytes in pieces, and then an error.
type fuzzBody struct {
	data  []byte
	piece int
	end   error
}

func (b *fuzzBody) Read(p []byte) (int, error) {
	if len(b.data) == 0 {
		return 0, b.end
	}
	n := copy(p, b.data[:min(len(b.data), b.piece)])
	b.data = b.data[n:]
	return n, nil
}

func (b *fuzzBody) Close() error { return nil }

// FuzzUpstreamBytes sends any bytes of an upstream, and any front of a good answer,
// into every surface. The client never gets half an answer that looks complete.
func FuzzUpstreamBytes(f *testing.F) {
	paths := []string{
		fieldChat, "/v1/completions", fieldResponses, fieldMessages, "/v1/embeddings", "/v1/moderations", "/v1/rerank", "/v1/images/generations",
		"/v1/messages/count_tokens", "/v1/responses/compact", "/v1/audio/speech", "/v1/audio/transcriptions", "/v1/audio/diarize",
	}
	kinds := []string{"application/json", "text/event-stream", "text/plain", "text/html", ""}
	for i, path := range paths {
		for mode := range 16 {
			f.Add(uint8(i), uint8(mode), uint16(mode*37), uint16(1+mode), []byte(gatewaytest.ChatDelta("x")))
		}
		for _, n := range fieldNoAnswers {
			if n.path == path {
				f.Add(uint8(i), uint8(0), uint16(0), uint16(99), []byte(n.body))
			}
		}
		for _, s := range fieldNoStreams {
			if s.path == path {
				f.Add(uint8(i), uint8(1), uint16(0), uint16(99), []byte(s.events))
			}
		}
	}
	// The bits of mode: a stream is asked for, a clean end, a front of a good answer,
	// gzip, held whole.
	f.Fuzz(func(t *testing.T, at, mode uint8, cut, piece uint16, data []byte) {
		path := paths[int(at)%len(paths)]
		stream, clean, front, zipped, complete := mode&1 != 0, mode&2 != 0, mode&4 != 0, mode&8 != 0, mode&16 != 0
		kind := kinds[int(mode>>5)%len(kinds)]
		good, ok := fuzzWhole[path]
		whole := good[0]
		if stream && good[1] != "" {
			whole = good[1]
			kind = "text/event-stream"
		} else if ok && front {
			kind = "application/json"
		}
		front = front && ok
		if front {
			data = []byte(whole)
		}
		if zipped {
			var b bytes.Buffer
			w := gzip.NewWriter(&b)
			w.Write(data)
			w.Close()
			data = b.Bytes()
		}
		if front {
			data = data[:int(cut)%(len(data)+1)]
		}
		body := &fuzzBody{data: slices.Clone(data), piece: 1 + int(piece)%512, end: io.ErrUnexpectedEOF}
		if clean {
			body.end = io.EOF
		}
		cfg := testbed.Config(1, "a")
		cfg.MaxAttempts = 1
		if complete {
			cfg.StreamCommit = aigateway.StreamCommitComplete
		}
		cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
			r.Body.Close()
			h := http.Header{}
			if kind != "" {
				h.Set("Content-Type", kind)
			}
			if zipped {
				h.Set("Content-Encoding", "gzip")
			}
			return &http.Response{StatusCode: http.StatusOK, ProtoMajor: 1, ProtoMinor: 1, Header: h, Body: body, ContentLength: -1, Request: r}, nil
		})
		g, err := aigateway.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		request := fmt.Sprintf(`{"model":"m","stream":%t}`, stream)
		w := httptest.NewRecorder()
		if aborted := fuzzServe(g, w, httptest.NewRequest(http.MethodPost, path, strings.NewReader(request))); aborted || w.Code != 200 {
			return
		}
		got := w.Body.String()
		if w.Header().Get("Content-Encoding") == "gzip" {
			got = fuzzUnzip(w.Body.Bytes())
		}
		events := strings.HasPrefix(w.Header().Get("Content-Type"), "text/event-stream")
		switch {
		case front:
			if !strings.Contains(got, "w9") && !strings.Contains(got, `"error"`) {
				t.Errorf("%d bytes of a good answer look complete: %q", len(data), got)
			}
			if !clean && !events {
				t.Errorf("an answer whose connection broke looks complete: %q", got)
			}
		case !ok: // bytes, or text that nothing tells the end of
			if !clean && !events {
				t.Errorf("an answer whose connection broke looks complete: %q", got)
			}
		case !events:
			if !clean || !json.Valid([]byte(got)) {
				t.Errorf("not a JSON answer, and it looks complete: %q", got)
			}
			if path != "/v1/responses/compact" && !strings.Contains(got, `\u`) && !fuzzHas(path, got) {
				t.Errorf("nothing that %s needs, and it looks complete: %q", path, got)
			}
		default:
			// Something in it must have said so: an end, or an error.
			if !fuzzEnds(got) {
				t.Errorf("a stream without an end looks complete: %q", got)
			}
		}
	})
}

// fuzzUnzip unfolds as much as there is.
func fuzzUnzip(data []byte) string {
	r, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return ""
	}
	out, _ := io.ReadAll(r)
	return string(out)
}

// fuzzHas reports whether a JSON answer has one of the members that its surface
// needs.
func fuzzHas(path, got string) bool {
	var top map[string]json.RawMessage
	if json.Unmarshal([]byte(got), &top) != nil {
		return false
	}
	for _, name := range map[string][]string{
		fieldChat: {"choices"}, "/v1/completions": {"choices"}, fieldResponses: {"status", "output"}, fieldMessages: {"type"}, "/v1/embeddings": {"data"},
		"/v1/moderations": {"results"}, "/v1/rerank": {"results", "data"}, "/v1/images/generations": {"data"}, "/v1/messages/count_tokens": {"input_tokens"},
	}[path] {
		if v := top[name]; len(v) > 0 && string(v) != "null" && string(v) != "[]" {
			return true
		}
	}
	return (path == "/v1/moderations" || path == "/v1/rerank") && (top["results"] != nil || top["data"] != nil)
}

// fuzzEnds reports whether a stream says of itself that it is over. It is
// generous: escapes may hide the words.
func fuzzEnds(got string) bool {
	for _, mark := range []string{"[DONE]", "finish_reason", "message_stop", "response.", "error", ".completed", ".done", `\u`} {
		if strings.Contains(got, mark) {
			return true
		}
	}
	return false
}
