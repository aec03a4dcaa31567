package stats

import (
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// began is when the scripts of these tests begin: at no round number of slots.
var began = time.Date(2026, 5, 4, 3, 2, 1, 7, time.UTC)

func at(d time.Duration) time.Time { return began.Add(d) }

const msec = time.Millisecond

// request records one request that took no time to speak of.
func request(s *Series, now time.Time, o Outcome) {
	s.Begin()
	s.End(now, o)
}

func TestWindowNumbers(t *testing.T) {
	var s Series
	assert.Zero(t, s.Window(at(0)), "zero when empty")

	s.Begin()
	s.Begin()
	assert.Equal(t, Window{InFlight: 2}, s.Window(at(0)))
	s.End(at(time.Second), Outcome{
		Upstream: 100 * msec, Gateway: msec, FirstToken: 40 * msec, PerOutputToken: 2 * msec,
		ProviderInput: 10, ProviderOutput: 20, EstimatedInput: 11, EstimatedOutput: 21, Cost: 1_500_000_000,
	})
	s.End(at(40*time.Second), Outcome{
		Upstream: 300 * msec, Gateway: 3 * msec, FirstToken: 60 * msec, PerOutputToken: 4 * msec,
		ProviderInput: 1, ProviderOutput: 2, EstimatedInput: 3, EstimatedOutput: 4, Cost: 250_000_000,
	})
	for _, c := range []Class{TimedOut, RateLimited, RateLimited, ClientFault, ClientFault, ClientFault, ServerFault, 200} {
		request(&s, at(90*time.Second), Outcome{Class: c})
	}
	s.Begin()
	assert.Equal(t, Window{
		Requests: 10, InFlight: 1,
		Upstream:       Latency{Avg: 200, P95: 300},
		Gateway:        Latency{Avg: 2, P95: 3},
		FirstToken:     Latency{Avg: 50, P95: 60},
		PerOutputToken: Latency{Avg: 3, P95: 4},
		Errors:         Rates{Total: .8, Timeout: .1, RateLimit: .2, Client: .3, Server: .2},
		Tokens:         Tokens{ProviderInput: 11, ProviderOutput: 22, EstimatedInput: 14, EstimatedOutput: 25},
		CostUSD:        1.75,
	}, s.Window(at(91*time.Second)))
}

func TestWindowOfNonsense(t *testing.T) {
	var s Series
	s.End(at(0), Outcome{Upstream: -1, FirstToken: 1 << 62, ProviderInput: -5, ProviderOutput: 1 << 62})
	w := s.Window(at(0))
	assert.Equal(t, Window{
		Requests: 1, FirstToken: Latency{Avg: 86400e3, P95: 86400e3}, Tokens: Tokens{ProviderOutput: 1 << 40},
	}, w, "an End without a Begin, negative and absurd numbers")
}

func TestWindowRolls(t *testing.T) {
	tests := map[string]struct {
		records []time.Duration
		now     time.Duration
		want    int64
	}{
		"same instant":             {[]time.Duration{0}, 0, 1},
		"last of the window":       {[]time.Duration{0}, 5*time.Minute - 1, 1},
		"just gone":                {[]time.Duration{0}, 5 * time.Minute, 0},
		"end of the first slot":    {[]time.Duration{0, 30*time.Second - 1}, 5*time.Minute - 1, 2},
		"goes with its slot":       {[]time.Duration{0, 30*time.Second - 1}, 5 * time.Minute, 0},
		"next slot stays":          {[]time.Duration{0, 30 * time.Second}, 5 * time.Minute, 1},
		"all ten slots":            {[]time.Duration{0, 30e9, 60e9, 90e9, 120e9, 150e9, 180e9, 210e9, 240e9, 270e9}, 299e9, 10},
		"the eleventh replaces":    {[]time.Duration{0, 30e9, 60e9, 90e9, 120e9, 150e9, 180e9, 210e9, 240e9, 270e9, 300e9}, 300e9, 10},
		"after a long silence":     {[]time.Duration{0, 1e9, 24 * time.Hour}, 24 * time.Hour, 1},
		"place in the ring reused": {[]time.Duration{0, 0, 5 * time.Minute}, 5 * time.Minute, 1},
		"nothing for long":         {[]time.Duration{0, 1e9}, 24 * time.Hour, 0},
		"before the first":         {[]time.Duration{0, -time.Second}, 0, 2},
		"late by a slot":           {[]time.Duration{60e9, 10e9}, 60e9, 2},
		"late by a ring":           {[]time.Duration{0, 5 * time.Minute, 1e9}, 5 * time.Minute, 2},
		"reader a moment behind":   {[]time.Duration{0, 30e9}, 30e9 - 1, 2},
		"reader far behind":        {[]time.Duration{0, 90e9}, 0, 1},
		"reader of another clock":  {[]time.Duration{0}, -time.Hour, 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var s Series
			for _, d := range tt.records {
				request(&s, at(d), Outcome{Class: ServerFault, Upstream: time.Second, ProviderInput: 7})
			}
			w := s.Window(at(tt.now))
			assert.Equal(t, tt.want, w.Requests)
			assert.Equal(t, 7*tt.want, w.Tokens.ProviderInput)
			assert.Equal(t, tt.want == 0, s.idle(at(tt.now)))
			if tt.want > 0 {
				assert.Equal(t, Latency{1000, 1000}, w.Upstream)
				assert.Equal(t, 1., w.Errors.Server)
			} else {
				assert.Zero(t, w)
			}
		})
	}
}

// Slots rotate under writers and readers: every record counts, and readers see only
// real numbers.
func TestSeriesConcurrently(t *testing.T) {
	const (
		writers = 64
		each    = 300
	)
	var (
		s       Series
		clock   atomic.Int64
		wg      sync.WaitGroup
		readers sync.WaitGroup
		done    = make(chan struct{})
	)
	for range 4 {
		readers.Go(func() {
			for {
				w := s.Window(at(time.Duration(clock.Load())))
				for _, l := range []Latency{w.Upstream, w.FirstToken} {
					if l.Avg != 0 && (l.Avg < 1 || l.Avg > 64) || l.P95 != 0 && (l.P95 < 1 || l.P95 > 64) {
						t.Errorf("latency out of what was recorded: %+v", w)
						return
					}
				}
				if w.Errors.Total > 1 || w.InFlight > writers || w.Requests > writers*each {
					t.Errorf("impossible: %+v", w)
					return
				}
				select {
				case <-done:
					return
				default:
				}
			}
		})
	}
	for i := range writers {
		wg.Go(func() {
			for range each {
				s.Begin()
				// A step of 10 ms goes through nearly seven slots in all.
				now := at(time.Duration(clock.Add(int64(10 * msec))))
				s.End(now, Outcome{Class: Class(i % 5), Upstream: time.Duration(i+1) * msec, FirstToken: msec, ProviderInput: 1})
			}
		})
	}
	wg.Wait()
	close(done)
	readers.Wait()

	w := s.Window(at(time.Duration(clock.Load())))
	assert.EqualValues(t, writers*each, w.Requests)
	assert.EqualValues(t, writers*each, w.Tokens.ProviderInput)
	assert.Zero(t, w.InFlight)
	assert.InDelta(t, 32.5, w.Upstream.Avg, 1e-9)
	assert.Equal(t, Latency{1, 1}, w.FirstToken)
	assert.InDelta(t, 51./64, w.Errors.Total, 1e-9)
}

// Many first records at once end up in the same ring and slot.
func TestFirstRecordsTogether(t *testing.T) {
	const goroutines, rounds = 8, 3000
	var (
		series [rounds / 5]Series // each has a ring to make, and four more slots
		wg     sync.WaitGroup
		ready  [rounds]atomic.Int32
	)
	for range goroutines {
		wg.Go(func() {
			for i := range rounds {
				// All wait for the last, in a spin: a lock would line them up.
				for ready[i].Add(1); ready[i].Load() < goroutines; {
					runtime.Gosched()
				}
				request(&series[i/5], at(time.Duration(i%5)*slotLength), Outcome{})
			}
		})
	}
	wg.Wait()
	for i := range series {
		require.EqualValues(t, 5*goroutines, series[i].Window(at(4*slotLength)).Requests)
	}
}

func TestRecordDoesNotAllocate(t *testing.T) {
	var s Series
	request(&s, at(0), Outcome{Upstream: 1})
	o := Outcome{Class: ServerFault, Upstream: time.Second, Gateway: msec, FirstToken: msec, PerOutputToken: msec, ProviderInput: 1}
	assert.Zero(t, testing.AllocsPerRun(100, func() { request(&s, at(time.Second), o) }))
	assert.Zero(t, testing.AllocsPerRun(100, func() { s.Window(at(time.Second)) }))
	require.EqualValues(t, 102, s.Window(at(time.Second)).Requests)
}

func BenchmarkRecord(b *testing.B) {
	o := Outcome{
		Upstream: 2 * time.Second, Gateway: 50 * time.Microsecond, FirstToken: 300 * msec, PerOutputToken: 12 * msec,
		ProviderInput: 1000, ProviderOutput: 200, EstimatedInput: 990, EstimatedOutput: 200,
	}
	b.Run("alone", func(b *testing.B) {
		var s Series
		b.ReportAllocs()
		for b.Loop() {
			request(&s, began, o)
		}
	})
	b.Run("contended", func(b *testing.B) {
		var s Series
		b.ReportAllocs()
		b.RunParallel(func(pb *testing.PB) {
			for pb.Next() {
				request(&s, began, o)
			}
		})
	})
}

func BenchmarkWindow(b *testing.B) {
	var s Series
	for i := range 10_000 {
		d := time.Duration(i%500+1) * msec
		request(&s, at(time.Duration(i)*29*msec), Outcome{Upstream: 9 * d, Gateway: d / 100, FirstToken: d, PerOutputToken: d / 20})
	}
	b.ReportAllocs()
	for b.Loop() {
		s.Window(at(290 * time.Second))
	}
}
