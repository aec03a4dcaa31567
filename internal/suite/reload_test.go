package suite_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// TestReloadUnderFire reloads a gateway 200 times under 64 clients over sockets.
// Half of the configs are refused. Every request is answered by a single config.
// Afterwards no goroutine and no connection is left.
func TestReloadUnderFire(t *testing.T) {
	before := runtime.NumGoroutine()
	const hosts, clients, reloads = 4, 64, 200
	fire := &reloadFire{t: t}
	for i := range hosts {
		fire.serve(fmt.Sprint("p", i))
	}
	g, err := aigateway.New(fire.config(0))
	require.NoError(t, err)
	other, err := aigateway.New(fire.config(hosts)) // of the same process, and never reloaded
	require.NoError(t, err)
	gateway, apart := httptest.NewServer(g), httptest.NewServer(other)
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: clients}}

	var served atomic.Int64
	stop := make(chan struct{})
	var senders sync.WaitGroup
	for n := range clients {
		senders.Go(func() {
			for i := n; ; i++ {
				select {
				case <-stop:
					return
				default:
				}
				server, version := gateway, ""
				if n == 0 {
					server, version = apart, fmt.Sprint("v", hosts)
				}
				if fire.ask(client, server.URL, i%2 == 0, version) {
					served.Add(1)
				}
			}
		})
	}
	traffic := func(n int64) {
		for now := served.Load(); served.Load() < now+n && !t.Failed(); {
			runtime.Gosched()
		}
	}
	for i := range reloads / 2 {
		traffic(8)
		assert.NoError(t, g.Reload(fire.config(i+1)))
		bad := fire.config(i + 1)
		switch i % 3 {
		case 0:
			bad.Providers[0].BaseURL = "http://example.com"
		case 1:
			bad.ModelSelection.Strategy = []string{"ai.nope"}
		case 2:
			bad.MaxRetries = -1
		}
		assert.Error(t, g.Reload(bad))
	}
	traffic(clients)
	close(stop)
	senders.Wait()
	t.Logf("%d requests, %d of them failed over", served.Load(), fire.failed.Load())
	assert.Positive(t, fire.failed.Load(), "it was under fire")

	// A gateway has no Close. Its idle connections end with the servers, or
	// after 90 s.
	client.CloseIdleConnections()
	gateway.Close()
	apart.Close()
	fire.close()
	assert.Zero(t, fire.open.Load(), "connections to providers")
	gatewaytest.Settled(t, before)
}

// reloadFire is a set of providers. Each checks that every request comes from a
// single config.
type reloadFire struct {
	t       *testing.T
	servers []*httptest.Server
	open    atomic.Int64 // connections
	failed  atomic.Int64 // requests that were sent on to another provider
}

// serve adds a provider. Its config's version is in the path, the header, the
// key, the query, the model and the body of each request, and its own name too.
func (f *reloadFire) serve(id string) {
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		var body struct{ Model, V, P string }
		if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
			f.t.Errorf("%s: %v", id, err)
		}
		v, want := body.V, id+"-"+body.V
		got := []string{r.URL.Path, r.Header.Get("X-V"), r.Header.Get("X-P"), r.Header.Get("Authorization"), r.URL.Query().Get("v"), body.Model, body.P, r.Host}
		if !assert.ObjectsAreEqual([]string{"/" + v + "/chat/completions", v, want, "Bearer sk-" + want, v, "m-" + want, want, id + ".internal"}, got) {
			f.t.Errorf("a mix of configs at %s: %q", want, got)
		}
		if r.Header.Get("X-Request-Id") == "fail" && id != "p0" && id != "p1" {
			f.failed.Add(1)
			gatewaytest.Error(http.StatusServiceUnavailable, "", "down")(w, r)
			return
		}
		if r.Header.Get("Accept") == "text/event-stream" {
			gatewaytest.Stream(gatewaytest.ChatRole, gatewaytest.ChatDelta("from "+v), gatewaytest.ChatStop, gatewaytest.ChatDone)(w, r)
			return
		}
		gatewaytest.Chat("from "+v)(w, r)
	}))
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		switch state {
		case http.StateNew:
			f.open.Add(1)
		case http.StateClosed, http.StateHijacked:
			f.open.Add(-1)
		}
	}
	server.Start()
	f.servers = append(f.servers, server)
}

// config is one of many. Each has two providers of its own; the first may fail.
func (f *reloadFire) config(n int) aigateway.Config {
	v := fmt.Sprint("v", n)
	cfg := aigateway.Config{
		Registry: aigateway.NoRegistry(), InternalEndpoints: map[string]string{},
		Headers:     map[string]aigateway.Template{"X-V": aigateway.Template(v)},
		QueryParams: map[string]aigateway.Template{"v": aigateway.Template(v)},
		Body:        map[string]any{"v": v},
	}
	for _, i := range []int{2 + n%2, n / 2 % 2} {
		id := fmt.Sprint("p", i)
		own := id + "-" + v
		cfg.InternalEndpoints[id+".internal"] = f.servers[i].URL
		cfg.Providers = append(cfg.Providers, aigateway.Provider{
			ID: id, BaseURL: "http://" + id + ".internal/" + v, APIKeys: []aigateway.APIKey{{Value: aigateway.Template("sk-" + own)}},
			Headers: map[string]aigateway.Template{"X-P": aigateway.Template(own)}, Body: map[string]any{"p": own},
			Models: []aigateway.Model{{ID: "m-" + own, IDAliases: []string{"m"}}},
		})
	}
	return cfg
}

// ask sends one request, and reports whether its answer is whole and, if a
// version is given, of that version.
func (f *reloadFire) ask(client *http.Client, gateway string, stream bool, version string) bool {
	req, err := http.NewRequest(http.MethodPost, gateway+"/v1/chat/completions", strings.NewReader(fmt.Sprintf(`{"model":"m","stream":%t}`, stream)))
	if err != nil {
		f.t.Error(err)
		return false
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("X-Request-Id", "fail")
	if stream {
		req.Header.Set("Accept", "text/event-stream")
	}
	resp, err := client.Do(req)
	if err != nil {
		f.t.Error(err)
		return false
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK || !strings.Contains(string(data), "from v"+strings.TrimPrefix(version, "v")) {
		f.t.Errorf("%d %v %s", resp.StatusCode, err, data)
		return false
	}
	return true
}

func (f *reloadFire) close() {
	for _, s := range f.servers {
		s.CloseClientConnections()
		s.Close()
	}
}

// TestReloadClosesConnections has the gateway change its transport with the
// policy on addresses: the idle connections of the old one are closed.
func TestReloadClosesConnections(t *testing.T) {
	fire := &reloadFire{t: t}
	for i := range 4 {
		fire.serve(fmt.Sprint("p", i))
	}
	defer fire.close()
	g, err := aigateway.New(fire.config(0))
	require.NoError(t, err)
	server := httptest.NewServer(g)
	defer server.Close()
	require.True(t, fire.ask(http.DefaultClient, server.URL, false, "v0"))
	require.Positive(t, fire.open.Load())
	strict := fire.config(1)
	strict.URLPolicy = new(attackPolicy)
	require.NoError(t, g.Reload(strict))
	end := time.NewTimer(5 * time.Second)
	defer end.Stop()
	look := time.NewTicker(time.Millisecond)
	defer look.Stop()
	for fire.open.Load() > 0 {
		select {
		case <-look.C:
		case <-end.C:
			t.Fatalf("%d connections are left", fire.open.Load())
		}
	}
	require.True(t, fire.ask(http.DefaultClient, server.URL, true, "v1"))
}
