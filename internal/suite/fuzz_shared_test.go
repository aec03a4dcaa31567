package suite_test

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// scriptedStore answers the first exchange with records. It ends the loop that asks it
// after some exchanges.
type scriptedStore struct {
	records   []aigateway.SharedRecord
	exchanges int
	end       context.CancelFunc

	mu    sync.Mutex
	asked int
	put   map[string]aigateway.SharedRecord
}

func (s *scriptedStore) Exchange(_ context.Context, put []aigateway.SharedRecord, _ aigateway.SharedCursor) (aigateway.SharedChanges, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, r := range put {
		s.put[r.Key] = r
	}
	s.asked++
	changes := aigateway.SharedChanges{Now: time.Now(), Cursor: aigateway.SharedCursor{Epoch: "1", Seq: int64(s.asked)}}
	if s.asked == 1 {
		changes.Records, changes.More = s.records, true
	}
	if s.asked == s.exchanges {
		s.end()
	}
	return changes, nil
}

func (s *scriptedStore) Take(context.Context, []aigateway.SharedTake) (aigateway.SharedTaken, error) {
	return aigateway.SharedTaken{}, errors.New("not here")
}

// inFleet is a replica after some exchanges. Its store then holds its own records.
func inFleet(t testing.TB, records []aigateway.SharedRecord, exchanges int, before func(*aigateway.Gateway)) (*aigateway.Gateway, *scriptedStore) {
	t.Helper()
	ctx, end := context.WithCancel(t.Context())
	defer end()
	store := &scriptedStore{records: records, exchanges: exchanges, end: end, put: map[string]aigateway.SharedRecord{}}
	cfg := testbed.Config(1, "a", "b")
	cfg.Shared, cfg.SharedSecret = store, []byte("a secret of 32 bytes for a fleet")
	cfg.CallerExpr = "req.headers['x-team'][0]"
	cfg.ClientLimits = []aigateway.ClientLimit{{RequestsPerMinute: 1000, USDPerDay: 100}}
	cfg.ModelSelection.Strategy = []string{"ai.models.sticky(req.session, 1.5)"}
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		if strings.HasPrefix(r.Host, "a.") {
			w.Header().Set("X-Ratelimit-Remaining-Requests", "5")
			gatewaytest.RateLimited("60")(w, r)
		} else {
			gatewaytest.Fitting("hi")(w, r)
		}
		return w.Result(), nil
	})
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	if before != nil {
		before(g)
	}
	require.ErrorIs(t, g.Run(ctx), context.Canceled)
	return g, store
}

// askFleet sends requests of a caller. Each answer is well-formed.
func askFleet(t testing.TB, g *aigateway.Gateway) {
	for _, r := range []*http.Request{
		httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(testbed.ChatRequest)),
		httptest.NewRequest(http.MethodPost, "/v1/responses", strings.NewReader(`{"model":"m","input":"hi"}`)),
		httptest.NewRequest(http.MethodGet, "/v1/responses/resp_1", nil),
	} {
		r.Header.Set("X-Team", "red")
		r.Header.Set("X-Session-Id", "s")
		w := httptest.NewRecorder()
		g.ServeHTTP(w, r)
		require.True(t, json.Valid(w.Body.Bytes()), "%d: %s", w.Code, w.Body)
	}
}

// FuzzSharedRecords has a replica read records of a store that somebody has changed.
// Nothing panics, and requests have well-formed answers.
func FuzzSharedRecords(f *testing.F) {
	_, store := inFleet(f, nil, 6, func(g *aigateway.Gateway) { askFleet(f, g) })
	var told []aigateway.SharedRecord
	for _, r := range store.put {
		told = append(told, r)
		f.Add(r.Key, r.Value, r.Rank, int64(r.TTL))
		f.Add(r.Key, r.Value[:len(r.Value)/2], int64(1), int64(-1))
		f.Add(r.Key[:len(r.Key)-1], []byte(`{"v":1,"b":9223372036854775807,"u":-9223372036854775808,"n":-1}`), int64(1)<<62, int64(1)<<62)
	}
	if len(told) < 3 {
		f.Fatal("the replica told too little", len(told))
	}
	f.Fuzz(func(t *testing.T, key string, value []byte, rank, ttl int64) {
		records := append([]aigateway.SharedRecord{{Key: key, Value: value, Rank: rank, TTL: time.Duration(ttl)}}, told...)
		g, _ := inFleet(t, records, 2, nil)
		askFleet(t, g)
		w := httptest.NewRecorder()
		g.DebugHandler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/?format=json", nil))
		require.True(t, json.Valid(w.Body.Bytes()), w.Body)
		g.Fleet()
	})
}
