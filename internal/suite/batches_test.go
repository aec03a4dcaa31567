package suite_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const batchesPath = "/v1/messages/batches"

// bothFormats is the config of a provider with batches of both formats.
const bothFormats = `
providers:
  - id: p
    base_url: https://p.internal
    api_keys: [{value: p-one}]
    models: [{id: m}]
    supported_api_surfaces: [{format: openai}, {format: anthropic}]
`

// batches is a gateway in front of a provider that keeps batches.
type batches struct {
	gateway *aigateway.Gateway
	store   *gatewaytest.Store
}

func openBatches(t *testing.T, config string, limits ...aigateway.ClientLimit) *batches {
	t.Helper()
	cfg, err := aigateway.ParseConfig([]byte(config))
	require.NoError(t, err)
	b := &batches{store: &gatewaytest.Store{Name: "p"}}
	cfg.ClientLimits = limits
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		if r.Body == nil {
			r.Body = http.NoBody
		}
		b.store.ServeHTTP(w, r)
		return w.Result(), nil
	})
	b.gateway, err = aigateway.New(cfg)
	require.NoError(t, err)
	t.Cleanup(func() { assert.Empty(t, b.store.Strays(), "nothing goes to another key") })
	return b
}

// send sends a request. The header is given as names and values in turn.
func (b *batches) send(method, path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	b.gateway.ServeHTTP(w, r)
	return w
}

// batchError is the code of an error in either format.
func batchError(w *httptest.ResponseRecorder) string {
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

// batchOf is a batch of one request for each params.
func batchOf(params ...string) string {
	for i, p := range params {
		params[i] = fmt.Sprintf(`{"custom_id":"%d","params":%s}`, i, p)
	}
	return `{ "requests" : [` + strings.Join(params, " , ") + `] ,"x":1}`
}

// Each request of a batch is held to the rules for a request of its own.
func TestMessageBatches(t *testing.T) {
	const plain = `{"model":"m","max_tokens":5,"messages":[]}`
	const one = `
providers:
  - id: p
    base_url: https://p.internal
    api_keys: [{value: p-one}]
    models: [{id: m, id_aliases: [short]}, {id: listless, unsupported_params: [{name: top_k}]}, {id: off, disabled: true}]
    supported_api_surfaces: [{format: anthropic}]
`
	for _, row := range []struct {
		name, config string
		params       []string
		want         []string // nil: unchanged
		status       int
		code         string
	}{
		{"as it came", "", []string{plain, `{ "model": "m" , "max_tokens": 1e1 }`}, nil, 200, ""},
		{"an alias", "", []string{plain, `{"model":"short","max_tokens":5}`}, []string{plain, `{"model":"m","max_tokens":5}`}, 200, ""},
		{"a prefix", "", []string{`{"max_tokens":5,"model":"p:m"}`}, []string{`{"max_tokens":5,"model":"m"}`}, 200, ""},
		{"an alias of the operator's", "aliases: {chat: ['p:m']}\n", []string{`{"model":"chat"}`}, []string{`{"model":"m"}`}, 200, ""},
		{"a cap", "max_output_tokens: 4\n", []string{plain, `{"model":"m","max_tokens":3}`},
			[]string{`{"model":"m","max_tokens":4,"messages":[]}`, `{"model":"m","max_tokens":3}`}, 200, ""},
		{"a field", "body: {service_tier: standard}\n", []string{`{"model":"m"}`}, []string{`{"model":"m","service_tier":"standard"}`}, 200, ""},
		{"a denied parameter", "", []string{`{"model":"listless","top_k":3}`}, []string{`{"model":"listless"}`}, 200, ""},
		{"a model that is not listed", "only_allow_configured_models: true\n", []string{plain, `{"model":"p:other"}`}, nil, 422, "model_not_allowed"},
		{"an unknown name", "", []string{`{"model":"other:thing"}`}, nil, 422, "no_matching_models"},
		{"a disabled model", "", []string{plain, `{"model":"off"}`}, nil, 422, "no_matching_models"},
		{"a long prompt", "max_input_tokens: 3\n", []string{plain, `{"model":"m","messages":"` + strings.Repeat("word ", 40) + `"}`}, nil, 413, "input_too_large"},
		{"no model", "", []string{`{"max_tokens":5}`}, nil, 400, "invalid_request_body"},
		{"any model", "", []string{`{"model":"auto"}`}, nil, 400, "invalid_request_body"},
		{"two models", "", []string{`{"model":"m","model":"other"}`}, nil, 400, "invalid_request_body"},
		{"params twice", "", []string{`{"model":"m"},"Params":{"model":"other"}`}, nil, 400, "invalid_request_body"},
		{"params of another kind", "", []string{`[]`}, nil, 400, "invalid_request_body"},
	} {
		t.Run(row.name, func(t *testing.T) {
			s := openBatches(t, one+row.config)
			body := batchOf(row.params...)
			w := s.send(http.MethodPost, batchesPath, body)
			require.Equal(t, row.status, w.Code, w.Body)
			if row.status != 200 {
				assert.Equal(t, row.code, batchError(w))
				assert.Empty(t, s.store.Requests(), "nothing is sent")
				return
			}
			if row.want != nil {
				body = batchOf(row.want...)
			}
			assert.Equal(t, body, s.store.LastBody())
		})
	}
	s := openBatches(t, one)
	for _, body := range []string{`{}`, `{"requests":{}}`, `{"requests":[],"requests":[{"params":{}}]}`, `{"requests":[1]}`, `{"requests":[{}]}`} {
		assert.Equal(t, "invalid_request_body", batchError(s.send(http.MethodPost, batchesPath, body)), body)
	}
	assert.Empty(t, s.store.Requests())
}

// The requests in the file of a batch cannot be checked: where rules are in force, it
// does not pass.
func TestBatchesByFile(t *testing.T) {
	const one = "providers: [{id: p, base_url: 'https://p.internal', api_keys: [{value: p-one}], models: [{id: m%s}]%s}]\n"
	for _, row := range []struct {
		name, model, provider, config string
		status                        int
	}{
		{"no rules", "", "", "", 200},
		{"providers", "", "", "only_allow_configured_providers: true", 403},
		{"models", "", "", "only_allow_configured_models: true", 403},
		{"input", "", "", "max_input_tokens: 100", 403},
		{"output", "", "", "max_output_tokens: 100", 403},
		{"a field", "", "", "body: {a: 1}", 403},
		{"a field of the provider's", "", ", body: {a: 1}", "", 403},
		{"a list of parameters", "", ", supported_api_surfaces: [{format: openai, supported_params: [{name: a}]}]", "", 403},
		{"a denied parameter", ", unsupported_params: [{name: a}]", "", "", 403},
		{"unchecked", "", ", unchecked_batches: true", "only_allow_configured_models: true", 200},
	} {
		s := openBatches(t, fmt.Sprintf(one, row.model, row.provider)+row.config+"\n")
		w := s.send(http.MethodPost, "/v1/batches", `{"endpoint":"/v1/responses"}`)
		assert.Equal(t, row.status, w.Code, "%s: %s", row.name, w.Body)
		if row.status != 200 {
			assert.Equal(t, "not_admitted", batchError(w), row.name)
			assert.Empty(t, s.store.Requests(), row.name)
			continue
		}
		var batch struct{ ID string }
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &batch))
		assert.Equal(t, 200, s.send(http.MethodGet, "/v1/batches/"+batch.ID, "").Code, row.name)
	}
}

// Under a limit in tokens or money a client has no batches, as they could not be counted.
func TestBatchesUnderLimits(t *testing.T) {
	limit := func(edit func(*aigateway.ClientLimit)) aigateway.ClientLimit {
		l := aigateway.ClientLimit{Key: "req.headers['x-team'][0]"}
		edit(&l)
		return l
	}
	for _, row := range []struct {
		name   string
		limit  aigateway.ClientLimit
		team   string
		status int
	}{
		{"requests", limit(func(l *aigateway.ClientLimit) { l.RequestsPerMinute = 9 }), "a", 200},
		{"tokens", limit(func(l *aigateway.ClientLimit) { l.TokensPerMinute = 9 }), "a", 403},
		{"another's tokens", limit(func(l *aigateway.ClientLimit) { l.TokensPerMinute = 9 }), "", 200},
		{"a day", limit(func(l *aigateway.ClientLimit) { l.USDPerDay = 9 }), "a", 403},
		{"a month", limit(func(l *aigateway.ClientLimit) { l.USDPerMonth = 9 }), "a", 403},
		{"uncounted", limit(func(l *aigateway.ClientLimit) { l.USDPerMonth, l.Uncounted = 9, true }), "a", 200},
	} {
		s := openBatches(t, bothFormats, row.limit)
		for _, path := range []string{"/v1/batches", batchesPath} {
			header := []string{"X-Aigateway-Provider", "p"}
			if row.team != "" {
				header = append(header, "X-Team", row.team)
			}
			w := s.send(http.MethodPost, path, batchOf(`{"model":"m"}`), header...)
			assert.Equal(t, row.status, w.Code, "%s: %s", row.name, w.Body)
			if row.status == 403 {
				assert.Equal(t, "not_admitted", batchError(w))
				assert.Empty(t, s.store.Requests(), row.name)
			}
		}
	}
}
