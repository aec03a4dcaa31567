package main

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"runtime"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway"
)

// soak is a gateway between clients and providers that fail at random.
type soak struct {
	random      *random
	secrets     *secrets
	cache       *aigateway.SecretCache // before secrets
	gateway     *aigateway.Gateway
	debug       http.Handler
	hooks       *hooks
	connections connections
	// The gateway has two servers, without TLS and with it.
	plain, encrypted *httptest.Server
	hosts            []*httptest.Server
	reach            []way
	dir              string
	until            time.Time // the end of the traffic

	lastClient atomic.Int64
	count      [outcomes]atomic.Int64
	played     []atomic.Int64 // by fault
	// protocols counts whole answers by the HTTP versions of client and provider.
	protocols [3][3]atomic.Int64
	// inProcess counts the whole answers without a socket, and translated those that came in
	// another format.
	inProcess, translated atomic.Int64
	// firstFault is the first answer that must not be; nil if all were good.
	firstFault atomic.Pointer[string]
}

// random is safe for concurrent use.
type random struct {
	mu  sync.Mutex
	rng *rand.Rand
}

func (r *random) intN(n int) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.rng.IntN(n)
}

const hostCount = 4

func newSoak(seed uint64) (s *soak, err error) {
	chance := &random{rng: rand.New(rand.NewPCG(seed, seed))} //nolint:gosec // chance, and not a secret
	s = &soak{
		random: chance, secrets: &secrets{random: chance}, played: make([]atomic.Int64, len(faults)),
		connections: connections{open: map[net.Conn]http.ConnState{}},
	}
	s.hooks = &hooks{s: s}
	s.cache = aigateway.NewSecretCache(s.secrets, 500*time.Millisecond)
	for i := range hostCount {
		s.hosts = append(s.hosts, s.serve(s.provider(i), i%2 == 1))
	}
	gateway := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { s.gateway.ServeHTTP(w, r) })
	s.plain, s.encrypted = s.serve(gateway, false), s.serve(gateway, true)
	if err = s.writeCA(); err == nil {
		s.gateway, err = aigateway.New(s.config(0))
	}
	if err != nil {
		s.close()
		return nil, err
	}
	s.reach = s.ways()
	s.debug = s.gateway.DebugHandler()
	return s, nil
}

// traffic sends requests for a while, reloads, rotates keys, and reports its progress.
func (s *soak) traffic(length time.Duration, clients int, out io.Writer) {
	s.until = time.Now().Add(length)
	ctx, stop := context.WithDeadline(context.Background(), s.until)
	defer stop()
	var senders sync.WaitGroup
	for i := range clients {
		senders.Go(func() {
			name := s.lastClient.Add(1)
			for n := 0; ctx.Err() == nil; n++ {
				w := s.reach[(i+n)%len(s.reach)]
				s.send(ctx, w, s.request(fmt.Sprintf("c%d-%d", name, n)))
			}
		})
	}
	senders.Go(func() {
		reload, rotate, tell := time.NewTicker(500*time.Millisecond), time.NewTicker(700*time.Millisecond), time.NewTicker(15*time.Second)
		defer reload.Stop()
		defer rotate.Stop()
		defer tell.Stop()
		for n := 0; ; {
			select {
			case <-ctx.Done():
				return
			case <-reload.C:
				n++
				s.reload(n)
			case <-rotate.C:
				s.secrets.rotate()
			case <-tell.C:
				open, _ := s.connections.count()
				fmt.Fprintf(out, "         goroutines %d, connections %d, %d whole answers\n", runtime.NumGoroutine(), open, s.count[answered].Load())
			}
		}
	})
	senders.Wait()
}

// exchanged counts a whole answer. Behind a keepalive the provider's protocol is not
// known.
func (s *soak) exchanged(w way, resp *http.Response) {
	if resp.Header.Get(headerTranslated) != "" {
		s.translated.Add(1)
	}
	if w.inProcess {
		s.inProcess.Add(1)
		return
	}
	if v := resp.Header.Get(headerProtocol); v != "" {
		s.protocols[resp.ProtoMajor][v[0]-'0'].Add(1)
	}
}

// fault notes an answer that must not be.
func (s *soak) fault(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	s.firstFault.CompareAndSwap(nil, &text)
}

func (s *soak) servers() []*httptest.Server {
	return append([]*httptest.Server{s.plain, s.encrypted}, s.hosts...)
}

func (s *soak) close() {
	for _, w := range s.reach {
		w.client.CloseIdleConnections()
	}
	for _, h := range s.servers() {
		h.CloseClientConnections()
		h.Close()
	}
	os.RemoveAll(s.dir)
}
