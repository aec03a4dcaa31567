package suite_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// TestAttackSecretsStayWithTheirProvider fails a request over from one provider
// to the next. The values for the first must not travel along.
func TestAttackSecretsStayWithTheirProvider(t *testing.T) {
	provider := func(id string) aigateway.Provider {
		own := aigateway.Template("own-of-" + id)
		return aigateway.Provider{
			ID: id, BaseURL: "http://" + id + ".internal?base=own-of-" + id, Models: []aigateway.Model{{ID: "m"}},
			APIKeys:     []aigateway.APIKey{{Value: own + "-1"}, {Value: own + "-2"}},
			Auth:        aigateway.Auth{Header: "X-Key-" + id},
			Headers:     map[string]aigateway.Template{"X-" + id: own, "X-Both": own, "X-Secret-" + id: "${secrets.get('v', 'own-of-" + aigateway.Template(id) + "')}"},
			QueryParams: map[string]aigateway.Template{"q" + id: own, "both": own},
			Body:        map[string]any{"b" + id: string(own), "both": string(own), "metadata": map[string]any{"x": "${secrets.get('v', 'own-of-" + id + "')}"}},
		}
	}
	var ups []*gatewaytest.Upstream
	cfg := aigateway.Config{
		Registry: aigateway.NoRegistry(), InternalEndpoints: map[string]string{},
		Secrets: aigateway.SecretResolverFunc(func(_ context.Context, _, name string) (string, error) { return name, nil }),
	}
	for i, id := range []string{"one", "two", "three"} {
		h := gatewaytest.Error(401, "invalid_api_key", "no")
		if i == 2 {
			h = gatewaytest.Fitting("hello")
		}
		ups = append(ups, gatewaytest.NewUpstream(t, h))
		cfg.Providers = append(cfg.Providers, provider(id))
		cfg.InternalEndpoints[id+".internal"] = ups[i].URL
	}
	gateway := testbed.Serve(t, cfg)
	_, status, body := attackDo(t, gateway+"/v1/chat/completions", `{"model":"m"}`, http.Header{"Content-Type": {"application/json"}})
	require.Equal(t, 200, status, body)
	for i, id := range []string{"one", "two", "three"} {
		for _, r := range ups[i].Requests() {
			seen := fmt.Sprint(r.URL, r.Header, string(r.Body))
			assert.GreaterOrEqual(t, strings.Count(seen, "own-of-"+id), 10, "it has its own")
			for _, other := range []string{"one", "two", "three"} {
				assert.True(t, other == id || !strings.Contains(strings.ToLower(seen), "own-of-"+other) && !strings.Contains(strings.ToLower(seen), "x-key-"+other), seen)
			}
		}
	}
	assert.Equal(t, 2, ups[0].Count())
}

// TestAttackRedirects has a provider send the gateway elsewhere: to follow it
// would take the key and the prompt along, and to relay it would have the
// client do so.
func TestAttackRedirects(t *testing.T) {
	elsewhere := gatewaytest.NewUpstream(t, gatewaytest.Fitting("mine now"))
	var status atomic.Int64
	up := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Location", elsewhere.URL+r.URL.Path+"?key="+r.Header.Get("Authorization"))
		w.Header().Set("Refresh", "0; url="+elsewhere.URL)
		w.WriteHeader(int(status.Load()))
		io.WriteString(w, `{"key":"`+r.Header.Get("Authorization")+`"}`)
	})
	gateway := testbed.Serve(t, aigateway.Config{
		Providers:         []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal", APIKeys: []aigateway.APIKey{{Value: "sk-of-p"}}, Models: []aigateway.Model{{ID: "m"}}}},
		InternalEndpoints: map[string]string{"p.internal": up.URL},
	})
	for i, code := range []int{300, 301, 302, 303, 304, 305, 307, 308, 399} {
		status.Store(int64(code))
		header, got, body := attackDo(t, gateway+"/v1/chat/completions", `{"model":"m"}`, http.Header{"Content-Type": {"application/json"}})
		assert.Equal(t, 503, got)
		assert.NotContains(t, header, "Location")
		assert.NotContains(t, header, "Refresh")
		assert.NotContains(t, body, "sk-of-p")
		assert.Equal(t, i+1, up.Count(), "nothing is asked twice")
	}
	assert.Zero(t, elsewhere.Count())
}

// TestAttackOriginHeaders has a provider speak for the gateway's origin.
func TestAttackOriginHeaders(t *testing.T) {
	evil := http.Header{
		"Set-Cookie": {"session=mine; Path=/", "a=b"}, "Set-Cookie2": {"x=y"},
		"Strict-Transport-Security": {"max-age=63072000; includeSubDomains; preload"}, "Alt-Svc": {`h3="evil.example:443"`},
		"Access-Control-Allow-Origin": {"*"}, "Access-Control-Allow-Credentials": {"true"}, "Access-Control-Allow-Private-Network": {"true"},
		"Clear-Site-Data": {`"*"`}, "Nel": {"{}"}, "Report-To": {"{}"}, "Reporting-Endpoints": {`a="https://evil.example"`}, "Expect-Ct": {"max-age=1"},
		"Proxy-Authenticate": {"Basic"}, "Proxy-Connection": {"keep-alive"}, "Upgrade": {"h2c"}, "Keep-Alive": {"timeout=9"},
		"Connection": {"keep-alive, X-Named"}, "X-Named": {"1"}, "Trailer": {"X-Trailer"},
	}
	answer := func(status int, kind, body string) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) {
			for name, values := range evil {
				w.Header()[name] = values
			}
			w.Header().Set("Content-Type", kind)
			w.Header().Set("X-Request-Id", "theirs")
			w.WriteHeader(status)
			io.WriteString(w, body)
		}
	}
	for name, h := range map[string]http.HandlerFunc{
		"an answer": answer(200, "application/json", gatewaytest.LeastAnswer("chat/completions", "hi", "")),
		"a stream":  answer(200, "text/event-stream", gatewaytest.ChatDelta("x")+gatewaytest.ChatStop+gatewaytest.ChatDone),
		"an error":  answer(429, "application/json", `{"error":{"message":"slow down"}}`),
	} {
		t.Run(name, func(t *testing.T) {
			up := gatewaytest.NewUpstream(t, h)
			gateway := testbed.Serve(t, aigateway.Config{
				Providers:         []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal", Models: []aigateway.Model{{ID: "m"}}}},
				InternalEndpoints: map[string]string{"p.internal": up.URL},
			})
			header, _, _ := attackDo(t, gateway+"/v1/chat/completions", `{"model":"m","stream":true}`, http.Header{"Content-Type": {"application/json"}})
			assert.Equal(t, "theirs", header.Get("X-Request-Id"), "what concerns the answer passes")
			for name := range evil {
				assert.NotContains(t, header, name)
			}
		})
	}
}

// TestAttackBombs has a provider answer with a few bytes of compressed
// megabytes. The gateway decompresses up to a bound.
func TestAttackBombs(t *testing.T) {
	for _, c := range []struct {
		name, kind string
		status     int
		front      string
		fill       byte
		size, most int // MiB: unfolded, and what may be allocated
	}{
		{"an answer", "application/json", 200, `{"x":"`, 'x', 192, 96},
		{"a stream of events", "text/event-stream", 200, "data: ", 'x', 40, 32},
		{"a stream of comments", "text/event-stream", 200, ": ", 'x', 40, 32},
		{"a stream of nothing", "text/event-stream", 200, "", '\n', 6, 4},
		{"an error", "application/json", 422, `{"error":{"message":"no sk-of-the-provider","x":"`, 'x', 192, 96},
	} {
		t.Run(c.name, func(t *testing.T) {
			data := attackBomb(t, c.front, c.fill, c.size<<20)
			up := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", c.kind)
				w.Header().Set("Content-Encoding", "gzip")
				w.WriteHeader(c.status)
				w.Write(data)
			})
			cfg := aigateway.Config{
				Registry: aigateway.NoRegistry(),
				Providers: []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal", APIKeys: []aigateway.APIKey{{Value: "sk-of-the-provider"}},
					Models: []aigateway.Model{{ID: "m"}}}},
				InternalEndpoints: map[string]string{"p.internal": up.URL},
			}
			gateway := testbed.Serve(t, cfg)
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			_, status, body := attackDo(t, gateway+"/v1/chat/completions", `{"model":"m","stream":true}`, http.Header{"Content-Type": {"application/json"}})
			runtime.ReadMemStats(&after)
			assert.Equal(t, c.status, status)
			most := uint64(c.most << 20)
			if raced {
				most *= 2
			}
			assert.Less(t, after.TotalAlloc-before.TotalAlloc, most, "all that was ever allocated")
			if c.status == 200 {
				assert.True(t, strings.HasPrefix(body, string(data[:10])), "it is relayed as it came")
				return
			}
			assert.Contains(t, body, "cannot be read here", "it cannot be searched for the key, and may hold it")
		})
	}
}

// attackBomb compresses a front and size further bytes, in members of 1 MiB
// each.
func attackBomb(t testing.TB, front string, fill byte, size int) []byte {
	t.Helper()
	pack := func(data []byte) []byte {
		var b bytes.Buffer
		w := gzip.NewWriter(&b)
		_, err := w.Write(data)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		return b.Bytes()
	}
	member := pack(bytes.Repeat([]byte{fill}, 1<<20))
	return append(pack([]byte(front)), bytes.Repeat(member, size>>20)...)
}

// TestAttackUnreadableError has a provider repeat the key under two encodings,
// or under an unknown one.
func TestAttackUnreadableError(t *testing.T) {
	var twice bytes.Buffer
	outer := gzip.NewWriter(&twice)
	_, err := outer.Write(attackBomb(t, `{"error":{"message":"no sk-of-the-provider"}}`, 'x', 0))
	require.NoError(t, err)
	require.NoError(t, outer.Close())
	for _, encoding := range []string{"gzip, gzip", "br", "zstd", "gzip"} {
		up := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.Header().Set("Content-Encoding", encoding)
			w.Header().Set("Retry-After", "7")
			w.WriteHeader(http.StatusTooManyRequests)
			w.Write(twice.Bytes()[:twice.Len()-1]) // cut, for the one that could be read
		})
		gateway := testbed.Serve(t, aigateway.Config{
			Providers:         []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal", APIKeys: []aigateway.APIKey{{Value: "sk-of-the-provider"}}, Models: []aigateway.Model{{ID: "m"}}}},
			InternalEndpoints: map[string]string{"p.internal": up.URL},
		})
		for path, want := range map[string]string{"embeddings": `"type":"rate_limit_error"`, "chat/completions": `"code":"upstream_error"`} {
			header, status, body := attackDo(t, gateway+"/v1/"+path, `{"model":"m"}`, http.Header{"Content-Type": {"application/json"}})
			assert.Equal(t, 429, status)
			assert.Equal(t, "7", header.Get("Retry-After"))
			assert.NotContains(t, header, "Content-Encoding")
			assert.Contains(t, body, "cannot be read here")
			assert.Contains(t, body, want)
		}
	}
}

// TestAttackRebinding has a public name lead to this machine. PublicURLPolicy
// refuses the dialled address.
func TestAttackRebinding(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	var reached atomic.Int64
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			reached.Add(1)
			conn.Close()
		}
	}()
	_, port, err := net.SplitHostPort(listener.Addr().String())
	require.NoError(t, err)

	resolver := net.DefaultResolver
	defer func() { net.DefaultResolver = resolver }()
	ask := func(policy aigateway.URLPolicy, ip string) *aigateway.Result {
		net.DefaultResolver = attackResolver(netip.MustParseAddr(ip))
		cfg := aigateway.Config{
			Registry: aigateway.NoRegistry(), URLPolicy: policy, TotalTimeout: "2s",
			Providers: []aigateway.Provider{{ID: "p", BaseURL: "https://rebind.example.com:" + port, Models: []aigateway.Model{{ID: "m"}}}},
		}
		var res *aigateway.Result
		cfg.Hooks = &aigateway.Hooks{RequestDone: func(_ context.Context, r *aigateway.Result) { res = r }}
		gateway := testbed.Serve(t, cfg)
		_, status, _ := attackDo(t, gateway+"/v1/chat/completions", `{"model":"m"}`, http.Header{"Content-Type": {"application/json"}})
		assert.Equal(t, 502, status)
		return res
	}
	res := ask(aigateway.StrictURLPolicy(), "127.0.0.1")
	require.EqualValues(t, 1, reached.Load(), "the name leads here: %+v", res.Error)

	for _, ip := range []string{"127.0.0.1", "::ffff:127.0.0.1", "64:ff9b::7f00:1", "::1", "10.0.0.1", "169.254.169.254", "fd00:ec2::254", "0.0.0.0"} {
		res := ask(aigateway.PublicURLPolicy(), ip)
		assert.Contains(t, res.ModelsTried[0].RequestsMade[0].Error, "is not a public address", ip)
		assert.NotContains(t, res.Error.Message, "127.0.0.1", "where a name leads is not for clients")
	}
	assert.EqualValues(t, 1, reached.Load())
}

// attackResolver answers every question for an address, over a pipe.
func attackResolver(addr netip.Addr) *net.Resolver {
	return &net.Resolver{PreferGo: true, Dial: func(context.Context, string, string) (net.Conn, error) {
		client, server := net.Pipe()
		go func() {
			defer server.Close()
			for {
				var size [2]byte // a message over a stream is led by its length
				if _, err := io.ReadFull(server, size[:]); err != nil {
					return
				}
				q := make([]byte, binary.BigEndian.Uint16(size[:]))
				if _, err := io.ReadFull(server, q); err != nil {
					return
				}
				end := 12 + bytes.IndexByte(q[12:], 0) + 5 // the name, its type and class
				kind := binary.BigEndian.Uint16(q[end-4:])
				a := slices.Concat(q[:2], []byte{0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0}, q[12:end])
				if kind == 1 && addr.Is4() || kind == 28 && addr.Is6() {
					a[7] = 1
					a = append(a, 0xc0, 12, 0, byte(kind), 0, 1, 0, 0, 0, 0, 0, byte(len(addr.AsSlice())))
					a = append(a, addr.AsSlice()...)
				}
				if _, err := server.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(a))), a...)); err != nil {
					return
				}
			}
		}()
		return client, nil
	}}
}

// attackPolicy judges addresses as it is told to.
type attackPolicy struct{ refuse atomic.Bool }

func (*attackPolicy) CheckURL(*url.URL) error { return nil }

func (p *attackPolicy) CheckAddr(netip.Addr) error {
	if p.refuse.Load() {
		return errors.New("not any more")
	}
	return nil
}

// TestAttackLateRebinding has an address become a forbidden one after the first
// request: each connection is judged, and not each name once.
func TestAttackLateRebinding(t *testing.T) {
	up := gatewaytest.NewUpstream(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Connection", "close")
		gatewaytest.Fitting("hello")(w, r)
	})
	policy := new(attackPolicy)
	gateway := testbed.Serve(t, aigateway.Config{
		Registry: aigateway.NoRegistry(), URLPolicy: policy,
		Providers:         []aigateway.Provider{{ID: "p", BaseURL: "http://p.internal", Models: []aigateway.Model{{ID: "m"}}}},
		InternalEndpoints: map[string]string{"p.internal": up.URL},
	})
	for _, want := range []int{200, 502} {
		_, status, body := attackDo(t, gateway+"/v1/chat/completions", `{"model":"m"}`, http.Header{"Content-Type": {"application/json"}})
		assert.Equal(t, want, status)
		assert.NotContains(t, body, "127.0.0.1")
		policy.refuse.Store(true)
	}
	assert.Equal(t, 1, up.Count())
}
