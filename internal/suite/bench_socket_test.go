package suite_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// BenchmarkSocket is BenchmarkHandler over loopback sockets. The client and the
// upstream run in this process too: the ratio is of whole round trips.
func BenchmarkSocket(b *testing.B) {
	for _, bb := range benchRows {
		upstream := socketUpstream(b, bb.answer)
		gateway := httptest.NewServer(socketGateway(b, upstream.URL))
		b.Cleanup(gateway.Close)
		u, err := url.Parse(upstream.URL)
		require.NoError(b, err)
		bare := httptest.NewServer(gatewaytest.BareProxy(u, gatewaytest.BareProxyTransport()))
		b.Cleanup(bare.Close)
		body := benchBody(bb.size, bb.answer)
		for _, conns := range []int{1, 8, 64} {
			b.Run(fmt.Sprintf("%s/%d connections", bb.name, conns), func(b *testing.B) {
				client := &http.Client{Transport: gatewaytest.BareProxyTransport()}
				defer client.CloseIdleConnections()
				benchRatio(b,
					func() { socketPost(b, client, gateway.URL, body, conns) },
					func() { socketPost(b, client, bare.URL, body, conns) })
			})
		}
	}
}

// Regression: the buffer of a held answer is used again only after its client
// has the whole answer.
func TestHeldAnswersAreNotMixedUp(t *testing.T) {
	upstream := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_, id, _ := strings.Cut(string(body), `"user":"`)
		id, _, _ = strings.Cut(id, `"`)
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"choices":[{"message":{"content":%q}}]}`, strings.Repeat(id, 300<<10))
	})
	gateway := httptest.NewServer(socketGateway(t, upstream.URL))
	defer gateway.Close()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			id := string(rune('a' + i))
			for range 4 {
				resp, err := http.Post(gateway.URL+"/v1/chat/completions", "application/json", strings.NewReader(`{"model":"llama3","user":"`+id+`"}`))
				if !assert.NoError(t, err) {
					return
				}
				got, err := io.ReadAll(resp.Body)
				resp.Body.Close()
				assert.NoError(t, err)
				want := fmt.Sprintf(`{"choices":[{"message":{"content":%q}}]}`, strings.Repeat(id, 300<<10))
				assert.True(t, want == string(got), "the answer to %s is not its own", id)
			}
		})
	}
	wg.Wait()
}

// A user's own transport is used unchanged: it sees the request itself, and
// dials its own addresses.
func TestOwnTransportIsUsedAsItIs(t *testing.T) {
	upstream := socketUpstream(t, benchRows[0].answer)
	var mu sync.Mutex
	var dialled []string
	own := gatewaytest.BareProxyTransport()
	own.Dial = func(network, addr string) (net.Conn, error) { //nolint:staticcheck // it must not matter how the user did it
		mu.Lock()
		dialled = append(dialled, addr)
		mu.Unlock()
		return net.Dial(network, strings.TrimPrefix(upstream.URL, "http://"))
	}
	before := own.MaxIdleConnsPerHost
	gateway := httptest.NewServer(benchGateway(t, own))
	defer gateway.Close()
	for range 3 {
		resp, err := http.Post(gateway.URL+"/v1/chat/completions", "application/json", bytes.NewReader(gatewaytest.ChatBody("llama3", 100)))
		require.NoError(t, err)
		_, err = io.Copy(io.Discard, resp.Body)
		require.NoError(t, err)
		resp.Body.Close()
		require.Equal(t, http.StatusOK, resp.StatusCode)
	}
	assert.Equal(t, []string{"p.internal:80"}, dialled, "one connection for all three")
	assert.Equal(t, before, own.MaxIdleConnsPerHost)
}

func socketUpstream(t testing.TB, answer gatewaytest.Canned) *httptest.Server {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", answer.ContentType)
		if answer.ContentType != "text/event-stream" {
			w.Write(answer.Body)
			return
		}
		for event := range bytes.SplitAfterSeq(answer.Body, []byte("\n\n")) {
			w.Write(event)
			w.(http.Flusher).Flush()
		}
	}))
	t.Cleanup(upstream.Close)
	return upstream
}

func socketGateway(t testing.TB, upstream string) http.Handler {
	g, err := aigateway.New(aigateway.Config{
		Providers: []aigateway.Provider{{
			ID: "p", BaseURL: "http://p.internal", Models: []aigateway.Model{{ID: "llama3"}},
			APIKeys: []aigateway.APIKey{{Value: "${secrets.get('p', 'api-key')}"}},
		}},
		Secrets:           aigateway.MapSecrets(map[string]map[string]string{"p": {"api-key": "sk-123456789012345678901234"}}),
		InternalEndpoints: map[string]string{"p.internal": upstream},
	})
	require.NoError(t, err)
	return g
}

// socketPost sends one request over each of several connections at once.
func socketPost(b *testing.B, client *http.Client, url string, body []byte, conns int) {
	var wg sync.WaitGroup
	for range conns {
		wg.Go(func() {
			resp, err := client.Post(url+"/v1/chat/completions", "application/json", bytes.NewReader(body))
			if err != nil {
				b.Error(err)
				return
			}
			defer resp.Body.Close()
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != http.StatusOK {
				b.Error(resp.Status, err)
			}
		})
	}
	wg.Wait()
}

// A small request goes out in one write: a second one would cost a system call on each
// side, and a packet.
func TestSmallRequestIsOneWrite(t *testing.T) {
	upstream := socketUpstream(t, benchRows[0].answer)
	body := gatewaytest.ChatBody("llama3", 1<<10)
	for name, body := range map[string][]byte{
		"as it came":   body,
		"with an edit": bytes.Replace(body, []byte(`"messages"`), []byte(`"models":["llama3"],"messages"`), 1),
	} {
		t.Run(name, func(t *testing.T) {
			var writes atomic.Int32
			transport := &http.Transport{DialContext: func(ctx context.Context, network, _ string) (net.Conn, error) {
				conn, err := new(net.Dialer).DialContext(ctx, network, upstream.Listener.Addr().String())
				return &countedConn{conn, &writes}, err
			}}
			defer transport.CloseIdleConnections()
			gateway := httptest.NewServer(benchGateway(t, transport))
			defer gateway.Close()
			resp, err := http.Post(gateway.URL+"/v1/chat/completions", "application/json", bytes.NewReader(body))
			require.NoError(t, err)
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			require.NoError(t, err)
			require.Equal(t, http.StatusOK, resp.StatusCode)
			require.EqualValues(t, 1, writes.Load())
		})
	}
}

// countedConn counts its writes.
type countedConn struct {
	net.Conn
	writes *atomic.Int32
}

func (c *countedConn) Write(p []byte) (int, error) {
	c.writes.Add(1)
	return c.Conn.Write(p)
}
