package suite_test

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// fieldWire are answers as they stand on the wire, for all that net/http alone does
// not decide. An answer goes on with its body, or it is a failed attempt.
func fieldWire() []struct {
	name, raw string
	request   string // ChatRequest if empty
	path      string // of chat if empty
	want      string // the client's body, decoded; empty for a failed attempt
} {
	const (
		asJSON = "Content-Type: application/json\r\n"
		whole  = `{"choices":[{"index":0,"message":{"role":"assistant","content":"from a"},"finish_reason":"stop"}]}`
		boom   = `{"error":{"message":"boom"}}`
		mark   = "\ufeff"
		gz     = "Content-Encoding: gzip\r\n"
	)
	long := `{"choices":[{"index":0,"message":{"role":"assistant","content":"` + strings.Repeat("x", 2<<20) + `"},"finish_reason":"stop"}]}`
	zip := func(s string) string {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		io.WriteString(w, s)
		w.Close()
		return b.String()
	}
	answer := func(status, lines, body string) string {
		return fmt.Sprintf("HTTP/1.1 %s\r\n%sContent-Length: %d\r\n\r\n%s", status, lines, len(body), body)
	}
	stream := gatewaytest.ChatDelta("from a") + gatewaytest.ChatStop + gatewaytest.ChatDone
	chunked := func(lines, trailer, body string) string {
		return fmt.Sprintf("HTTP/1.1 200 OK\r\n%sTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n%s\r\n", lines, len(body), body, trailer)
	}
	return []struct{ name, raw, request, path, want string }{
		// Content codings: the lines of a list are one list (RFC 9110, section 5.3).
		{name: "two codings in one line", raw: answer("200 OK", asJSON+"Content-Encoding: gzip, gzip\r\n", zip(zip(whole))), want: whole},
		{name: "two codings in two lines", raw: answer("200 OK", asJSON+gz+gz, zip(zip(whole))), want: whole},
		{name: "two codings in two lines, an error", raw: answer("200 OK", asJSON+gz+gz, zip(zip(boom)))},
		{name: "two codings in two lines, long", raw: answer("200 OK", asJSON+gz+gz, zip(zip(long))), want: long},
		{name: "two codings in two lines, cut", raw: answer("200 OK", asJSON+gz+gz, zip(zip(whole)[:40]))},
		{name: "identity before gzip", raw: answer("200 OK", asJSON+"Content-Encoding: identity\r\n"+gz, zip(whole)), want: whole},
		{name: "identity before gzip, an error", raw: answer("200 OK", asJSON+"Content-Encoding: identity\r\n"+gz, zip(boom))},
		{name: "an empty line before gzip", raw: answer("200 OK", asJSON+"Content-Encoding:\r\n"+gz, zip(whole)), want: whole},
		{name: "a stream in two codings", request: testbed.StreamRequest, raw: answer("200 OK", "Content-Type: text/event-stream\r\n"+gz+gz, zip(zip(stream))), want: stream},
		{name: "a stream in two codings, half", request: testbed.StreamRequest, raw: answer("200 OK", "Content-Type: text/event-stream\r\n"+gz+gz, zip(zip(gatewaytest.ChatRole)))},
		{name: "gzip without a word", raw: answer("200 OK", asJSON, zip(whole))},
		{name: "gzip said of plain bytes", raw: answer("200 OK", asJSON+gz, whole)},
		// Names that are not of codings change no byte.
		{name: "utf-8 as a coding", raw: answer("200 OK", asJSON+"Content-Encoding: UTF-8\r\n", whole), want: whole},
		{name: "utf-8 as a coding, an error", raw: answer("200 OK", asJSON+"Content-Encoding: utf-8\r\n", boom)},
		{name: "none as a coding, an error", raw: answer("200 OK", asJSON+"Content-Encoding: none\r\n", boom)},
		{name: "utf-8 as a coding, a stream's error", request: testbed.StreamRequest, raw: answer("200 OK", "Content-Type: text/event-stream\r\nContent-Encoding: utf8\r\n", "data: "+boom+"\n\n")},
		// A byte order mark is not a part of JSON.
		{name: "a byte order mark", raw: answer("200 OK", asJSON, mark+whole), want: whole},
		{name: "a byte order mark, chunked", raw: chunked(asJSON, "", mark+whole), want: whole},
		{name: "a byte order mark, long", raw: answer("200 OK", asJSON, mark+long), want: long},
		{name: "a byte order mark, an error", raw: answer("200 OK", asJSON, mark+boom)},
		{name: "a byte order mark alone", raw: answer("200 OK", asJSON, mark)},
		{name: "two byte order marks", raw: answer("200 OK", asJSON, mark+mark+whole)},
		{name: "a byte order mark of a subtitle file", path: "/v1/audio/transcriptions", raw: answer("200 OK", "Content-Type: text/vtt\r\n", mark+"WEBVTT\n"), want: mark + "WEBVTT\n"},
		// A part of an answer is asked for with Range, or it is half of one.
		{name: "206", raw: answer("206 Partial Content", asJSON+"Content-Range: bytes 0-97/9999\r\n", whole)},
		{name: "206 of a sound", path: "/v1/audio/speech", raw: answer("206 Partial Content", "Content-Type: audio/mpeg\r\nContent-Range: bytes 0-1/9999\r\n", "so")},
		// The rest of HTTP.
		{name: "103 before 200", raw: "HTTP/1.1 103 Early Hints\r\nLink: </x>; rel=preload\r\n\r\n" + answer("200 OK", asJSON, whole), want: whole},
		{name: "203", raw: answer("203 Non-Authoritative Information", asJSON, whole), want: whole},
		{name: "204", raw: "HTTP/1.1 204 No Content\r\n\r\n"},
		{name: "205", raw: answer("205 Reset Content", "", "")},
		{name: "304", raw: "HTTP/1.1 304 Not Modified\r\nETag: \"x\"\r\n\r\n"},
		{name: "307", raw: answer("307 Temporary Redirect", "Location: https://elsewhere.example/\r\n", "")},
		{name: "101 unasked", raw: "HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\nConnection: upgrade\r\n\r\n"},
		{name: "HTTP/1.0, ended by its connection", raw: "HTTP/1.0 200 OK\r\n" + asJSON + "\r\n" + whole, want: whole},
		{name: "HTTP/1.0, half", raw: "HTTP/1.0 200 OK\r\n" + asJSON + "\r\n" + whole[:50]},
		{name: "a length and chunks", raw: "HTTP/1.1 200 OK\r\n" + asJSON + "Content-Length: 3\r\n" + strings.TrimPrefix(chunked("", "", whole), "HTTP/1.1 200 OK\r\n"), want: whole},
		{name: "two lengths", raw: answer("200 OK", asJSON+"Content-Length: 3\r\n", whole)},
		{name: "a length too short", raw: "HTTP/1.1 200 OK\r\n" + asJSON + "Content-Length: 50\r\n\r\n" + whole[:50]},
		{name: "a length too long", raw: "HTTP/1.1 200 OK\r\n" + asJSON + "Content-Length: 999\r\n\r\n" + whole},
		{name: "no last chunk", raw: strings.TrimSuffix(chunked(asJSON, "", whole), "0\r\n\r\n")},
		{name: "transfer gzip", raw: "HTTP/1.1 200 OK\r\n" + asJSON + "Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n"},
		{name: "trailers", raw: chunked(asJSON, "X-Accel-Redirect: /etc/passwd\r\nSet-Cookie: a=b\r\n", whole), want: whole},
		{name: "two documents", raw: answer("200 OK", asJSON, whole+whole)},
		{name: "HTML under JSON's type", raw: answer("200 OK", asJSON, "<html>Sign in</html>")},
		{name: "TLS in place of HTTP", raw: "\x15\x03\x01\x00\x02\x02\x46"},
	}
}

// TestFieldWire sends each answer of fieldWire over a socket. The next provider
// answers where it is none.
func TestFieldWire(t *testing.T) {
	for _, tt := range fieldWire() {
		t.Run(tt.name, func(t *testing.T) {
			path, request := tt.path, tt.request
			if path == "" {
				path = fieldChat
			}
			if request == "" {
				request = testbed.ChatRequest
			}
			a, b := gatewaytest.NewUpstream(t, gatewaytest.RawBytes(tt.raw)), gatewaytest.NewUpstream(t, gatewaytest.Content("application/json", gatewaytest.LeastAnswer(path, "from b", "")))
			cfg := testbed.Config(1, "a", "b")
			cfg.InternalEndpoints = map[string]string{"a.internal": a.URL, "b.internal": b.URL}
			resp, body := requestPost(t, testbed.Serve(t, cfg)+path, http.Header{"Accept-Encoding": {"gzip"}}, request)
			if tt.want == "" {
				assert.Equal(t, http.StatusOK, resp.StatusCode)
				assert.Equal(t, gatewaytest.LeastAnswer(path, "from b", ""), body)
				return
			}
			for range strings.Count(strings.Join(resp.Header["Content-Encoding"], ","), "gzip") {
				r, err := gzip.NewReader(strings.NewReader(body))
				require.NoError(t, err)
				plain, err := io.ReadAll(r)
				require.NoError(t, err)
				body = string(plain)
			}
			assert.True(t, tt.want == body, "%.200q", body)
			assert.Empty(t, resp.Trailer)
		})
	}
}
