package suite_test

import (
	"bufio"
	"context"
	"crypto/sha1"
	"crypto/tls"
	"encoding/base64"
	"encoding/binary"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	socketKey      = "dGhlIHNhbXBsZSBub25jZQ=="
	sessionCreated = `{"type":"session.created","session":{"id":"sess_1"}}`
	responseDone   = `{"type":"response.done","response":{"id":"resp_1","status":"completed","usage":{"total_tokens":30,"input_tokens":20,` +
		`"output_tokens":10,"input_token_details":{"cached_tokens":5}}}}`
)

// transcripts end with tokens, with seconds, and without a word (livekit/agents#5029,
// bifrost#7089).
var transcripts = []string{
	`{"type":"conversation.item.input_audio_transcription.delta","event_id":"e","item_id":"i","content_index":0,"delta":"hi"}`,
	`{"event_id":"event_2","type":"conversation.item.input_audio_transcription.completed","item_id":"item_1","content_index":0,"transcript":"hi",` +
		`"usage":{"type":"tokens","total_tokens":22,"input_tokens":13,"input_token_details":{"text_tokens":0,"audio_tokens":13},"output_tokens":9}}`,
	`{"type":"conversation.item.input_audio_transcription.completed","item_id":"item_2","transcript":"hi","usage":{"type":"duration","seconds":3}}`,
	`{"type":"conversation.item.input_audio_transcription.completed","item_id":"item_3","transcript":""}`,
}

// frame is a whole text message of a server.
func frame(text string) []byte {
	head := []byte{0x81, byte(len(text))}
	if len(text) > 125 {
		head = binary.BigEndian.AppendUint16([]byte{0x81, 126}, uint16(len(text)))
	}
	return append(head, text...)
}

// closeFrame ends a session in good order.
var closeFrame = []byte{0x88, 2, 0x03, 0xe8}

// realtimeServer opens a session, and plays.
func realtimeServer(play func(conn net.Conn, in *bufio.Reader)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(err)
		}
		defer conn.Close()
		sum := sha1.Sum([]byte(r.Header.Get("Sec-WebSocket-Key") + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"))
		io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
			"Sec-WebSocket-Accept: "+base64.StdEncoding.EncodeToString(sum[:])+"\r\nSec-WebSocket-Protocol: realtime\r\n\r\n")
		play(conn, rw.Reader)
	}
}

// dialRealtime sends a handshake over a connection of its own.
func dialRealtime(t *testing.T, base, query string, header ...string) (net.Conn, *bufio.Reader, *http.Response) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	require.NoError(t, err)
	t.Cleanup(func() { conn.Close() })
	head := "GET /v1/realtime" + query + " HTTP/1.1\r\nHost: gateway\r\nConnection: keep-alive, Upgrade\r\nUpgrade: websocket\r\n" +
		"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + socketKey + "\r\n" + strings.Join(append(header, ""), "\r\n") + "\r\n"
	_, err = io.WriteString(conn, head)
	require.NoError(t, err)
	in := bufio.NewReader(conn)
	resp, err := http.ReadResponse(in, nil)
	require.NoError(t, err)
	return conn, in, resp
}

// results is a config's hooks that hand over each Result.
func results(cfg *aigateway.Config) <-chan *aigateway.Result {
	done := make(chan *aigateway.Result, 8)
	cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, res *aigateway.Result) { done <- res }}
	return done
}

// A session fails over until a provider opens one. Then bytes pass untouched both ways,
// the usage of its responses is counted, and the client's key goes nowhere.
func TestRealtimeSession(t *testing.T) {
	page := gatewaytest.NewUpstream(t, gatewaytest.JSON(http.StatusOK, `{"hello":"world"}`))
	down := gatewaytest.NewUpstream(t, gatewaytest.Error(http.StatusServiceUnavailable, "busy", "busy"))
	masked := []byte{0x81, 0x85, 1, 2, 3, 4, 'i', 'g', 'o', 'h', 'n'}
	served := make(chan *http.Request, 1)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		served <- r
		realtimeServer(func(conn net.Conn, in *bufio.Reader) {
			conn.Write(frame(sessionCreated))
			got := make([]byte, len(masked))
			io.ReadFull(in, got)
			conn.Write(frame(responseDone))
			conn.Write(frame(string(got)))
			conn.Write(frame(responseDone))
			conn.Write(closeFrame)
		})(w, r)
	}))
	defer up.Close()
	cfg := testbed.Config(1, "a", "b", "c")
	cfg.InternalEndpoints = map[string]string{"a.internal": page.URL, "b.internal": down.URL, "c.internal": up.URL}
	done := results(&cfg)
	conn, in, resp := dialRealtime(t, testbed.Serve(t, cfg), "?model=m&intent=talk",
		"Sec-WebSocket-Protocol: realtime, openai-insecure-api-key.sk-client-secret, openai-beta.realtime-v1",
		"Sec-WebSocket-Protocol: OpenAI-Organization.org-client, openai-project.proj_client, OpenAI-Insecure-Api-Key.sk-client-secret",
		"Sec-WebSocket-Extensions: permessage-deflate", "OpenAI-Beta: realtime=v1")
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	assert.Equal(t, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", resp.Header.Get("Sec-WebSocket-Accept"))
	assert.Equal(t, "realtime", resp.Header.Get("Sec-WebSocket-Protocol"))
	assert.Equal(t, "c:m", resp.Header.Get("X-Aigateway-Model"))
	_, err := conn.Write(masked)
	require.NoError(t, err)
	got, err := io.ReadAll(in)
	require.NoError(t, err)
	want := string(frame(sessionCreated)) + string(frame(responseDone)) + string(frame(string(masked))) + string(frame(responseDone)) + string(closeFrame)
	assert.Equal(t, want, string(got))

	r := <-served
	assert.Equal(t, "model=m&intent=talk", r.URL.RawQuery)
	assert.Equal(t, "Bearer sk-c1-0123456789abcdef", r.Header.Get("Authorization"))
	assert.Equal(t, "realtime, openai-beta.realtime-v1", r.Header.Get("Sec-WebSocket-Protocol"))
	assert.Equal(t, "realtime=v1", r.Header.Get("OpenAI-Beta"))
	assert.Empty(t, r.Header.Get("Sec-WebSocket-Extensions"))
	res := <-done
	assert.Equal(t, aigateway.StatusSuccess, res.Status)
	assert.Equal(t, "c", res.Success.Provider)
	require.Len(t, res.ModelsTried, 3)
	assert.Equal(t, aigateway.FailureAnswer, res.ModelsTried[0].RequestsMade[0].Kind)
	require.NotNil(t, res.Usage)
	assert.EqualValues(t, 40, res.Usage.InputTokens)
	assert.EqualValues(t, 20, res.Usage.OutputTokens)
	assert.EqualValues(t, 10, res.Usage.CachedInputTokens)
	assert.NotContains(t, res.Client.Headers.Get("Sec-Websocket-Protocol"), "sk-client-secret")
}

// A provider that prefers HTTP/2, as most do in the cloud, opens sessions over HTTP/1.1.
// Its other requests share a connection of HTTP/2, also one that is open by then.
func TestRealtimeBesideHTTP2(t *testing.T) {
	chat := make(chan int, 2)
	up := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Upgrade") == "" {
			chat <- r.ProtoMajor
			gatewaytest.Chat("hi")(w, r)
			return
		}
		realtimeServer(func(conn net.Conn, _ *bufio.Reader) {
			conn.Write(frame(sessionCreated))
			conn.Write(closeFrame)
		})(w, r)
	}))
	up.EnableHTTP2 = true
	ca := gatewaytest.NewAuthority(t, "ca")
	up.TLS = &tls.Config{Certificates: []tls.Certificate{ca.Issue(nil).Pair}}
	up.StartTLS()
	defer up.Close()
	file := filepath.Join(t.TempDir(), "ca.pem")
	require.NoError(t, os.WriteFile(file, ca.PEM, 0o600))

	for name, wrap := range map[string]func(string, *http.Transport) http.RoundTripper{
		"the gateway's transport": nil,
		"a service's around it":   func(_ string, base *http.Transport) http.RoundTripper { return struct{ http.RoundTripper }{base} },
	} {
		t.Run(name, func(t *testing.T) {
			cfg := testbed.Config(1, "a")
			cfg.Providers[0].TLS = aigateway.TLS{CAFile: file}
			cfg.InternalEndpoints = map[string]string{"a.internal": up.URL}
			cfg.ProviderTransport = wrap
			gateway := testbed.Serve(t, cfg)
			for range 2 {
				answer, err := http.Post(gateway+"/v1/chat/completions", "application/json", strings.NewReader(testbed.ChatRequest))
				require.NoError(t, err)
				answer.Body.Close()
				assert.Equal(t, http.StatusOK, answer.StatusCode)
				assert.Equal(t, 2, <-chat)
				_, in, resp := dialRealtime(t, gateway, "?model=m")
				require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
				got, err := io.ReadAll(in)
				require.NoError(t, err)
				assert.Equal(t, string(frame(sessionCreated))+string(closeFrame), string(got))
			}
		})
	}
}

// A provider that agrees on what was not offered opens no session: its client would end it.
// A subprotocol that was not offered is left out.
func TestRealtimeUnaskedAgreement(t *testing.T) {
	opening := func(extra string) *httptest.Server {
		up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				panic(err)
			}
			defer conn.Close()
			io.WriteString(conn, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"+
				"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"+extra+"\r\n"+string(frame(sessionCreated))+string(closeFrame))
		}))
		t.Cleanup(up.Close)
		return up
	}
	deflating := opening("Sec-WebSocket-Extensions: permessage-deflate\r\n")
	chatting := opening("Sec-WebSocket-Protocol: chat\r\n")
	good := opening("Sec-WebSocket-Protocol: realtime\r\n")
	cfg := testbed.Config(1, "a", "b", "c")
	cfg.InternalEndpoints = map[string]string{"a.internal": deflating.URL, "b.internal": chatting.URL, "c.internal": good.URL}
	_, _, resp := dialRealtime(t, testbed.Serve(t, cfg), "?model=m", "Sec-WebSocket-Protocol: realtime", "Sec-WebSocket-Extensions: permessage-deflate")
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	assert.Equal(t, "c:m", resp.Header.Get("X-Aigateway-Model"))
	assert.Equal(t, "3", resp.Header.Get("X-Aigateway-Attempts"))
	assert.Equal(t, "realtime", resp.Header.Get("Sec-Websocket-Protocol"))

	_, in, resp := dialRealtime(t, testbed.ServeAt(t, good.URL, testbed.Config(1, "a")), "?model=m", "Sec-WebSocket-Protocol: openai-project.proj_1")
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	assert.NotContains(t, resp.Header, "Sec-Websocket-Protocol")
	got, err := io.ReadAll(in)
	require.NoError(t, err)
	assert.Equal(t, string(frame(sessionCreated))+string(closeFrame), string(got), "frames beside the 101 are not lost")
}

// The model's id in the query is the provider's own.
func TestRealtimeAlias(t *testing.T) {
	queries := make(chan string, 1)
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		queries <- r.URL.RawQuery
		realtimeServer(func(conn net.Conn, _ *bufio.Reader) { conn.Write(closeFrame) })(w, r)
	}))
	defer up.Close()
	_, _, resp := dialRealtime(t, testbed.ServeAt(t, up.URL, testbed.Config(1, "a")), "?x=1&model=a:other%2Fone")
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	assert.Equal(t, "model=other%2Fone&x=1", <-queries)
}

// What is not a WebSocket, and what may not be one.
func TestRealtimeRefusals(t *testing.T) {
	up := gatewaytest.NewUpstream(t, realtimeServer(func(conn net.Conn, _ *bufio.Reader) { conn.Write(closeFrame) }))
	cfg := testbed.Config(1, "a")
	cfg.InternalEndpoints = map[string]string{"a.internal": up.URL}
	open := testbed.Serve(t, cfg)
	for _, row := range []struct {
		name   string
		method string
		header http.Header
		status int
	}{
		{"no upgrade", http.MethodGet, nil, http.StatusUpgradeRequired},
		{"another protocol", http.MethodGet, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"h2c"}}, http.StatusUpgradeRequired},
		{"no key of 16 bytes", http.MethodGet, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Key": {"c2hvcnQ="}}, http.StatusUpgradeRequired},
		{"two keys", http.MethodGet, http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Key": {socketKey, socketKey}}, http.StatusUpgradeRequired},
		{"POST", http.MethodPost, nil, http.StatusMethodNotAllowed},
	} {
		r, err := http.NewRequest(row.method, open+"/v1/realtime?model=m", nil)
		require.NoError(t, err)
		for name, values := range row.header {
			r.Header[name] = values
		}
		resp, err := http.DefaultTransport.RoundTrip(r)
		require.NoError(t, err, row.name)
		resp.Body.Close()
		assert.Equal(t, row.status, resp.StatusCode, row.name)
	}
	old, err := net.Dial("tcp", strings.TrimPrefix(open, "http://"))
	require.NoError(t, err)
	defer old.Close()
	_, err = io.WriteString(old, "GET /v1/realtime?model=m HTTP/1.0\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: "+socketKey+"\r\n\r\n")
	require.NoError(t, err)
	resp, err := http.ReadResponse(bufio.NewReader(old), nil)
	require.NoError(t, err)
	assert.Equal(t, http.StatusUpgradeRequired, resp.StatusCode, "HTTP/1.0")
	_, _, resp = dialRealtime(t, open, "?model=m&model=n")
	assert.Equal(t, http.StatusBadRequest, resp.StatusCode)
	_, _, resp = dialRealtime(t, open, "?model=unheard-of")
	assert.Equal(t, http.StatusUnprocessableEntity, resp.StatusCode)
	assert.Zero(t, up.Count())

	cfg.Caller = func(*http.Request) string { return "ann" }
	cfg.ClientLimits = []aigateway.ClientLimit{{Key: "req.caller", TokensPerMinute: 1000}}
	_, _, resp = dialRealtime(t, testbed.Serve(t, cfg), "?model=m")
	assert.Equal(t, http.StatusForbidden, resp.StatusCode)
	cfg.ClientLimits[0].Uncounted = true
	_, _, resp = dialRealtime(t, testbed.Serve(t, cfg), "?model=m")
	assert.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
}

// A call that a session joins is not another caller's: the gateway does not know it.
func TestRealtimeJoinsNoCall(t *testing.T) {
	up := gatewaytest.NewUpstream(t, realtimeServer(func(conn net.Conn, _ *bufio.Reader) { conn.Write(closeFrame) }))
	cfg := testbed.Config(1, "a")
	cfg.InternalEndpoints = map[string]string{"a.internal": up.URL}
	open := testbed.Serve(t, cfg)
	_, _, resp := dialRealtime(t, open, "?call_id=rtc_1")
	assert.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode, "nobody is told apart")
	cfg.Caller = func(*http.Request) string { return "ann" }
	open = testbed.Serve(t, cfg)
	_, _, resp = dialRealtime(t, open, "?call_id=rtc_1")
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)
	_, _, resp = dialRealtime(t, open, "?model=m&call_id=rtc_1")
	assert.Equal(t, http.StatusNotFound, resp.StatusCode)
	assert.Equal(t, 1, up.Count())
}

// Until the provider's first event the usual timeouts hold. A session without one ends.
func TestRealtimeFirstEvent(t *testing.T) {
	up := httptest.NewServer(realtimeServer(func(_ net.Conn, in *bufio.Reader) { io.Copy(io.Discard, in) }))
	defer up.Close()
	cfg := testbed.Config(1, "a")
	limit := aigateway.Duration("50ms")
	cfg.PerRequestTimeout = limit
	done := results(&cfg)
	_, in, resp := dialRealtime(t, testbed.ServeAt(t, up.URL, cfg), "?model=m")
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	got, err := io.ReadAll(in)
	require.NoError(t, err)
	assert.Equal(t, []byte{0x88, 2, 0x03, 0xe9}, got, "the session ends in a close frame")
	assert.Equal(t, aigateway.FailureTimeout, (<-done).ModelsTried[0].RequestsMade[0].Kind)
}

// A session lasts longer than the timeouts, and is cut with the server's context.
func TestRealtimeCut(t *testing.T) {
	var open atomic.Int64
	up := httptest.NewServer(realtimeServer(func(conn net.Conn, in *bufio.Reader) {
		open.Add(1)
		defer open.Add(-1)
		conn.Write(frame(sessionCreated))
		io.Copy(io.Discard, in)
	}))
	defer up.Close()
	cfg := testbed.Config(1, "a")
	cfg.PerRequestTimeout = aigateway.Duration("50ms")
	cfg.ClientTimeout = aigateway.Duration("50ms")
	cfg.InternalEndpoints = map[string]string{"a.internal": up.URL}
	done := results(&cfg)
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	base, cut := context.WithCancel(t.Context())
	server := httptest.NewUnstartedServer(g)
	server.Config.BaseContext = func(net.Listener) context.Context { return base }
	server.Start()
	defer server.Close()
	conn, in, resp := dialRealtime(t, server.URL, "?model=m")
	require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
	got := make([]byte, len(frame(sessionCreated)))
	_, err = io.ReadFull(in, got)
	require.NoError(t, err)
	conn.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
	_, err = in.ReadByte()
	var timeout net.Error
	require.ErrorAs(t, err, &timeout, "the session goes on in silence")
	conn.SetReadDeadline(time.Time{})
	cut()
	rest, err := io.ReadAll(in)
	require.NoError(t, err)
	assert.Equal(t, []byte{0x88, 2, 0x03, 0xe9}, rest)
	assert.Equal(t, aigateway.CodeClientGone, (<-done).Error.Code)
	require.Eventually(t, func() bool { return open.Load() == 0 }, 20*time.Second, time.Millisecond)
}

// A provider that leaves without a close frame has broken the session.
func TestRealtimeBroken(t *testing.T) {
	up := httptest.NewServer(realtimeServer(func(conn net.Conn, _ *bufio.Reader) { conn.Write(frame(sessionCreated)) }))
	defer up.Close()
	cfg := testbed.Config(1, "a")
	done := results(&cfg)
	_, in, _ := dialRealtime(t, testbed.ServeAt(t, up.URL, cfg), "?model=m")
	got, err := io.ReadAll(in)
	require.NoError(t, err)
	assert.Equal(t, frame(sessionCreated), got)
	assert.Equal(t, aigateway.CodeStreamBroken, (<-done).Error.Code)
}

// A session without a frame for 15 minutes is ended in good order, and the Result says
// why. Each frame of either side begins the time anew.
func TestRealtimeIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		network := gatewaytest.NewNetwork()
		masked := []byte{0x81, 0x85, 1, 2, 3, 4, 'i', 'g', 'o', 'h', 'n'}
		left := make(chan struct{})
		network.Serve(t, "a.internal", realtimeServer(func(conn net.Conn, in *bufio.Reader) {
			defer close(left)
			conn.Write(frame(sessionCreated))
			io.ReadFull(in, make([]byte, len(masked)))
			gatewaytest.Pass(14 * time.Minute)
			conn.Write(frame(responseDone))
			io.Copy(io.Discard, in)
		}))
		cfg := testbed.Config(1, "a")
		cfg.Transport = network.Transport(t)
		done := results(&cfg)
		g, err := aigateway.New(cfg)
		require.NoError(t, err)
		network.Serve(t, "gateway.internal", g)
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://gateway.internal/v1/realtime?model=m", nil)
		require.NoError(t, err)
		r.Header = http.Header{"Connection": {"Upgrade"}, "Upgrade": {"websocket"}, "Sec-Websocket-Version": {"13"}, "Sec-Websocket-Key": {socketKey}}
		resp, err := network.Transport(t).RoundTrip(r)
		require.NoError(t, err)
		require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
		conn := resp.Body.(io.ReadWriteCloser)
		defer conn.Close()
		_, err = io.ReadFull(conn, make([]byte, len(frame(sessionCreated))))
		require.NoError(t, err)
		gatewaytest.Pass(14 * time.Minute)
		begin := time.Now()
		_, err = conn.Write(masked)
		require.NoError(t, err)
		got, err := io.ReadAll(conn)
		require.NoError(t, err)
		assert.Equal(t, append(frame(responseDone), 0x88, 2, 0x03, 0xe9), got)
		assert.Equal(t, 29*time.Minute, time.Since(begin))
		res := <-done
		<-left
		assert.Equal(t, aigateway.StatusSuccess, res.Status)
		assert.Nil(t, res.Error)
		assert.Equal(t, []string{"the session was ended after 15m0s without a frame"}, res.Notes)
	})
}

// The tokens of transcripts are counted, beside those of responses and without any.
func TestRealtimeTranscripts(t *testing.T) {
	for name, tt := range map[string]struct {
		messages []string
		in, out  int64
	}{
		"a session that transcribes": {transcripts, 13, 9},
		"beside responses":           {append([]string{responseDone}, transcripts...), 33, 19},
	} {
		t.Run(name, func(t *testing.T) {
			up := httptest.NewServer(realtimeServer(func(conn net.Conn, _ *bufio.Reader) {
				for _, message := range append([]string{sessionCreated}, tt.messages...) {
					conn.Write(frame(message))
				}
				conn.Write(closeFrame)
			}))
			defer up.Close()
			cfg := testbed.Config(1, "a")
			cfg.InternalEndpoints = map[string]string{"a.internal": up.URL}
			rate := 1.0
			cfg.Providers[0].Models[0].Pricing = &aigateway.Pricing{Input: &rate, Output: &rate}
			done := results(&cfg)
			_, in, resp := dialRealtime(t, testbed.Serve(t, cfg), "?model=m")
			require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode)
			_, err := io.ReadAll(in)
			require.NoError(t, err)
			res := <-done
			require.NotNil(t, res.Usage)
			assert.EqualValues(t, tt.in, res.Usage.InputTokens)
			assert.EqualValues(t, tt.out, res.Usage.OutputTokens)
			require.NotNil(t, res.Cost)
			assert.True(t, res.Cost.Estimated, "the price is not that of sound, nor of the model that transcribed")
		})
	}
}

// A session to transcribe, or to join a call, goes out without a model if the client
// named none: OpenAI refuses one there (bifrost#6095, openai-node#1974).
func TestRealtimeWithoutModel(t *testing.T) {
	for query, want := range map[string]string{
		"?intent=transcription":         "intent=transcription",
		"?call_id=rtc_1":                "call_id=rtc_1",
		"?model=m&intent=transcription": "model=m&intent=transcription",
		"?model=m&call_id=rtc_1":        "model=m&call_id=rtc_1",
		"?intent=talk":                  "model=m&intent=talk",
		"":                              "model=m",
	} {
		up := gatewaytest.NewUpstream(t, realtimeServer(func(conn net.Conn, _ *bufio.Reader) {
			conn.Write(frame(sessionCreated))
			conn.Write(closeFrame)
		}))
		cfg := testbed.Config(1, "a")
		cfg.Providers[0].Models = append(cfg.Providers[0].Models, aigateway.Model{ID: "n"})
		cfg.InternalEndpoints = map[string]string{"a.internal": up.URL}
		_, in, resp := dialRealtime(t, testbed.Serve(t, cfg), query)
		require.Equal(t, http.StatusSwitchingProtocols, resp.StatusCode, query)
		_, err := io.ReadAll(in)
		require.NoError(t, err)
		assert.Equal(t, "/v1/realtime?"+want, up.Last().URL, query)
	}
}
