package suite_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"io"
	"log"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// cloudCall is a request of one kind, and a word of its answer.
type cloudCall struct{ name, method, path, kind, body, want string }

// cloudForm is a form with a file of 300 KB.
func cloudForm(names ...string) (kind, body string) {
	var b strings.Builder
	w := multipart.NewWriter(&b)
	for i := 0; i < len(names); i += 2 {
		w.WriteField(names[i], names[i+1])
	}
	f, _ := w.CreateFormFile("file", "a.bin")
	io.WriteString(f, strings.Repeat("x", 300_000))
	w.Close()
	return w.FormDataContentType(), b.String()
}

// cloudCalls are requests of every kind. made holds an id for each collection.
func cloudCalls(made map[string]string) []cloudCall {
	const doc = "application/json"
	sound, recording := cloudForm("model", "m")
	file, upload := cloudForm("purpose", "batch")
	part, piece := cloudForm()
	return []cloudCall{
		{"chat", "POST", "chat/completions", doc, testbed.ChatRequest, "from a"},
		{"chat stream", "POST", "chat/completions", doc, testbed.StreamRequest, "[DONE]"},
		{"messages", "POST", "messages", doc, `{"model":"m","max_tokens":3,"messages":[]}`, "from a"},
		{"count", "POST", "messages/count_tokens", doc, `{"model":"m","messages":[]}`, "9"},
		{"responses", "POST", "responses", doc, `{"model":"m","input":"x"}`, "resp_"},
		{"responses stream", "POST", "responses", doc, `{"model":"m","input":"x","stream":true}`, "response.completed"},
		{"embeddings", "POST", "embeddings", doc, `{"model":"m","input":"x"}`, "0.25"},
		{"images", "POST", "images/generations", doc, `{"model":"m","prompt":"x"}`, "b64_json"},
		{"speech", "POST", "audio/speech", doc, `{"model":"m","input":"x"}`, "sound"},
		{"transcription", "POST", "audio/transcriptions", sound, recording, "from a"},
		{"a response", "GET", "responses/" + made["responses"], "", "", made["responses"]},
		{"its items", "GET", "responses/" + made["responses"] + "/input_items", "", "", "one"},
		{"its end", "DELETE", "responses/" + made["responses"], "", "", made["responses"]},
		{"file upload", "POST", "files", file, upload, "file-"},
		{"file content", "GET", "files/" + made["files"] + "/content", "", "", "bytes of"},
		{"a part", "POST", "uploads/" + made["uploads"] + "/parts", part, piece, made["uploads"]},
		{"complete", "POST", "uploads/" + made["uploads"] + "/complete", doc, `{"part_ids":[]}`, "file-"},
		{"batch", "POST", "batches", doc, `{"input_file_id":"` + made["files"] + `"}`, "batch_"},
		{"search", "POST", "vector_stores/" + made["vector_stores"] + "/search", doc, `{"query":"a"}`, "one"},
		{"video content", "GET", "videos/" + made["videos"] + "/content", "", "", "bytes of"},
		{"container", "DELETE", "containers/" + made["containers"], "", "", ""},
		{"batch of messages", "GET", "messages/batches/" + made["messages/batches"], "", "", "msgbatch_"},
		{"its results", "GET", "messages/batches/" + made["messages/batches"] + "/results", "", "", "bytes of"},
	}
}

// cloudUpstream is a provider of all endpoints. Its condition holds from when it is set.
type cloudUpstream struct {
	store     *gatewaytest.Store
	condition http.HandlerFunc
	conns     atomic.Int64
	old       atomic.Int64 // connections up to this one are closed at the next request
	major     atomic.Int64 // the version of HTTP of the latest request
}

type cloudConn struct {
	net.Conn
	number int64
}

func (u *cloudUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.major.Store(int64(r.ProtoMajor))
	if u.condition != nil {
		u.condition(w, r)
		return
	}
	u.answer(w, r)
}

func (u *cloudUpstream) answer(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Header.Get("Upgrade") != "":
		realtimeServer(func(conn net.Conn, _ *bufio.Reader) {
			conn.Write(frame(sessionCreated))
			conn.Write(closeFrame)
		})(w, r)
	case strings.HasSuffix(r.URL.Path, "/speech"):
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "audio/mpeg")
		for range 3 {
			io.WriteString(w, strings.Repeat("sound", 9000))
			http.NewResponseController(w).Flush()
		}
	case strings.HasSuffix(r.URL.Path, "chat/completions"):
		if body, _ := io.ReadAll(r.Body); strings.Contains(string(body), `"stream":true`) {
			gatewaytest.Stream(gatewaytest.ChatDelta("hi"), gatewaytest.ChatStop, gatewaytest.ChatDone)(w, r)
			return
		}
		gatewaytest.Chat("from a")(w, r)
	default:
		u.store.ServeHTTP(w, r)
	}
}

// cloudCoded answers in a coding that was not asked for.
func cloudCoded(u *cloudUpstream, coding string, writer func(io.Writer) io.WriteCloser) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") != "" {
			u.answer(w, r)
			return
		}
		plain := httptest.NewRecorder()
		u.answer(plain, r)
		for name, values := range plain.Header() {
			w.Header()[name] = values
		}
		w.Header().Del("Content-Length")
		if plain.Body.Len() > 0 {
			w.Header().Set("Content-Encoding", coding)
		}
		w.WriteHeader(plain.Code)
		if plain.Body.Len() > 0 {
			z := writer(w)
			z.Write(plain.Body.Bytes())
			z.Close()
		}
	}
}

func zippedBy(w io.Writer) io.WriteCloser { return gzip.NewWriter(w) }

func zstdBy(w io.Writer) io.WriteCloser {
	z, err := zstd.NewWriter(w)
	if err != nil {
		panic(err)
	}
	return z
}

// ends closes connections that are older than the condition, with or without a look at the
// request: an idle one, from the provider's side.
func (u *cloudUpstream) ends(read, reset bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn := r.Context().Value(cloudConn{}).(cloudConn)
		if conn.number > u.old.Load() {
			u.answer(w, r)
			return
		}
		if read {
			io.Copy(io.Discard, r.Body)
		}
		under := conn.Conn
		if t, ok := under.(*tls.Conn); ok {
			under = t.NetConn()
		}
		if reset {
			under.(*net.TCPConn).SetLinger(0)
		}
		under.Close()
		panic(http.ErrAbortHandler)
	}
}

// TestCloud sends requests of every kind to a provider under conditions that stand-ins
// seldom have, over HTTP/1.1 and over TLS with nothing but HTTP/2.
func TestCloud(t *testing.T) {
	conditions := map[string]func(u *cloudUpstream) http.HandlerFunc{
		"nothing special": func(u *cloudUpstream) http.HandlerFunc { return u.answer },
		"gzip unasked":    func(u *cloudUpstream) http.HandlerFunc { return cloudCoded(u, "gzip", zippedBy) },
		"zstd unasked":    func(u *cloudUpstream) http.HandlerFunc { return cloudCoded(u, "zstd", zstdBy) },
		"early hints": func(u *cloudUpstream) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Set-Cookie", "a=b")
				w.WriteHeader(http.StatusProcessing)
				w.WriteHeader(http.StatusEarlyHints)
				u.answer(w, r)
			}
		},
		"trailers": func(u *cloudUpstream) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				u.answer(w, r)
				w.Header().Set(http.TrailerPrefix+"Set-Cookie", "a=b")
			}
		},
		"one request a connection": func(u *cloudUpstream) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				w.Header().Set("Connection", "close")
				u.answer(w, r)
			}
		},
		"long headers": func(u *cloudUpstream) http.HandlerFunc {
			return func(w http.ResponseWriter, r *http.Request) {
				for i := range 20 {
					w.Header().Set("X-Long-"+strconv.Itoa(i), strings.Repeat("x", 6000))
				}
				u.answer(w, r)
			}
		},
		"an idle connection ends":           func(u *cloudUpstream) http.HandlerFunc { return u.ends(true, false) },
		"an idle connection is reset":       func(u *cloudUpstream) http.HandlerFunc { return u.ends(true, true) },
		"an idle connection is reset early": func(u *cloudUpstream) http.HandlerFunc { return u.ends(false, true) },
	}
	ca := gatewaytest.NewAuthority(t, "ca")
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, ca.PEM, 0o600))
	pair := ca.Issue(nil).Pair
	for name, condition := range conditions {
		for _, version := range []int64{1, 2} {
			t.Run(name+", HTTP/"+strconv.FormatInt(version, 10), func(t *testing.T) {
				u := &cloudUpstream{store: &gatewaytest.Store{Name: "a"}}
				server := httptest.NewUnstartedServer(u)
				server.Config.ErrorLog = log.New(io.Discard, "", 0)
				server.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
					return context.WithValue(ctx, cloudConn{}, cloudConn{c, u.conns.Add(1)})
				}
				cfg := testbed.Config(1, "a")
				if version == 2 {
					server.EnableHTTP2 = true
					server.TLS = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2"}}
					server.StartTLS()
					cfg.Providers[0].TLS = aigateway.TLS{CAFile: file}
				} else {
					server.Start()
				}
				defer server.Close()
				gateway := testbed.ServeAt(t, server.URL, cfg) + "/v1/"
				made := cloudThings(t, gateway)
				u.condition = condition(u)
				for _, c := range cloudCalls(made) {
					u.old.Store(u.conns.Load())
					cloudSend(t, gateway, c)
					assert.Equal(t, version, u.major.Load(), c.name)
				}
				if version == 1 {
					u.old.Store(u.conns.Load())
					_, in, resp := dialRealtime(t, strings.TrimSuffix(gateway, "/v1/"), "?model=m")
					assert.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
					got, err := io.ReadAll(in)
					require.NoError(t, err)
					assert.Equal(t, string(frame(sessionCreated))+string(closeFrame), string(got))
				}
				assert.Empty(t, u.store.Strays())
			})
		}
	}
}

// cloudThings makes one thing in each collection, and returns their ids.
func cloudThings(t *testing.T, gateway string) map[string]string {
	t.Helper()
	made := map[string]string{}
	for collection, body := range map[string]string{
		"responses": `{"model":"m","input":"x"}`, "videos": `{"model":"m"}`, "uploads": `{}`, "vector_stores": `{}`, "containers": `{}`,
		"messages/batches": `{"requests":[{"params":{"model":"m"}}]}`,
	} {
		resp, answer := requestPost(t, gateway+collection, cloudHeader("application/json", collection), body)
		require.Equal(t, http.StatusOK, resp.StatusCode, answer)
		made[collection] = idOf(answer)
	}
	kind, body := cloudForm("purpose", "batch")
	_, answer := requestPost(t, gateway+"files", cloudHeader(kind, ""), body)
	made["files"] = idOf(answer)
	return made
}

func idOf(answer string) string {
	_, id, _ := strings.Cut(answer, `"id":"`)
	id, _, _ = strings.Cut(id, `"`)
	return id
}

func cloudHeader(kind, path string) http.Header {
	h := http.Header{"Accept-Encoding": {"identity"}}
	if kind != "" {
		h.Set("Content-Type", kind)
	}
	if strings.HasPrefix(path, "messages") {
		h.Set("Anthropic-Version", "2023-06-01")
	}
	return h
}

// cloudSend sends a call, and checks its answer.
func cloudSend(t *testing.T, gateway string, c cloudCall) {
	t.Helper()
	resp, answer := requestSend(t, c.method, gateway+c.path, cloudHeader(c.kind, c.path), strings.NewReader(c.body))
	assert.Equal(t, 2, resp.StatusCode/100, "%s: %s", c.name, answer)
	var plain io.Reader = strings.NewReader(answer)
	var err error
	switch resp.Header.Get("Content-Encoding") {
	case "gzip":
		plain, err = gzip.NewReader(plain)
	case "zstd":
		plain, err = zstd.NewReader(plain)
	}
	require.NoError(t, err)
	var b bytes.Buffer
	_, err = b.ReadFrom(plain)
	require.NoError(t, err)
	assert.Contains(t, b.String(), c.want, c.name)
	assert.Empty(t, resp.Trailer, c.name)
	assert.Empty(t, resp.Header["Set-Cookie"], c.name)
}

// TestCloudLongRequestHeaders: a provider says over HTTP/2 how long a header it takes.
// Clients with longer ones do not move it away from the others.
func TestCloudLongRequestHeaders(t *testing.T) {
	ca := gatewaytest.NewAuthority(t, "ca")
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, ca.PEM, 0o600))
	server := httptest.NewUnstartedServer(gatewaytest.Chat("from a"))
	server.EnableHTTP2 = true
	server.Config.MaxHeaderBytes = 4096
	server.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(nil).Pair}, NextProtos: []string{"h2"}}
	server.StartTLS()
	defer server.Close()
	cfg := testbed.Config(1, "a")
	cfg.Providers[0].TLS = aigateway.TLS{CAFile: file}
	cfg.Caller = func(r *http.Request) string { return r.Header.Get("X-Caller") }
	results := make(chan *aigateway.Result, 1)
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { results <- r }}
	gateway := testbed.ServeAt(t, server.URL, cfg) + "/v1/chat/completions"
	send := func(caller, long string) (*http.Response, *aigateway.Result) {
		resp, _ := requestPost(t, gateway, http.Header{"X-Caller": {caller}, "User-Agent": {"agent" + long}}, testbed.ChatRequest)
		return resp, <-results
	}
	resp, _ := send("good", "")
	require.Equal(t, 200, resp.StatusCode)
	for i := range 8 {
		resp, res := send("long "+strconv.Itoa(i), strings.Repeat("x", 9000))
		assert.NotEqual(t, 200, resp.StatusCode)
		require.NotEmpty(t, res.ModelsTried[0].RequestsMade)
		assert.Contains(t, res.ModelsTried[0].RequestsMade[0].Error, "header is longer")
	}
	_, res := send("good", "")
	assert.Zero(t, res.ModelsTried[0].CooldownMS, "the provider is healthy")
}
