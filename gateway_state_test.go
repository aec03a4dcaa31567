package aigateway_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// stored is a gateway in front of two providers that keep things, p with two keys and
// q with one.
type stored struct {
	t    *testing.T
	g    *aigateway.Gateway
	p, q *gatewaytest.Store
}

// storedConfig is its config. A request chooses the key by X-Key.
const storedConfig = `
providers:
  - id: p
    base_url: https://p.internal
    api_keys: [{value: p-one}, {value: p-two}]
    models: [{id: m}, {id: only-p}]
    supported_api_surfaces: [{format: openai}, {format: anthropic}]
  - id: q
    base_url: https://q.internal
    api_keys: [{value: q-one}]
    models: [{id: m}]
    supported_api_surfaces: [{format: openai}, {format: anthropic}]
api_key_selection:
  strategy: ["'x-key' in req.headers ? [ai.keys[int(req.headers['x-key'][0])]] : ai.keys"]
`

const storedCaller = "\ncaller: req.headers['x-tenant'][0]\n"

func openStore(t *testing.T, config string) *stored {
	s := &stored{t: t, p: &gatewaytest.Store{Name: "p"}, q: &gatewaytest.Store{Name: "q"}}
	g, err := aigateway.New(s.config(config))
	require.NoError(t, err)
	s.g = g
	t.Cleanup(func() {
		assert.Empty(t, s.p.Strays(), "nothing goes to another provider or key")
		assert.Empty(t, s.q.Strays(), "nothing goes to another provider or key")
	})
	return s
}

func (s *stored) config(doc string) aigateway.Config {
	cfg, err := aigateway.ParseConfig([]byte(doc))
	require.NoError(s.t, err)
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		if r.Body == nil {
			r.Body = http.NoBody
		}
		if r.URL.Host == "q.internal" {
			s.q.ServeHTTP(w, r)
		} else {
			s.p.ServeHTTP(w, r)
		}
		return w.Result(), nil
	})
	return cfg
}

// send sends a request. The header is given as names and values in turn.
func (s *stored) send(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	if body == "" {
		r = httptest.NewRequest(method, path, nil)
	} else if strings.HasPrefix(body, "--") {
		r.Header.Set("Content-Type", "multipart/form-data; boundary=B")
	} else {
		r.Header.Set("Content-Type", "application/json")
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.g.ServeHTTP(w, r)
	return w
}

// sent counts the requests to both providers.
func (s *stored) sent() int { return len(s.p.Requests()) + len(s.q.Requests()) }

// idOf is the id in an answer, be it a stream.
func idOf(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	require.Equal(t, http.StatusOK, w.Code, w.Body)
	var answer struct {
		ID       string
		Response struct{ ID string }
	}
	body := w.Body.String()
	if _, data, ok := strings.Cut(body, "data: "); ok && !strings.HasPrefix(body, "{") {
		body, _, _ = strings.Cut(data, "\n")
	}
	require.NoError(t, json.Unmarshal([]byte(body), &answer), body)
	return answer.ID + answer.Response.ID
}

// codeOf is the code of an error in either format.
func codeOf(w *httptest.ResponseRecorder) string {
	var e struct {
		Error struct {
			Code    string
			Details struct {
				ErrorCode string `json:"error_code"`
			}
		}
	}
	json.Unmarshal(w.Body.Bytes(), &e)
	return e.Error.Code + e.Error.Details.ErrorCode
}

const upload = "--B\r\nContent-Disposition: form-data; name=\"purpose\"\r\n\r\nbatch\r\n" +
	"--B\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.jsonl\"\r\n\r\n{\"a\":1}\r\n--B--\r\n"

const part = "--B\r\nContent-Disposition: form-data; name=\"data\"; filename=\"blob\"\r\n\r\n{\"a\":1}\r\n--B--\r\n"

// madeThings are the things that providers keep: the request that makes one, and all
// requests about it, with %s for its id.
var madeThings = []struct {
	name, path, body string
	uses             []string // METHOD path body
}{
	{"responses", "/v1/responses", `{"model":"m","input":"hi"}`, []string{
		"GET /v1/responses/%s", "POST /v1/responses/%s/cancel", "GET /v1/responses/%s/input_items",
		`POST /v1/responses {"model":"m","input":"more","previous_response_id":"%s"}`,
		`POST /v1/responses/input_tokens {"model":"m","previous_response_id":"%s"}`,
		"DELETE /v1/responses/%s",
	}},
	{"streamed responses", "/v1/responses", `{"model":"m","input":"hi","stream":true}`, []string{
		"GET /v1/responses/%s", "GET /v1/responses/%s?stream=true",
	}},
	{"conversations", "/v1/conversations", `{"items":[]}`, []string{
		"GET /v1/conversations/%s", `POST /v1/conversations/%s {"metadata":{}}`, "GET /v1/conversations/%s/items?limit=2",
		`POST /v1/conversations/%s/items {"items":[]}`, "GET /v1/conversations/%s/items/msg_1", "DELETE /v1/conversations/%s/items/msg_1",
		`POST /v1/responses {"model":"m","conversation":"%s","input":"hi"}`,
		`POST /v1/responses {"model":"m","conversation":{"id":"%s"},"input":"hi"}`,
		"DELETE /v1/conversations/%s",
	}},
	{"files", "/v1/files", upload, []string{
		"GET /v1/files/%s", "GET /v1/files/%s/content",
		`POST /v1/batches {"input_file_id":"%s","endpoint":"/v1/responses"}`,
		`POST /v1/vector_stores {"file_ids":["%s"]}`,
		`POST /v1/containers {"name":"c","file_ids":["%s"]}`,
		`POST /v1/responses {"model":"m","input":[{"role":"user","content":[{"type":"input_file","file_id":"%s"}]}]}`,
		`POST /v1/chat/completions {"model":"m","messages":[{"role":"user","content":[{"type":"file","file":{"file_id":"%s"}}]}]}`,
		`POST /v1/messages {"model":"m","messages":[{"role":"user","content":[{"type":"document","source":{"type":"file","file_id":"%s"}}]}]}`,
		"DELETE /v1/files/%s",
	}},
	{"uploads", "/v1/uploads", `{"filename":"a.jsonl","purpose":"batch","bytes":9,"mime_type":"text/jsonl"}`, []string{
		"POST /v1/uploads/%s/parts " + part, `POST /v1/uploads/%s/complete {"part_ids":["part_1"]}`, "POST /v1/uploads/%s/cancel",
	}},
	{"batches", "/v1/batches", `{"endpoint":"/v1/responses"}`, []string{
		"GET /v1/batches/%s", "POST /v1/batches/%s/cancel",
	}},
	{"videos", "/v1/videos", `{"model":"m","prompt":"a cat"}`, []string{
		"GET /v1/videos/%s", "GET /v1/videos/%s/content", `POST /v1/videos/%s/remix {"prompt":"a dog"}`,
		`POST /v1/videos/edits {"prompt":"a dog","video":{"id":"%s"}}`, `POST /v1/videos/extensions {"seconds":"8","video":{"id":"%s"}}`,
		"POST /v1/videos/edits --B\r\nContent-Disposition: form-data; name=\"video[id]\"\r\n\r\n%s\r\n--B--\r\n", "DELETE /v1/videos/%s",
	}},
	{"vector stores", "/v1/vector_stores", `{"name":"v"}`, []string{
		"GET /v1/vector_stores/%s", `POST /v1/vector_stores/%s {"name":"w"}`, `POST /v1/vector_stores/%s/search {"query":"a"}`,
		"GET /v1/vector_stores/%s/files", "GET /v1/vector_stores/%s/files/one", "DELETE /v1/vector_stores/%s/files/one",
		"GET /v1/vector_stores/%s/files/one/content", "GET /v1/vector_stores/%s/file_batches/one",
		"POST /v1/vector_stores/%s/file_batches/one/cancel", "GET /v1/vector_stores/%s/file_batches/one/files",
		`POST /v1/responses {"model":"m","input":"a","tools":[{"type":"file_search","vector_store_ids":["%s"]}]}`,
		"DELETE /v1/vector_stores/%s",
	}},
	{"containers", "/v1/containers", `{"name":"c"}`, []string{
		"GET /v1/containers/%s", "GET /v1/containers/%s/files", "GET /v1/containers/%s/files/one", "GET /v1/containers/%s/files/one/content",
		`POST /v1/responses {"model":"m","input":"a","tools":[{"type":"code_interpreter","container":"%s"}]}`,
		`POST /v1/messages {"model":"m","container":"%s","messages":[]}`,
		"DELETE /v1/containers/%s/files/one", "DELETE /v1/containers/%s",
	}},
	{"message batches", "/v1/messages/batches", `{"requests":[{"custom_id":"a","params":{"model":"m","max_tokens":1,"messages":[]}}]}`, []string{
		"GET /v1/messages/batches/%s", "GET /v1/messages/batches/%s/results", "POST /v1/messages/batches/%s/cancel", "DELETE /v1/messages/batches/%s",
	}},
}

// use makes a request of a line of madeThings.
func (s *stored) use(line, id string, header ...string) *httptest.ResponseRecorder {
	method, rest, _ := strings.Cut(line, " ")
	path, body, _ := strings.Cut(rest, " ")
	if strings.Contains(path, "%s") {
		path = fmt.Sprintf(path, id)
	} else {
		body = fmt.Sprintf(body, id)
	}
	return s.send(method, path, body, header...)
}

// places are the places of a thing: a provider, and the place of its key.
var places = [][]string{
	{"X-Aigateway-Provider", "p", "X-Key", "0"}, {"X-Aigateway-Provider", "p", "X-Key", "1"}, {"X-Aigateway-Provider", "q", "X-Key", "0"},
}

// A thing is reached where it was made, by its id, on every endpoint.
func TestStateGoesBack(t *testing.T) {
	for _, thing := range madeThings {
		t.Run(thing.name, func(t *testing.T) {
			s := openStore(t, storedConfig)
			for _, place := range places {
				id := idOf(t, s.send(http.MethodPost, thing.path, thing.body, place...))
				for _, line := range thing.uses {
					before := s.sent()
					w := s.use(line, id)
					assert.Less(t, w.Code, 300, "%s: %s", line, w.Body)
					assert.Equal(t, before+1, s.sent(), line)
				}
			}
			assert.NotEmpty(t, s.p.Requests())
			assert.NotEmpty(t, s.q.Requests())
		})
	}
}

// Where callers are told apart, a thing is its caller's alone: others get 404, and
// nothing is sent. So does an id that the gateway does not know.
func TestStateIsTheCallersOwn(t *testing.T) {
	for _, thing := range madeThings {
		t.Run(thing.name, func(t *testing.T) {
			s := openStore(t, storedConfig+storedCaller)
			for _, place := range places {
				id := idOf(t, s.send(http.MethodPost, thing.path, thing.body, append(place, "X-Tenant", "ann")...))
				for _, line := range thing.uses {
					w := s.use(line, id, "X-Tenant", "ann")
					assert.Less(t, w.Code, 300, "%s: %s", line, w.Body)
				}
				before := s.sent()
				for _, line := range thing.uses {
					for _, other := range [][]string{{"X-Tenant", "bob"}, nil, append([]string{"X-Tenant", "bob"}, place...)} {
						w := s.use(line, id, other...)
						assert.Equal(t, http.StatusNotFound, w.Code, "%s: %s", line, w.Body)
						assert.Equal(t, "id_not_found", codeOf(w), line)
						w = s.use(line, "unknown_1", append(other, "X-Aigateway-Provider", "p")...)
						assert.Equal(t, http.StatusNotFound, w.Code, "%s: %s", line, w.Body)
					}
				}
				assert.Equal(t, before, s.sent(), "nothing is sent")
			}
		})
	}
}

// In a fleet a thing is reached through every replica, and through none by others than
// its caller.
func TestStateIsOfTheFleet(t *testing.T) {
	for _, thing := range madeThings {
		t.Run(thing.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := openStore(t, storedConfig)
				cfg := s.config(storedConfig + storedCaller)
				transport := cfg.Transport
				f := startReplicas(t, 2, cfg, func(_ int, cfg *aigateway.Config) { cfg.Transport = transport })
				for i, place := range places {
					s.g = f.gateways[i%2]
					id := idOf(t, s.send(http.MethodPost, thing.path, thing.body, append(place, "X-Tenant", "ann")...))
					f.settle()
					before := s.sent()
					for j := range f.gateways {
						s.g = f.gateways[j]
						for _, line := range thing.uses {
							for _, other := range [][]string{{"X-Tenant", "bob"}, nil, append([]string{"X-Tenant", "bob"}, place...)} {
								w := s.use(line, id, other...)
								assert.Equal(t, http.StatusNotFound, w.Code, "replica %d, %s: %s", j, line, w.Body)
								assert.Equal(t, "id_not_found", codeOf(w), line)
							}
							w := s.use(line, "unknown_1", "X-Tenant", "ann", "X-Aigateway-Provider", "p")
							assert.Equal(t, http.StatusNotFound, w.Code, "replica %d, %s: %s", j, line, w.Body)
						}
					}
					assert.Equal(t, before, s.sent(), "nothing is sent")
					s.g = f.gateways[1-i%2]
					for _, line := range thing.uses {
						w := s.use(line, id, "X-Tenant", "ann")
						assert.Less(t, w.Code, 300, "the other replica, %s: %s", line, w.Body)
					}
				}
			})
		})
	}
}

// A provider's failure is the answer: no other provider or key is asked.
func TestStateHasNoFailover(t *testing.T) {
	for _, thing := range madeThings {
		t.Run(thing.name, func(t *testing.T) {
			s := openStore(t, storedConfig)
			cfg := s.config(storedConfig)
			good, failing := cfg.Transport, false
			sent := 0
			cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
				if !failing {
					return good.RoundTrip(r)
				}
				sent++
				assert.Equal(t, "p.internal", r.URL.Host)
				assert.Contains(t, r.Header.Get("Authorization")+r.Header.Get("X-Api-Key"), "p-two")
				w := httptest.NewRecorder()
				gatewaytest.Error(http.StatusTooManyRequests, "slow_down", "later")(w, r)
				return w.Result(), nil
			})
			require.NoError(t, s.g.Reload(cfg))
			id := idOf(t, s.send(http.MethodPost, thing.path, thing.body, places[1]...))
			failing = true
			for _, line := range thing.uses {
				before := sent
				assert.Equal(t, http.StatusTooManyRequests, s.use(line, id).Code, line)
				assert.Equal(t, before+1, sent, line)
			}
		})
	}
}

func TestStateNeedsAProvider(t *testing.T) {
	s := openStore(t, storedConfig)
	for _, row := range []struct {
		name, method, path, body string
		header                   []string
		status                   int
		code                     string
	}{
		{"an upload", "POST", "/v1/files", upload, nil, 400, "provider_required"},
		{"an upload to one", "POST", "/v1/files", upload, []string{"X-Aigateway-Provider", "Q"}, 200, ""},
		{"an unknown id", "GET", "/v1/files/odd", "", nil, 400, "provider_required"},
		{"an unknown id at one", "GET", "/v1/files/odd", "", []string{"X-Aigateway-Provider", "p"}, 200, ""},
		{"a learnt id", "GET", "/v1/files/odd", "", nil, 200, ""},
		{"an unknown name", "GET", "/v1/files/odder", "", []string{"X-Aigateway-Provider", "pp"}, 400, "provider_required"},
		{"an unknown name beside a model", "POST", "/v1/chat/completions", `{"model":"m"}`, []string{"X-Aigateway-Provider", "pp"}, 400, "provider_required"},
		{"another than the id's", "GET", "/v1/files/odd", "", []string{"X-Aigateway-Provider", "q"}, 400, "provider_conflict"},
		{"a name beside a model", "POST", "/v1/chat/completions", `{"model":"m"}`, []string{"X-Aigateway-Provider", "q"}, 200, ""},
		{"a name without the model", "POST", "/v1/chat/completions", `{"model":"only-p"}`, []string{"X-Aigateway-Provider", "q"}, 422, "no_matching_models"},
		{"an unknown previous response with a model", "POST", "/v1/responses", `{"model":"m","previous_response_id":"odd"}`, nil, 200, ""},
		{"two places", "POST", "/v1/responses", `{"model":"m","previous_response_id":"resp_1","input":[{"file_id":"odd"}]}`, nil, 200, ""},
		{"a list", "GET", "/v1/files", "", nil, 404, "not_found"},
		{"a list at one", "GET", "/v1/files", "", []string{"X-Aigateway-Provider", "q"}, 404, "not_found"},
		{"a list of batches", "GET", "/v1/batches", "", nil, 404, "not_found"},
		{"a list of vector stores", "GET", "/v1/vector_stores", "", nil, 404, "not_found"},
		{"a list of containers", "GET", "/v1/containers", "", nil, 404, "not_found"},
		{"a list of videos", "GET", "/v1/videos", "", nil, 404, "not_found"},
		{"a list of message batches", "GET", "/v1/messages/batches", "", nil, 404, "not_found"},
		{"a wrong method", "PUT", "/v1/files/odd", "", nil, 405, "method_not_allowed"},
		{"a response by its own method", "GET", "/v1/responses", "", nil, 405, "method_not_allowed"},
	} {
		w := s.send(row.method, row.path, row.body, row.header...)
		assert.Equal(t, row.status, w.Code, "%s: %s", row.name, w.Body)
		if row.status != 200 {
			assert.Equal(t, row.code, codeOf(w), row.name)
		}
		if row.code == "provider_required" && row.header == nil {
			assert.Contains(t, w.Body.String(), "p, q", row.name)
		}
	}
	for _, line := range append(s.p.Requests(), s.q.Requests()...) {
		assert.NotContains(t, line, "aigateway")
	}
}

// The header that names the provider never leaves, not even where it is forwarded.
func TestProviderHeaderIsCut(t *testing.T) {
	s := openStore(t, storedConfig)
	cfg := s.config(storedConfig + "forward_headers: [X-Aigateway-Provider]\n")
	inner := cfg.Transport
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		assert.Empty(t, r.Header.Values("X-Aigateway-Provider"))
		return inner.RoundTrip(r)
	})
	require.NoError(t, s.g.Reload(cfg))
	assert.Equal(t, 200, s.send(http.MethodPost, "/v1/files", upload, "X-Aigateway-Provider", "p").Code)
	assert.Equal(t, upload, s.p.LastBody(), "an upload passes byte for byte")
}

// Ids that lead to two places contradict each other, and an id contradicts a model of
// another provider.
func TestStateInTwoPlaces(t *testing.T) {
	s := openStore(t, storedConfig)
	file := idOf(t, s.send(http.MethodPost, "/v1/files", upload, places[0]...))
	for _, place := range places[1:] {
		resp := idOf(t, s.send(http.MethodPost, "/v1/responses", `{"model":"m"}`, place...))
		w := s.send(http.MethodPost, "/v1/responses", fmt.Sprintf(`{"model":"m","previous_response_id":%q,"input":[{"file_id":%q}]}`, resp, file))
		assert.Equal(t, "provider_conflict", codeOf(w), w.Body)
	}
	conv := idOf(t, s.send(http.MethodPost, "/v1/conversations", `{}`, places[2]...))
	w := s.send(http.MethodPost, "/v1/responses", fmt.Sprintf(`{"model":"only-p","conversation":%q}`, conv))
	assert.Equal(t, http.StatusUnprocessableEntity, w.Code)
	assert.Contains(t, w.Body.String(), "leads to another provider")
}

// The only provider that can serve a request needs no name.
func TestStateAtTheOnlyProvider(t *testing.T) {
	s := openStore(t, strings.Replace(storedConfig, "models: [{id: m}]\n    supported_api_surfaces: [{format: openai}, {format: anthropic}]\napi",
		"models: [{id: m}]\n    supported_api_surfaces: [{format: openai, surface: responses}]\napi", 1))
	id := idOf(t, s.send(http.MethodPost, "/v1/files", upload))
	assert.Equal(t, 200, s.send(http.MethodGet, "/v1/files/"+id, "").Code)
	assert.Equal(t, 200, s.send(http.MethodGet, "/v1/files/unknown", "").Code)
	w := s.send(http.MethodGet, "/v1/files/unknown", "", "X-Aigateway-Provider", "q")
	assert.Equal(t, "provider_conflict", codeOf(w), "it was learnt")
	w = s.send(http.MethodPost, "/v1/files", upload, "X-Aigateway-Provider", "q")
	assert.Equal(t, "no_matching_models", codeOf(w))
	assert.Contains(t, w.Body.String(), `provider \"q\" does not offer files`)
	// The surface responses covers its ids.
	id = idOf(t, s.send(http.MethodPost, "/v1/responses", `{"model":"m"}`, places[2]...))
	assert.Equal(t, 200, s.send(http.MethodGet, "/v1/responses/"+id, "").Code)
}

// Ids survive a reload: a rotated key keeps them, and a provider that is gone loses
// them.
func TestStateSurvivesReload(t *testing.T) {
	s := openStore(t, storedConfig)
	atP := idOf(t, s.send(http.MethodPost, "/v1/conversations", `{}`, places[1]...))
	atQ := idOf(t, s.send(http.MethodPost, "/v1/conversations", `{}`, places[2]...))
	require.NoError(t, s.g.Reload(s.config(strings.NewReplacer("p-one", "p-uno", "base_url: https://q", "disabled: true\n    base_url: https://q").Replace(storedConfig))))
	assert.Equal(t, 200, s.send(http.MethodGet, "/v1/conversations/"+atP, "").Code)
	before := s.sent()
	for _, header := range [][]string{nil, {"X-Aigateway-Provider", "p"}, {"X-Aigateway-Provider", "q"}} {
		assert.Equal(t, "id_not_found", codeOf(s.send(http.MethodGet, "/v1/conversations/"+atQ, "", header...)))
	}
	require.NoError(t, s.g.Reload(s.config(strings.Replace(storedConfig, ", {value: p-two}", "", 1))))
	assert.Equal(t, "id_not_found", codeOf(s.send(http.MethodGet, "/v1/conversations/"+atP, "")), "its key is gone")
	assert.Equal(t, before, s.sent(), "nothing is sent")
	require.NoError(t, s.g.Reload(s.config(storedConfig)))
	assert.Equal(t, 200, s.send(http.MethodGet, "/v1/conversations/"+atQ, "").Code)
}

// Odd ids could be read as another path.
func TestStateRefusesOddIDs(t *testing.T) {
	s := openStore(t, storedConfig)
	for _, path := range []string{
		"/v1/files/..", "/v1/files/%2e%2e", "/v1/files/a..b", "/v1/files/a%2Fb", "/v1/files/a%2fcontent/content", "/v1/responses/..%2Ffiles/cancel",
		"/v1/conversations/c/items/..", "/v1/conversations/c/items/a%2Fb", "/v1/files/a%5Cb", "/v1/files/a%00", "/v1/files/a%25", "/v1/files/a%3Fb", "/v1/files/a%20b",
		"/v1/messages/batches/a%2Fb/results",
	} {
		for _, method := range []string{http.MethodGet, http.MethodPost, http.MethodDelete} {
			w := s.send(method, path, "", "X-Aigateway-Provider", "p")
			assert.Equal(t, http.StatusBadRequest, w.Code, "%s: %s", path, w.Body)
			assert.Equal(t, "invalid_id", codeOf(w), path)
		}
	}
	assert.Zero(t, s.sent())
	assert.Equal(t, 200, s.send(http.MethodGet, "/v1/files/a%3Ab", "", "X-Aigateway-Provider", "p").Code)
	assert.Equal(t, []string{"GET /v1/files/a:b p-one"}, s.p.Requests())
}

// A list belongs to its key.
func TestLists(t *testing.T) {
	lists := []string{"files", "batches", "vector_stores", "containers", "videos", "messages/batches"}
	s := openStore(t, strings.Replace(storedConfig, "  - id: q\n", "  - id: q\n    shared_lists: true\n", 1)+storedCaller)
	for _, list := range lists {
		w := s.send(http.MethodGet, "/v1/"+list+"?limit=3", "", "X-Tenant", "ann")
		assert.Equal(t, 200, w.Code, "%s: %s", list, w.Body)
		assert.Equal(t, "GET /v1/"+list+"?limit=3 q-one", s.q.Requests()[len(s.q.Requests())-1])
		assert.Equal(t, 404, s.send(http.MethodGet, "/v1/"+list, "", "X-Aigateway-Provider", "p").Code)
	}
	assert.Empty(t, s.p.Requests())
	own := openStore(t, strings.ReplaceAll(storedConfig, "[{value: p-one}, {value: p-two}]", `[{value: p-one}, {value: "${req.headers['x-own-key'][0]}"}]`)+storedCaller)
	for _, list := range lists {
		w := own.send(http.MethodGet, "/v1/"+list, "", "X-Tenant", "ann", "X-Own-Key", "ann-key")
		assert.Equal(t, 200, w.Code, "%s: %s", list, w.Body)
		assert.Equal(t, "GET /v1/"+list+" ann-key", own.p.Requests()[len(own.p.Requests())-1], "with the caller's own key alone")
	}
	// With a key of its own a caller may ask for any id, and its provider decides.
	w := own.send(http.MethodGet, "/v1/files/unknown", "", "X-Tenant", "ann", "X-Own-Key", "ann-key", "X-Aigateway-Provider", "p")
	assert.Equal(t, 200, w.Code, w.Body)
	assert.Equal(t, "GET /v1/files/unknown ann-key", own.p.Requests()[len(own.p.Requests())-1])
	w = own.send(http.MethodPost, "/v1/responses", `{"model":"m","previous_response_id":"unknown"}`, "X-Tenant", "ann", "X-Own-Key", "ann-key")
	assert.Equal(t, 200, w.Code, w.Body)
	assert.Equal(t, "POST /v1/responses ann-key", own.p.Requests()[len(own.p.Requests())-1])
	assert.Equal(t, 404, own.send(http.MethodGet, "/v1/files/unknown2", "", "X-Tenant", "ann", "X-Aigateway-Provider", "q").Code)
}

// In pass-through the key is the client's, and so are the things behind it.
func TestStateInPassThrough(t *testing.T) {
	s := openStore(t, storedCaller)
	for _, path := range []string{"/v1/files", "/v1/files/file_1", "/v1/responses/resp_x"} {
		w := s.send(http.MethodGet, path, "", "Authorization", "Bearer sk-ann", "X-Aigateway-Provider", "openai", "X-Tenant", "ann")
		assert.Equal(t, 200, w.Code, "%s: %s", path, w.Body)
		assert.Equal(t, "GET "+path+" sk-ann", s.p.Requests()[len(s.p.Requests())-1])
	}
	assert.Equal(t, "provider_required", codeOf(s.send(http.MethodGet, "/v1/files", "", "Authorization", "Bearer sk-ann")))
}

// Names of fields are read as the most lenient provider would, and words of the
// client's own tools are not ids.
func TestIDsInBodies(t *testing.T) {
	s := openStore(t, storedConfig+storedCaller)
	for body, refused := range map[string]bool{
		`{"model":"m","input":[{"content":[{"file\u005fid":"other"}]}]}`:                                                    true,
		`{"model":"m","input":[{"content":[{"File_ID":"other"}]}]}`:                                                         true,
		`{"model":"m","previous_response_id":"other","previous_response_id":null}`:                                          true,
		`{"model":"m","PREVIOUS_RESPONSE_ID":"other"}`:                                                                      true,
		`{"model":"m","conversation":{"id":"oth\u0065r"}}`:                                                                  true,
		`{"model":"m","tools":[{"type":"code_interpreter","container":{"type":"auto","file_ids":["other"]}}]}`:              true,
		`{"model":"m","tools":[{"type":"file_search","vector_store_ids":["other"]}]}`:                                       true,
		`{"model":"m","metadata":{"file_id":"mine"},"tools":[{"parameters":{"properties":{"file_id":{"type":"string"}}}}]}`: false,
		`{"model":"m","input":[{"type":"function_call","arguments":"{\"file_id\":\"x\"}"}]}`:                                false,
		`{"model":"m","input":"file_id","previous_response_id":null,"conversation":null}`:                                   false,
	} {
		before := s.sent()
		w := s.send(http.MethodPost, "/v1/responses", body, "X-Tenant", "ann")
		if refused {
			assert.Equal(t, "id_not_found", codeOf(w), body)
			assert.Equal(t, before, s.sent(), body)
		} else {
			assert.Equal(t, 200, w.Code, "%s: %s", body, w.Body)
		}
	}
	w := s.send(http.MethodPost, "/v1/messages", `{"model":"m","max_tokens":1,"messages":[{"role":"assistant","content":[{"type":"tool_use","input":{"file_id":"x"}}]}]}`, "X-Tenant", "ann")
	assert.Equal(t, 200, w.Code, w.Body)
}

// Files that a batch wrote, and the container that a response worked in, are known
// from the answer.
func TestIDsInAnswers(t *testing.T) {
	s := openStore(t, storedConfig+storedCaller)
	for _, place := range places {
		ann := append([]string{"X-Tenant", "ann"}, place...)
		batch := idOf(t, s.send(http.MethodPost, "/v1/batches", `{}`, ann...))
		var answer struct {
			Output string `json:"output_file_id"`
			Items  []struct {
				Container string `json:"container_id"`
			} `json:"output"`
		}
		require.NoError(t, json.Unmarshal(s.send(http.MethodGet, "/v1/batches/"+batch, "", ann[:2]...).Body.Bytes(), &answer))
		w := s.send(http.MethodGet, "/v1/files/"+answer.Output+"/content", "", ann[:2]...)
		assert.Equal(t, "\x00bytes of files/"+answer.Output+"/content", w.Body.String())
		require.NoError(t, json.Unmarshal(s.send(http.MethodPost, "/v1/responses", `{"model":"m"}`, ann...).Body.Bytes(), &answer))
		require.NotEmpty(t, answer.Items)
		assert.Equal(t, 200, s.send(http.MethodGet, "/v1/containers/"+answer.Items[0].Container+"/files", "", ann[:2]...).Code)
	}
	// An upload becomes a file of its caller, at the place of the upload.
	for _, place := range places {
		ann := append([]string{"X-Tenant", "ann"}, place...)
		id := idOf(t, s.send(http.MethodPost, "/v1/uploads", `{"bytes":9}`, ann...))
		var answer struct{ File struct{ ID string } }
		require.NoError(t, json.Unmarshal(s.send(http.MethodPost, "/v1/uploads/"+id+"/complete", `{"part_ids":[]}`, ann[:2]...).Body.Bytes(), &answer))
		w := s.send(http.MethodGet, "/v1/files/"+answer.File.ID+"/content", "", ann[:2]...)
		assert.Equal(t, "\x00bytes of files/"+answer.File.ID+"/content", w.Body.String())
		assert.Equal(t, "id_not_found", codeOf(s.send(http.MethodGet, "/v1/files/"+answer.File.ID, "", "X-Tenant", "bob")))
	}
	// Nothing is kept of a response that is not stored.
	id := idOf(t, s.send(http.MethodPost, "/v1/responses", `{"model":"m","store":false}`, "X-Tenant", "ann"))
	assert.Equal(t, "id_not_found", codeOf(s.send(http.MethodGet, "/v1/responses/"+id, "", "X-Tenant", "ann")))
}

// A stored thing repeats the use of the request that made it, and reading it costs
// nothing. A response in the background is paid once, by the first answer that tells
// its use, with the prices of its model.
func TestStoredThingsCostOnce(t *testing.T) {
	const told = `"usage":{"input_tokens":100,"output_tokens":50,"total_tokens":150,"cost":%s}`
	queued := `{"id":"resp_1","object":"response","status":"queued","background":true,"output":[],"usage":null}`
	done := `{"id":"resp_1","object":"response","status":"completed","output":[],"usage":{"input_tokens":100,"output_tokens":50,"total_tokens":150}}`
	resumed := "data: {\"type\":\"response.output_text.delta\",\"delta\":\"b\"}\n\n" +
		"data: {\"type\":\"response.completed\",\"response\":" + done + "}\n\n"
	begun := "data: {\"type\":\"response.created\",\"response\":" + queued + "}\n\n" +
		"data: {\"type\":\"response.output_text.delta\",\"delta\":\"a\"}\n\n"
	type step struct {
		method, path, body, answer string
		usage, cost                string // "" for none
	}
	counted := func(method, path, answer string) step {
		return step{method, path, "", answer, "100 50", "0.0002"}
	}
	free := func(method, path, answer string) step { return step{method, path, "", answer, "", ""} }
	create := `{"model":"m","input":"hi"}`
	background := `{"model":"m","input":"hi","background":true}`
	for _, row := range []struct {
		name  string
		steps []step
	}{
		{"in the foreground", []step{
			{"POST", "/v1/responses", create, done, "100 50", "0.0002"},
			free("GET", "/v1/responses/resp_1", done), free("GET", "/v1/responses/resp_1?stream=true", resumed),
			free("POST", "/v1/responses/resp_1/cancel", done), free("DELETE", "/v1/responses/resp_1", done),
		}},
		{"in the background", []step{
			{"POST", "/v1/responses", background, queued, "estimated", "estimated"},
			free("GET", "/v1/responses/resp_1", queued), free("GET", "/v1/responses/resp_1/input_items", `{"object":"list","data":[]}`),
			counted("GET", "/v1/responses/resp_1", done), free("GET", "/v1/responses/resp_1", done),
		}},
		{"in the background, and canceled", []step{
			{"POST", "/v1/responses", background, queued, "estimated", "estimated"},
			counted("POST", "/v1/responses/resp_1/cancel", done), free("GET", "/v1/responses/resp_1", done),
		}},
		{"in the background, and whole at once", []step{
			{"POST", "/v1/responses", background, done, "100 50", "0.0002"}, free("GET", "/v1/responses/resp_1", done),
		}},
		{"a stream that broke off, and was resumed", []step{
			{"POST", "/v1/responses", `{"model":"m","input":"hi","background":true,"stream":true}`, begun, "estimated", "estimated"},
			counted("GET", "/v1/responses/resp_1?stream=true&starting_after=1", resumed), free("GET", "/v1/responses/resp_1", done),
		}},
		{"a stream to its end", []step{
			{"POST", "/v1/responses", `{"model":"m","input":"hi","background":true,"stream":true}`, begun + resumed, "100 50", "0.0002"},
			free("GET", "/v1/responses/resp_1", done),
		}},
		{"with the provider's own cost", []step{
			{"POST", "/v1/responses", create, `{"id":"resp_1","status":"completed","output":[],` + fmt.Sprintf(told, "0.5") + `}`, "100 50", "0.5"},
			free("GET", "/v1/responses/resp_1", `{"id":"resp_1","status":"completed","output":[],`+fmt.Sprintf(told, "0.5")+`}`),
		}},
		{"a batch", []step{
			free("POST", "/v1/batches", `{"id":"batch_1","status":"validating"}`),
			free("GET", "/v1/batches/batch_1", `{"id":"batch_1","status":"completed",`+fmt.Sprintf(told, "1")+`}`),
		}},
		{"another one's id", []step{
			free("GET", "/v1/responses/resp_9", done),
		}},
	} {
		t.Run(row.name, func(t *testing.T) {
			cfg, err := aigateway.ParseConfig([]byte(pricedConfig))
			require.NoError(t, err)
			var now step
			var res *aigateway.Result
			cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
			cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				w.Header().Set("Content-Type", "application/json")
				if strings.HasPrefix(now.answer, "data:") {
					w.Header().Set("Content-Type", "text/event-stream")
				}
				io.WriteString(w, now.answer)
				return w.Result(), nil
			})
			g, err := aigateway.New(cfg)
			require.NoError(t, err)
			s := &stored{t: t, g: g}
			for i := range row.steps {
				now = row.steps[i]
				func() {
					defer func() { recover() }() // a broken stream ends so
					s.send(now.method, now.path, now.body)
				}()
				usage, cost := "", ""
				if u := res.Usage; u != nil {
					usage = fmt.Sprint(u.InputTokens, " ", u.OutputTokens)
					if u.Estimated {
						usage = "estimated"
					}
				}
				if c := res.Cost; c != nil {
					cost = c.USD.String()
					if c.Estimated {
						cost = "estimated"
					}
				}
				assert.Equal(t, now.usage, usage, "step %d: %s %s", i, now.method, now.path)
				assert.Equal(t, now.cost, cost, "step %d: %s %s", i, now.method, now.path)
			}
		})
	}
}
