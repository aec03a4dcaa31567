package suite_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// The lines of a chat stream, without their ends.
const (
	sseRole  = `data: {"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}]}`
	sseText  = `data: {"choices":[{"index":0,"delta":{"content":"h\u00e9 ✓ 🦜"},"finish_reason":null}],"x":0.70}`
	sseStop  = `data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}`
	sseUsage = `data: {"choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3}}`
	sseDone  = `data: [DONE]`
)

// TestSSEAsFound: however a provider writes its events, and in whatever pieces
// they arrive, the client gets the same bytes, and the gateway understands them:
// it finds the end of the stream and the usage in it.
func TestSSEAsFound(t *testing.T) {
	lines := func(end string, events ...string) string {
		return strings.Join(events, end+end) + end + end
	}
	plain := []string{sseRole, sseText, sseUsage, sseStop, sseDone}
	dense := strings.ReplaceAll(lines("\n", plain...), "data: ", "data:")
	several := "data: {\"choices\":\ndata: [{\"delta\":\ndata:{\"content\":\"hi\"}}]}\n\n"
	huge := `data: {"choices":[{"delta":{"content":"` + strings.Repeat("0123456789abcdef", 2<<20/16) + `"}}],"usage":{"prompt_tokens":9,"completion_tokens":3}}`
	for _, tt := range []struct {
		name, sent string
		large      bool // too large to go in single bytes
		gzip       bool
	}{
		{name: "LF", sent: lines("\n", plain...)},
		{name: "CRLF", sent: lines("\r\n", plain...)},
		{name: "CR", sent: lines("\r", plain...)},
		{name: "line ends of all kinds", sent: sseRole + "\r\n\n" + sseText + "\r\r\n" + sseUsage + "\n\r" + sseStop + "\n\n" + sseDone + "\r\r"},
		{name: "no space after the colon", sent: dense},
		{name: "two spaces after the colon", sent: strings.ReplaceAll(lines("\n", plain...), "data: ", "data:  ")},
		{name: "comments", sent: ": OPENROUTER PROCESSING\n\n:\n" + sseRole + "\n: within an event\n\n:a\n\n" + lines("\n", plain[1:]...) + ": bye\n\n"},
		{name: "several data lines", sent: several + lines("\n", sseUsage, sseStop, sseDone)},
		{name: "several data lines, CRLF", sent: strings.ReplaceAll(several, "\n", "\r\n") + lines("\r\n", sseUsage, sseStop, sseDone)},
		{name: "other fields", sent: "retry: 3000\n\nid: 1\nevent: completion\nfoo\n" + lines("\n", plain...)},
		{name: "blank lines", sent: "\n\n\n" + lines("\n\n", plain...) + "\n"},
		{name: "a byte order mark", sent: "\ufeff" + lines("\n", sseUsage, sseText, sseStop, sseDone)},
		{name: "no [DONE]", sent: lines("\n", plain[:4]...)},
		{name: "no [DONE], usage last", sent: lines("\n", sseRole, sseText, sseStop, sseUsage)},
		{name: "no blank line at the end", sent: strings.TrimRight(lines("\n", plain...), "\n")},
		{name: "one line end at the end", sent: strings.TrimSuffix(lines("\n", plain...), "\n")},
		{name: "bytes after the end", sent: lines("\n", plain...) + ": trailing\n\n"},
		{name: "an event of 2 MB", sent: lines("\n", sseRole, huge, sseStop, sseDone), large: true},
		{name: "an event of 2 MB first", sent: lines("\r\n", huge, sseStop, sseDone), large: true},
		{name: "many events", sent: strings.Repeat(sseText+"\n\n", 500) + lines("\n", sseUsage, sseStop, sseDone), large: true},
		{name: "gzip", sent: lines("\n", plain...), gzip: true},
		{name: "gzip, CRLF, no [DONE]", sent: lines("\r\n", plain[:4]...), gzip: true},
		{name: "gzip of 2 MB", sent: lines("\n", sseRole, huge, sseStop, sseDone), gzip: true},
	} {
		sent, random := []byte(tt.sent), rand.New(rand.NewPCG(1, uint64(len(tt.sent))))
		if tt.gzip {
			sent = sseGzip(t, sent)
		}
		// Bytes after the end are awaited only briefly, see TestSSELate. They go
		// in one piece, so that a busy machine makes no difference.
		end := max(bytes.LastIndex(sent, []byte("[DONE]")), len(sent)-64)
		for _, c := range []struct {
			name string
			size func() int
		}{
			{"whole", func() int { return end }},
			{"single bytes", func() int { return 1 }},
			{"pieces", func() int { return 1 + random.IntN(40) }},
			{"large pieces", func() int { return 1 + random.IntN(100_000) }},
		} {
			if tt.large && (c.name == "single bytes" || c.name == "pieces") {
				continue
			}
			t.Run(tt.name+"/"+c.name, func(t *testing.T) {
				header, got, res := sseRelay(t, tt.gzip, func(send func(piece []byte)) {
					for at := 0; at < end; {
						n := min(c.size(), end-at)
						send(sent[at : at+n])
						at += n
					}
					send(sent[end:])
				})
				assert.True(t, bytes.Equal(sent, got), "sent %d bytes, got %d", len(sent), len(got))
				if tt.gzip {
					assert.Equal(t, "gzip", header.Get("Content-Encoding"))
				}
				assert.Equal(t, aigateway.StatusSuccess, res.Status, res.Error)
				assert.Equal(t, []int64{9, 3}, []int64{res.InputTokens, res.OutputTokens})
			})
		}
	}
}

// TestSSELate: bytes shortly after the end still reach the client. A provider
// that goes on for ever is not awaited, and is not an error.
func TestSSELate(t *testing.T) {
	front := sseText + "\n\n" + sseUsage + "\n\n" + sseStop + "\n\n" + sseDone
	for _, tt := range []struct {
		name string
		late []string
	}{
		{"the blank line", []string{"\n", "\n"}},
		{"the blank line in CRLF", []string{"\r", "\n\r", "\n"}},
		{"a comment", []string{"\n\n", ": x\n", "\n"}},
		{"an event of no consequence", []string{"\n\n", sseUsage + "\n", "\n"}},
		{"half of an event", []string{"\n\n", "data: {"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a")
				results := requestResults(&cfg)
				// The upstream stays silent after the last piece, and its connection open.
				pieces := append([]string{front}, tt.late...)
				harness := testbed.Start(t, cfg, testbed.Hosts{"a": gatewaytest.SlowEvents(10*time.Millisecond, pieces...)}, nil)
				got := harness.Post("/v1/chat/completions", testbed.StreamRequest)
				require.NoError(t, got.Err)
				assert.Equal(t, strings.Join(pieces, ""), got.Body)
				assert.Less(t, got.Took, 200*time.Millisecond)
				res := <-results
				assert.Equal(t, aigateway.StatusSuccess, res.Status, res.Error)
				assert.Equal(t, []int64{9, 3}, []int64{res.InputTokens, res.OutputTokens})
			})
		})
	}
}

// TestSSENotWhole: a lookalike of an end marker is not an end, in any spelling.
func TestSSENotWhole(t *testing.T) {
	for _, tt := range []struct{ name, sent string }{
		{"no finish reason", sseText + "\n\n" + sseUsage + "\n\n"},
		{"the end in a comment", sseText + "\n\n:" + sseDone + "\n\n"},
		{"the end under another field", sseText + "\n\nid: [DONE]\n\n"},
		{"the end in the text", sseText + "\n\n" + strings.Replace(sseText, "h\\u00e9", "data: [DONE]\\n\\n", 1) + "\n\n"},
		{"the end in one of two lines", sseText + "\n\n" + sseDone + "\ndata: x\n\n"},
		{"half of an end", sseText + "\n\ndata: [DON"},
		{"half of a finish reason", sseText + "\n\n" + sseStop[:len(sseStop)-2]},
	} {
		for _, end := range []string{"\n", "\r\n"} {
			t.Run(fmt.Sprintf("%s, %q", tt.name, end), func(t *testing.T) {
				sent := strings.ReplaceAll(tt.sent, "\n", end)
				_, got, res := sseRelay(t, false, func(send func(piece []byte)) { send([]byte(sent)) })
				assert.True(t, bytes.HasPrefix(got, []byte(sent)), "%q", got)
				require.NotNil(t, res.Error)
				assert.Equal(t, aigateway.CodeStreamBroken, res.Error.Code)
			})
		}
	}
}

// sseRelay lets a provider send a stream piece by piece, each flushed, and
// returns the client's answer.
func sseRelay(t *testing.T, compressed bool, script func(send func(piece []byte))) (http.Header, []byte, *aigateway.Result) {
	t.Helper()
	up := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
		if compressed {
			w.Header().Set("Content-Encoding", "gzip")
		}
		gatewaytest.StartStream(w)
		script(func(piece []byte) { gatewaytest.Send(w, string(piece)) })
	})
	_, cfg := requestProvider(t)
	cfg.InternalEndpoints = map[string]string{"p.internal": up.URL}
	results := requestResults(&cfg)
	url := testbed.Serve(t, cfg)
	transport := &http.Transport{DisableCompression: true}
	t.Cleanup(transport.CloseIdleConnections)
	resp, err := (&http.Client{Transport: transport}).Post(url+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"m","stream":true}`))
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, http.StatusOK, resp.StatusCode)
	assert.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	got, _ := io.ReadAll(resp.Body)
	return resp.Header, got, <-results
}

// sseGzip compresses a stream, with a flush after each event.
func sseGzip(t *testing.T, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	for event := range bytes.SplitAfterSeq(plain, []byte("\n\n")) {
		_, err := w.Write(event)
		require.NoError(t, err)
		require.NoError(t, w.Flush())
	}
	require.NoError(t, w.Close())
	return b.Bytes()
}
