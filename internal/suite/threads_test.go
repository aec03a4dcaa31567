package suite_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// threadBench is a gateway in front of two providers that hold threads. The first key of
// the first provider is the usual one.
type threadBench struct {
	t      *testing.T
	url    string
	stores map[string]*gatewaytest.Store
}

func newThreadBench(t *testing.T, change func(*aigateway.Config)) *threadBench {
	t.Helper()
	b := &threadBench{t: t, stores: map[string]*gatewaytest.Store{}}
	cfg := testbed.Config(2, "a", "b")
	cfg.InternalEndpoints = map[string]string{}
	cfg.APIKeySelection.Strategy = []string{"'x-key' in req.headers ? [ai.keys[int(req.headers['x-key'][0])]] : ai.keys"}
	for _, id := range []string{"a", "b"} {
		b.stores[id] = &gatewaytest.Store{Name: id}
		up := httptest.NewServer(b.stores[id])
		t.Cleanup(up.Close)
		cfg.InternalEndpoints[id+".internal"] = up.URL
	}
	if change != nil {
		change(&cfg)
	}
	b.url = testbed.Serve(t, cfg)
	return b
}

// send sends a turn, and returns the status, and the id or the code of the answer.
func (b *threadBench) send(model, thread, extra string, header ...string) (status int, word string) {
	b.t.Helper()
	h := http.Header{"Anthropic-Version": {"2023-06-01"}}
	for i := 0; i < len(header); i += 2 {
		h.Set(header[i], header[i+1])
	}
	resp, answer := requestPost(b.t, b.url+"/v1/messages", h,
		fmt.Sprintf(`{"model":%q,"max_tokens":9,"messages":[{"role":"user","content":"hi"}],"thread":%s%s}`, model, thread, extra))
	found := regexp.MustCompile(`"(?:id|error_code)": ?"([^"]+)"`).FindStringSubmatch(answer)
	require.NotNil(b.t, found, answer)
	return resp.StatusCode, found[1]
}

const createThread = `{"type":"create"}`

func continueThread(id string) string {
	return fmt.Sprintf(`{"type":"continue","previous_message_id":%q}`, id)
}

// A thread goes on at the provider and the key that hold it, turn by turn, streamed or not.
func TestThreadsStay(t *testing.T) {
	for name, extra := range map[string]string{"whole": "", "streamed": `,"stream":true`} {
		t.Run(name, func(t *testing.T) {
			b := newThreadBench(t, nil)
			status, id := b.send("b:m", createThread, extra, "X-Key", "1")
			require.Equal(t, http.StatusOK, status)
			assert.Equal(t, "msg_b1", id)
			for want := 2; want < 5; want++ {
				status, id = b.send("m", continueThread(id), extra)
				require.Equal(t, http.StatusOK, status)
				assert.Equal(t, fmt.Sprint("msg_b", want), id)
			}
			assert.Empty(t, b.stores["b"].Strays())
			assert.Empty(t, b.stores["a"].Requests())
		})
	}
}

// An id works only for its caller. In the words of the API, the SDK is told to begin anew.
func TestThreadsOfCallers(t *testing.T) {
	b := newThreadBench(t, func(cfg *aigateway.Config) {
		cfg.Caller = func(r *http.Request) string { return r.Header.Get("X-Caller") }
	})
	_, id := b.send("b:m", createThread, "", "X-Caller", "ann")
	for _, thread := range []string{continueThread(id), continueThread("msg_unknown1"), `{"Previous_Message_ID":"` + id + `"}`} {
		status, code := b.send("m", thread, "", "X-Caller", "bob")
		assert.Equal(t, http.StatusNotFound, status)
		assert.Equal(t, "thread_not_found", code)
	}
	assert.Len(t, b.stores["b"].Requests(), 1)
	assert.Empty(t, b.stores["a"].Requests())
	status, _ := b.send("m", continueThread(id), "", "X-Caller", "ann")
	assert.Equal(t, http.StatusOK, status)
	// Hints about a cache name messages too, and need not be known.
	sent := len(b.stores["a"].Requests())
	resp, _ := requestPost(t, b.url+"/v1/messages", http.Header{"X-Caller": {"bob"}},
		`{"model":"m","max_tokens":9,"messages":[],"diagnostics":{"previous_message_id":"msg_other"}}`)
	assert.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Len(t, b.stores["a"].Requests(), sent+1)
}

// A provider that the request is translated for holds no thread. With nothing else left,
// the SDK is told to go on without one.
func TestThreadsAreNotTranslated(t *testing.T) {
	chat := []aigateway.APISurface{{Format: "openai", Surface: "chat-completions"}}
	b := newThreadBench(t, func(cfg *aigateway.Config) {
		cfg.Providers[0].Translate, cfg.Providers[0].SupportedAPISurfaces = aigateway.TranslateOn, chat
		cfg.Providers[0].Models = append(cfg.Providers[0].Models, aigateway.Model{ID: "chat"})
	})
	for _, thread := range []string{createThread, continueThread("msg_unknown1")} {
		status, code := b.send("chat", thread, "")
		assert.Equal(t, http.StatusBadRequest, status)
		assert.Equal(t, "thread_unsupported_request", code)
	}
	assert.Empty(t, b.stores["a"].Requests())
	_, id := b.send("m", createThread, "")
	assert.Equal(t, "msg_b1", id)
	status, _ := b.send("chat", "null", "")
	assert.Equal(t, http.StatusOK, status)
}
