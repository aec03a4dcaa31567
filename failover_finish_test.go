package aigateway_test

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// finishSteps streams texts, and pauses for durations between them.
func finishSteps(steps ...any) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		gatewaytest.StartStream(w)
		for _, step := range steps {
			pause, ok := step.(time.Duration)
			if !ok {
				gatewaytest.Send(w, step.(string))
				continue
			}
			select {
			case <-time.After(pause):
			case <-r.Context().Done():
				return
			}
		}
	}
}

// finishChoice is the only chunk of a choice of a legacy completion.
func finishChoice(index int, text string) string {
	return fmt.Sprintf("data: {\"choices\":[{\"index\":%d,\"text\":%q,\"finish_reason\":\"stop\"}]}\n\n", index, text)
}

// After a finish reason two seconds of silence end the answer, and nothing else
// does: what still comes is the client's, and half an event is no end.
func TestStreamAfterFinish(t *testing.T) {
	const usage = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":9,\"completion_tokens\":3}}\n\n"
	const chat, legacy = "/v1/chat/completions", "/v1/completions"
	var eager []any // a finish reason in each of its chunks
	for range 10 {
		eager = append(eager, "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"w\"},\"finish_reason\":\"stop\"}]}\n\n", 500*time.Millisecond)
	}
	var pinged []any // nothing but comments
	for range 20 {
		pinged = append(pinged, 500*time.Millisecond, ": ping\n\n")
	}
	var pings []any // events that say nothing
	for range 20 {
		pings = append(pings, 500*time.Millisecond, "event: ping\ndata: {}\n\n")
	}
	const two = `{"model":"m","stream":true,"n":2,"messages":[]}`
	both := "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"},{\"index\":1,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
	tests := []struct {
		name, path, body string
		cfg              func(*aigateway.Config)
		steps            []any
		want             string // of the answer's end
		took             time.Duration
		broken           bool
	}{
		{name: "a finish reason in each chunk", path: chat, steps: append(eager, gatewaytest.ChatDone), want: gatewaytest.ChatDone, took: 5 * time.Second},
		{name: "usage and end come late", path: chat, want: gatewaytest.ChatDone, took: 3 * time.Second,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, 1500 * time.Millisecond, usage, 1500 * time.Millisecond, gatewaytest.ChatDone}},
		{name: "silence", path: chat, want: usage, took: 3500 * time.Millisecond,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, 1500 * time.Millisecond, usage, time.Hour}},
		{name: "comments are silence", path: chat, want: ": ping\n\n", took: 2 * time.Second,
			steps: append([]any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop}, pinged...)},
		{name: "a timeout that is shorter", path: chat, want: gatewaytest.ChatStop, took: time.Second,
			cfg: func(c *aigateway.Config) { c.PerRequestTimeout = "1s" }, steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, time.Hour}},
		{name: "pings are silence", path: chat, want: "data: {}\n\n", took: 2 * time.Second,
			steps: append([]any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop}, pings...)},
		{name: "an end without its blank line", path: chat, want: "data: [DONE]\n", took: 2 * time.Second,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, "data: [DONE]\n", time.Hour}},
		{name: "an end without its line end", path: chat, want: "data: [DONE]", took: 2 * time.Second,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, "data: [DONE]", time.Hour}},
		{name: "silent within a comment", path: chat, want: ": kee", took: 2 * time.Second,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, ": kee", time.Hour}},
		{name: "two choices end in one chunk", path: chat, body: two, want: both, took: 2 * time.Second,
			steps: []any{gatewaytest.ChatDelta("x"), both, time.Hour}},
		{name: "a choice ends twice", path: chat, body: two, want: gatewaytest.ChatDone, took: 5 * time.Second,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, gatewaytest.ChatStop, 5 * time.Second, both, gatewaytest.ChatDone}},
		{name: "one choice where two were asked for", path: chat, body: two, want: gatewaytest.ChatStop, took: 3 * time.Minute,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, time.Hour}},
		{name: "silent within an event", path: chat, took: 2 * time.Second, broken: true,
			steps: []any{gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, "data: {\"cho", time.Hour}},
		{name: "several prompts", path: legacy, body: `{"model":"m","stream":true,"prompt":["a","b"]}`, want: gatewaytest.ChatDone, took: 3 * time.Second,
			steps: []any{finishChoice(0, "one"), 3 * time.Second, finishChoice(1, "two"), gatewaytest.ChatDone}},
		{name: "several prompts, all ended", path: legacy, body: `{"model":"m","stream":true,"prompt":["a","b"]}`, want: finishChoice(1, "two"), took: 2 * time.Second,
			steps: []any{finishChoice(0, "one"), finishChoice(1, "two"), time.Hour}},
		{name: "one prompt of tokens", path: legacy, body: `{"model":"m","stream":true,"prompt":[1,2,3]}`, want: finishChoice(0, "one"), took: 2 * time.Second,
			steps: []any{finishChoice(0, "one"), time.Hour}},
		{name: "n of the client's", path: legacy, body: `{"model":"m","stream":true,"n":2,"prompt":"a"}`, want: gatewaytest.ChatDone, took: 3 * time.Second,
			steps: []any{finishChoice(0, "one"), 3 * time.Second, finishChoice(1, "two"), gatewaytest.ChatDone}},
		{name: "n of the config's", path: legacy, body: `{"model":"m","stream":true,"n":1,"prompt":"a"}`, want: gatewaytest.ChatDone, took: 3 * time.Second,
			cfg:   func(c *aigateway.Config) { c.Body = map[string]any{"n": 2} },
			steps: []any{finishChoice(0, "one"), 3 * time.Second, finishChoice(1, "two"), gatewaytest.ChatDone}},
	}
	for _, tt := range tests {
		for _, commit := range []aigateway.StreamCommit{aigateway.CommitFirstContent, aigateway.CommitComplete} {
			t.Run(tt.name+"/"+string(commit), func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					cfg := failoverConfig(0, "a")
					cfg.StreamCommit = commit
					if tt.cfg != nil {
						tt.cfg(&cfg)
					}
					rig := failoverRig(t, cfg, failoverHosts{"a": finishSteps(tt.steps...)}, nil)
					if tt.body == "" {
						tt.body = streamBody
					}
					got := rig.Post(tt.path, tt.body)
					assert.Equal(t, tt.took, got.Took)
					switch {
					case tt.broken && commit == aigateway.CommitComplete:
						assert.Equal(t, 503, got.Status, got.Body)
					case tt.broken:
						assert.Error(t, got.Err)
					default:
						require.NoError(t, got.Err)
						assert.True(t, strings.HasSuffix(got.Body, tt.want), got.Body)
					}
				})
			})
		}
	}
}

// A client that does not read for a while does not make its upstream silent.
func TestStreamAfterFinishToPausingClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		usage := "data: {\"choices\":[],\"usage\":{},\"filler\":\"" + strings.Repeat("z", 20_000) + "\"}\n\n"
		rig := failoverRig(t, failoverConfig(0, "a"), failoverHosts{"a": finishSteps(
			gatewaytest.ChatDelta("x"), gatewaytest.ChatStop, 10*time.Millisecond, usage, 10*time.Millisecond, gatewaytest.ChatDone)}, nil)
		resp, err := rig.Open(t.Context(), "/v1/chat/completions", streamBody)
		require.NoError(t, err)
		defer resp.Body.Close()
		in := bufio.NewReaderSize(resp.Body, 16)
		for line := ""; !strings.Contains(line, "stop"); {
			line, err = in.ReadString('\n')
			require.NoError(t, err)
		}
		pass(3 * time.Second)
		rest, err := io.ReadAll(in)
		require.NoError(t, err)
		assert.True(t, strings.HasSuffix(string(rest), usage+gatewaytest.ChatDone), "%d bytes", len(rest))
	})
}
