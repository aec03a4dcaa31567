package suite_test

import (
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

// parts is a gateway in front of p and q, whose model is m. Each request gets the next
// answer.
type parts struct {
	t      *testing.T
	g      *aigateway.Gateway
	answer string
	sent   []string // host and key
}

func openParts(t *testing.T, config string) *parts {
	p := &parts{t: t}
	cfg, err := aigateway.ParseConfig([]byte(config))
	require.NoError(t, err)
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		p.sent = append(p.sent, r.URL.Host+" "+strings.TrimPrefix(r.Header.Get("Authorization"), "Bearer "))
		w := httptest.NewRecorder()
		w.Header().Set("Content-Type", "application/json")
		if strings.HasPrefix(p.answer, "event:") || strings.HasPrefix(p.answer, "data:") {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		w.WriteString(p.answer)
		return w.Result(), nil
	})
	p.g, err = aigateway.New(cfg)
	require.NoError(t, err)
	return p
}

// make has ann make something at p's second key.
func (p *parts) make(path, body, answer string) {
	p.t.Helper()
	p.answer = answer
	w := p.send(path, body, "X-Tenant", "ann", "X-Key", "1", "X-Aigateway-Provider", "p")
	require.Equal(p.t, http.StatusOK, w.Code, w.Body)
	require.Equal(p.t, "p.internal p-two", p.sent[len(p.sent)-1])
}

func (p *parts) send(path, body string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/json")
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	p.g.ServeHTTP(w, r)
	return w
}

// leads has ann use something, which leads to its place, and others use it in vain.
func (p *parts) leads(path, body, answer string) {
	p.t.Helper()
	p.answer = answer
	before := len(p.sent)
	w := p.send(path, body, "X-Tenant", "ann")
	assert.Equal(p.t, http.StatusOK, w.Code, "%s: %s", body, w.Body)
	assert.Equal(p.t, []string{"p.internal p-two"}, p.sent[before:], body)
	p.hidden(path, body)
}

// hidden has others use something of ann's, or what does not exist.
func (p *parts) hidden(path, body string) {
	p.t.Helper()
	before := len(p.sent)
	for _, tenant := range []string{"bob", ""} {
		w := p.send(path, body, "X-Tenant", tenant)
		assert.Equal(p.t, http.StatusNotFound, w.Code, "%s: %s", body, w.Body)
		assert.Contains(p.t, w.Body.String(), "id_not_found")
	}
	assert.Len(p.t, p.sent, before, "nothing is sent")
}

const (
	plainResponse = `{"id":"resp_9","status":"completed","output":[{"type":"message","role":"assistant","content":[{"type":"output_text","text":"hi"}]}]}`
	itemResponse  = `{"id":"resp_1","status":"completed","output":[{"type":"message","id":"msg_1","role":"assistant","content":[{"type":"output_text","text":"hi"}]},
		{"id":"ig_1","type":"image_generation_call","result":"AAAA"}]}`
)

// An item that a provider stores is its caller's, and a reference to it goes to its
// provider and key.
func TestItemReferences(t *testing.T) {
	uses := []string{
		`{"model":"m","input":[{"type":"item_reference","id":"msg_1"},{"role":"user","content":"more"}]}`,
		`{"model":"m","input":[{"id":"msg_1"}]}`,
		`{"model":"m","input":[{"id":"msg_1","type":null}]}`,
		`{"model":"m","input":[{"id":"msg_1","t\u0079pe":"item\u005freference","role":"user"}]}`,
		`{"model":"m","input":[{"type":"image_generation_call","id":"ig_1"}]}`,
		`{"model":"m","input":[{"type":"image_generation_call","id":"ig_1","result":"BBBB","result":null}]}`,
	}
	long := strings.Repeat("x", 1<<20+1<<19)
	stream := "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{\"id\":\"resp_1\",\"status\":\"in_progress\"}}\n\n"
	for _, item := range []string{`{"type":"message","id":"msg_1"}`, `{"id":"ig_1","type":"image_generation_call"}`} {
		stream += "event: response.output_item.done\ndata: {\"type\":\"response.output_item.done\",\"item\":" + item + "}\n\n"
	}
	stream += "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"resp_1\",\"status\":\"completed\"}}\n\n"
	for name, row := range map[string]struct{ body, answer string }{
		"an answer":       {`{"model":"m","input":"hi"}`, itemResponse},
		"a large answer":  {`{"model":"m","input":"hi"}`, strings.Replace(itemResponse, "AAAA", long, 1)},
		"a stream":        {`{"model":"m","input":"hi","stream":true}`, stream},
		"in conversation": {`{"model":"m","input":"hi","store":true}`, itemResponse},
	} {
		t.Run(name, func(t *testing.T) {
			p := openParts(t, fmt.Sprintf(idsConfig, "m"))
			p.make("/v1/responses", row.body, row.answer)
			for _, use := range uses {
				p.leads("/v1/responses", use, plainResponse)
			}
			p.leads("/v1/conversations", `{"items":[{"type":"item_reference","id":"msg_1"}]}`, `{"id":"conv_1"}`)
		})
	}
	t.Run("of a conversation", func(t *testing.T) {
		p := openParts(t, fmt.Sprintf(idsConfig, "m"))
		p.make("/v1/conversations", `{}`, `{"id":"conv_1"}`)
		p.make("/v1/conversations/conv_1/items", `{"items":[{"role":"user","content":"hi"}]}`, `{"object":"list","data":[{"type":"message","id":"msg_1"},{"id":"ig_1"}]}`)
		for _, use := range uses {
			p.leads("/v1/responses", use, plainResponse)
		}
	})
	t.Run("not stored", func(t *testing.T) {
		p := openParts(t, fmt.Sprintf(idsConfig, "m"))
		p.make("/v1/responses", `{"model":"m","input":"hi","store":false}`, itemResponse)
		w := p.send("/v1/responses", uses[0], "X-Tenant", "ann")
		assert.Equal(t, http.StatusNotFound, w.Code)
	})
	t.Run("whole items are not references", func(t *testing.T) {
		p := openParts(t, fmt.Sprintf(idsConfig, "m"))
		p.answer = plainResponse
		for _, item := range []string{
			`{"type":"message","id":"msg_7","role":"assistant","content":[{"type":"output_text","text":"hi"}]}`,
			`{"role":"user","id":"msg_7","content":"hi"}`, `{"type":"reasoning","id":"rs_7","summary":[]}`,
			`{"type":"function_call","id":"fc_7","call_id":"call_7","name":"f","arguments":"{}"}`,
			`{"type":"image_generation_call","id":"ig_7","result":"AAAA"}`, `{}`, `"text"`,
		} {
			w := p.send("/v1/responses", `{"model":"m","input":[`+item+`]}`, "X-Tenant", "bob")
			assert.Equal(t, http.StatusOK, w.Code, "%s: %s", item, w.Body)
		}
	})
	t.Run("without callers", func(t *testing.T) {
		config, _, _ := strings.Cut(fmt.Sprintf(idsConfig, "m"), "caller:")
		p := openParts(t, config)
		p.make("/v1/responses", `{"model":"m","input":"hi"}`, itemResponse)
		p.answer = plainResponse
		assert.Equal(t, http.StatusOK, p.send("/v1/responses", uses[0]).Code)
		assert.Equal(t, "p.internal p-two", p.sent[len(p.sent)-1], "it leads to its place")
		assert.Equal(t, http.StatusOK, p.send("/v1/responses", strings.Replace(uses[0], "msg_1", "msg_unknown", 1)).Code)
	})
}

// A container that a tool names is reached where it is, only by its caller. One that the
// client's history tells of must be the caller's too, and decides nothing else.
func TestContainerIDs(t *testing.T) {
	p := openParts(t, fmt.Sprintf(idsConfig, "m"))
	call := `{"type":"code_interpreter_call","id":"ci_1","container_id":"cntr_1","code":"1"}`
	p.make("/v1/responses", `{"model":"m","input":"hi","store":false}`, `{"id":"resp_1","status":"completed","output":[`+call+`]}`)
	p.leads("/v1/responses", `{"model":"m","input":"a","tools":[{"type":"shell","environment":{"type":"container_reference","container_id":"cntr_1"}}]}`, plainResponse)

	past := `{"model":"m","input":[` + call + `],"tools":[{"type":"code_interpreter","container":{"type":"auto"}}]}`
	p.hidden("/v1/responses", past)
	w := p.send("/v1/responses", past, "X-Tenant", "ann", "X-Aigateway-Provider", "q")
	assert.Equal(t, http.StatusOK, w.Code, w.Body)
	assert.Equal(t, "q.internal q-one", p.sent[len(p.sent)-1])
}

// What a chat model has said aloud stays at its provider for an hour, and is its caller's.
func TestAudioIDs(t *testing.T) {
	const asks = `{"model":"m","modalities":["text","audio"],"audio":{"voice":"alloy","format":"wav"},"messages":[]%s}`
	const plain = `{"choices":[{"index":0,"message":{"role":"assistant","content":"hi"},"finish_reason":"stop"}]}`
	use := `{"model":"m","messages":[{"role":"assistant","audio":{"id":"audio_1"}},{"role":"user","content":"more"}]}`
	for name, row := range map[string]struct{ body, answer string }{
		"an answer": {fmt.Sprintf(asks, ""), `{"choices":[{"index":0,"message":{"role":"assistant","content":null,"audio":{"data":"AAAA","id":"audio_1","transcript":"hi"}},"finish_reason":"stop"}]}`},
		"a stream": {fmt.Sprintf(asks, `,"stream":true`), "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\",\"audio\":{\"id\":\"audio_1\",\"transcript\":\"hi\"}}}]}\n\n" +
			"data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n"},
	} {
		t.Run(name, func(t *testing.T) {
			p := openParts(t, fmt.Sprintf(idsConfig, "m"))
			p.make("/v1/chat/completions", row.body, row.answer)
			p.leads("/v1/chat/completions", use, plain)
			for _, other := range []string{fmt.Sprintf(asks, ""), `{"model":"m","audio":"https://a.example/b.wav","messages":[]}`} {
				assert.Equal(t, http.StatusOK, p.send("/v1/chat/completions", other, "X-Tenant", "bob").Code, "a voice or a sound is not an id")
			}
		})
	}
}
