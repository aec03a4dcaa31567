package suite_test

import (
	"bufio"
	"cmp"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// headersValues are valid values for headers with a syntax.
var headersValues = map[string]string{
	"Content-Type":            "application/json; charset=utf-8",
	"Content-Encoding":        "identity",
	"Content-Length":          "41", // which is the length of headersBody
	"Connection":              "Named-By-Connection",
	"Transfer-Encoding":       "chunked",
	"Trailer":                 "X-Checksum",
	"Te":                      "trailers",
	"Authorization":           "Bearer theirs",
	"Accept-Encoding":         "gzip",
	"Retry-After":             "3",
	"Retry-After-Ms":          "2500",
	"Access-Control-Any":      "x",
	"Proxy-Any":               "x",
	"Anthropic-Version":       "2023-06-01",
	"Date":                    "Mon, 02 Jan 2006 15:04:05 GMT",
	"X-Ratelimit-Any":         "59",
	"Anthropic-Ratelimit-Any": "9",
}

// headersBody is a request's body and an answer's alike.
const headersBody = `{"model":"m","choices":[{"message":{}}]}` + "\n"

// TestRequestHeaderTable sends each header of the README's first table by
// itself, and compares the provider's header of that name.
func TestRequestHeaderTable(t *testing.T) {
	up, cfg := requestProvider(t)
	cfg.ForwardHeaders = []string{"X-Tenant"}
	seen := make(chan *http.Request, 100)
	recorder := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		up.ServeHTTP(w, r)
		seen <- r
	}))
	t.Cleanup(recorder.Close)
	cfg.InternalEndpoints = map[string]string{"p.internal": recorder.URL}
	url := testbed.Serve(t, cfg)
	rows := headersTable(t, "request header")
	for _, row := range rows {
		t.Run(row.name, func(t *testing.T) {
			value := headersValue(row.name)
			lines := row.name + ": " + value + "\r\n"
			body := headersBody
			switch row.name {
			case "Transfer-Encoding":
				body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(headersBody), headersBody)
			case "Trailer":
				body = fmt.Sprintf("%x\r\n%s\r\n0\r\nX-Checksum: 1\r\n\r\n", len(headersBody), headersBody)
				lines += "Transfer-Encoding: chunked\r\n"
			case "Named-By-Connection":
				lines += "Connection: " + row.name + "\r\n"
			case "Connection":
				lines += value + ": 1\r\n"
			}
			if !strings.Contains(lines, "Transfer-Encoding:") && row.name != "Content-Length" {
				lines += fmt.Sprintf("Content-Length: %d\r\n", len(headersBody))
			}
			conn, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			require.NoError(t, err)
			defer conn.Close()
			fmt.Fprintf(conn, "POST /v1/chat/completions HTTP/1.1\r\nHost: gateway\r\n%s\r\n%s", lines, body)
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			require.NoError(t, err)
			defer resp.Body.Close()
			require.Equal(t, http.StatusOK, resp.StatusCode)

			r := <-seen
			got := r.Header.Values(row.name)
			switch row.name { // which net/http keeps elsewhere
			case "Transfer-Encoding":
				got = r.TransferEncoding
			case "Trailer":
				got = nil
				for name := range r.Trailer {
					got = append(got, name)
				}
			}
			switch row.does {
			case "passes":
				assert.Equal(t, []string{value}, got)
			case "stays":
				assert.Empty(t, got)
			case "replaced":
				assert.Equal(t, []string{"Bearer sk-of-p"}, got)
			default:
				assert.Equal(t, []string{strings.Trim(row.does, "`")}, got)
			}
			assert.NotContains(t, fmt.Sprint(r.Header), "theirs", "a client's credential")
			assert.Equal(t, []string{"Bearer sk-of-p"}, r.Header["Authorization"])
			assert.Empty(t, r.Header["Named-By-Connection"])
		})
	}
}

// TestResponseHeaderTable does so for the second table, with each kind of answer.
func TestResponseHeaderTable(t *testing.T) {
	for _, answer := range []struct{ name, status, kind, body string }{
		{"JSON", "200 OK", "application/json", headersBody},
		{"an error", "400 Bad Request", "application/json", headersBody},
		{"a stream", "200 OK", "text/event-stream", sseText + "\n\n" + sseStop + "\n\n" + sseDone + "\n\n"},
	} {
		request := `{"model":"m"}`
		if answer.kind == "text/event-stream" {
			request = `{"model":"m","stream":true}`
		}
		for _, row := range headersTable(t, "response header") {
			t.Run(row.name+"/"+answer.name, func(t *testing.T) {
				value := headersValue(row.name)
				lines := row.name + ": " + value + "\r\n"
				body := answer.body
				switch row.name {
				case "Content-Type":
					value = answer.kind + "; charset=utf-8"
					lines = row.name + ": " + value + "\r\n"
				case "Content-Length":
					value = fmt.Sprint(len(body))
					lines = row.name + ": " + value + "\r\n"
				case "Transfer-Encoding":
					body = fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body)
				case "Trailer":
					body = fmt.Sprintf("%x\r\n%s\r\n0\r\nX-Checksum: 1\r\n\r\n", len(body), body)
					lines += "Transfer-Encoding: chunked\r\n"
				case "Named-By-Connection":
					lines += "Connection: " + row.name + "\r\n"
				case "Connection":
					lines += value + ": 1\r\n"
				}
				if row.name != "Content-Type" {
					lines += "Content-Type: " + answer.kind + "\r\n"
				}
				if !strings.Contains(lines, "Transfer-Encoding:") && row.name != "Content-Length" {
					lines += fmt.Sprintf("Content-Length: %d\r\n", len(body))
				}
				up := gatewaytest.NewUpstream(t, gatewaytest.RawBytes("HTTP/1.1 "+answer.status+"\r\n"+lines+"\r\n"+body))
				_, cfg := requestProvider(t)
				cfg.InternalEndpoints = map[string]string{"p.internal": up.URL}
				resp, got := requestPost(t, testbed.Serve(t, cfg)+"/v1/chat/completions", http.Header{"Accept-Encoding": {"identity"}}, request)
				assert.Equal(t, answer.status, resp.Status)
				assert.Equal(t, answer.body, got)

				values := resp.Header.Values(row.name)
				if row.name == "Trailer" {
					for name := range resp.Trailer {
						values = append(values, name)
					}
				}
				passes := row.does == "passes"
				if row.name == "Content-Length" && answer.kind == "text/event-stream" {
					passes = false // "of a whole answer"
				}
				if passes {
					assert.Equal(t, []string{value}, values)
				} else {
					assert.Empty(t, values)
				}
				assert.Empty(t, resp.Header["Named-By-Connection"])
			})
		}
	}
}

// headersRow is the README's row about one header.
type headersRow struct {
	name string
	// does is "passes", "stays", "replaced" (by the provider's key), or the
	// value for the provider.
	does string
}

// headersTable reads the README's table with that title in its first column. A
// row may list several headers; "*" in a name stands for any text.
func headersTable(t *testing.T, title string) []headersRow {
	t.Helper()
	readme, err := os.ReadFile("../../docs/headers.md")
	require.NoError(t, err)
	_, table, ok := strings.Cut(string(readme), "\n| "+title+" |")
	require.True(t, ok, "docs/headers.md has no such table")
	table, _, _ = strings.Cut(table, "\n\n")
	var rows []headersRow
	for _, line := range strings.Split(table, "\n")[2:] {
		cells := strings.Split(line, "|")
		require.Len(t, cells, 5, line)
		does := strings.TrimSpace(cells[2])
		require.Regexp(t, "^(passes|stays|replaced|`[^`]+`)$", does, line)
		names := regexp.MustCompile("`([A-Za-z*-]+)`").FindAllStringSubmatch(cells[1], -1)
		require.NotEmpty(t, names, line)
		for _, m := range names {
			rows = append(rows, headersRow{http.CanonicalHeaderKey(strings.ReplaceAll(m[1], "*", "Any")), does})
		}
	}
	require.Greater(t, len(rows), 15)
	return rows
}

func headersValue(name string) string {
	if v := headersValues[name]; v != "" {
		return v
	}
	return "value-of-" + strings.ToLower(name)
}

// vouching adds headers about the bytes of an answer.
func vouching(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		for _, name := range []string{"Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Etag", "Signature", "Signature-Input"} {
			w.Header().Set(name, "of the provider's bytes")
		}
		h(w, r)
	}
}

// TestHeadersOfChangedBytes: a header that vouches for the provider's bytes does not stand
// over others.
func TestHeadersOfChangedBytes(t *testing.T) {
	chat := gatewaytest.LeastAnswer("chat/completions", "hi", "")
	usage := `data: {"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1}}` + "\n\n"
	stream := gatewaytest.Stream(gatewaytest.ChatDelta("hi"), gatewaytest.ChatStop, usage, gatewaytest.ChatDone)
	const translated = "/v1/messages"
	for name, tt := range map[string]struct {
		path, body string
		answer     http.HandlerFunc
		status     int
		vouched    string
	}{
		"unchanged":           {"", testbed.ChatRequest, gatewaytest.JSON(200, chat), 200, "of the provider's bytes"},
		"an unchanged error":  {"", testbed.ChatRequest, gatewaytest.Error(400, "bad", "no"), 400, "of the provider's bytes"},
		"a byte order mark":   {"", testbed.ChatRequest, gatewaytest.JSON(200, "\ufeff"+chat), 200, ""},
		"an echoed key":       {"", testbed.ChatRequest, gatewaytest.Error(400, "bad", "not with sk-a1-0123456789abcdef"), 400, ""},
		"an error over 1 MiB": {"", testbed.ChatRequest, gatewaytest.Error(400, "bad", strings.Repeat("x", 1<<20)), 400, ""},
		"hidden usage":        {"", testbed.StreamRequest, stream, 200, ""},
		"translated":          {translated, `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, gatewaytest.JSON(200, chat), 200, ""},
		"a translated stream": {translated, `{"model":"m","stream":true,"max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, stream, 200, ""},
		"a translated error":  {translated, `{"model":"m","max_tokens":9,"messages":[{"role":"user","content":"hi"}]}`, gatewaytest.Error(400, "bad", "no"), 400, ""},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a")
				cfg.Providers[0].SupportedAPISurfaces, cfg.Providers[0].Translate = []aigateway.APISurface{{Format: "openai", Surface: "chat-completions"}}, "true"
				s := testbed.NewScripts(t, cfg)
				s.Set("a1", gatewaytest.Stream(gatewaytest.ChatDelta("hi"), gatewaytest.ChatStop, gatewaytest.ChatDone))
				testbed.AskStream(s.Harness) // the first stream shows whether usage comes unasked
				s.Set("a1", vouching(tt.answer))
				got := s.Post(cmp.Or(tt.path, "/v1/chat/completions"), tt.body)
				assert.Equal(t, tt.status, got.Status, got.Body)
				for _, name := range []string{"Content-Digest", "Repr-Digest", "Digest", "Content-Md5", "Etag", "Signature", "Signature-Input"} {
					assert.Equal(t, tt.vouched, got.Header.Get(name), name)
				}
			})
		})
	}
}
