package stats

import (
	"fmt"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestTracksAreStable(t *testing.T) {
	r := NewRecorder("", "")
	m := r.Model("p", "m")
	assert.Same(t, m, r.Model("p", "m"))
	assert.Same(t, m, r.Unlisted("p", "m", 0, began), "listed already")
	assert.NotSame(t, m, r.Model("p", "M"))
	assert.NotSame(t, m, r.Model("q", "m"))
	assert.NotSame(t, m, r.Key("p", "m"), "a key is not a model")
	assert.Same(t, r.Key("p", "k"), r.Key("p", "k"))

	unlisted := r.Unlisted("p", "new", 0, began)
	assert.Same(t, unlisted, r.Unlisted("p", "new", 0, began))
	assert.Same(t, unlisted, r.Model("p", "new"), "a reload lists it")
	assert.Same(t, unlisted, r.Unlisted("p", "new", 0, began))
	assert.Empty(t, r.unlisted.entries)
	assert.Empty(t, r.unlisted.shares)

	var wg sync.WaitGroup
	got := make([]*Track, 16)
	for i := range got {
		wg.Go(func() { got[i] = r.Model("p", "raced") })
	}
	wg.Wait()
	for _, g := range got {
		assert.Same(t, got[0], g)
	}
}

func TestScopes(t *testing.T) {
	var g registry
	gateways := []*Recorder{
		g.newRecorder("eu", "a"), // 1 request
		g.newRecorder("eu", "b"), // 10
		g.newRecorder("us", "a"), // 100
		g.newRecorder("", ""),    // 1000
		g.newRecorder("", ""),    // has the model, and no request
		g.newRecorder("eu", "a"), // never heard of the model
	}
	for i, n := range []int{1, 10, 100, 1000, 0} {
		m := gateways[i].Model("p", "m")
		for range n {
			request(&m.Series, at(0), Outcome{Upstream: time.Duration(i+1) * time.Second})
		}
		m.Begin()
	}
	gateways[0].Key("p", "m").End(at(0), Outcome{})

	read := func(i int) [4]int64 {
		s := gateways[i].Read(gateways[i].Model("p", "m"), at(time.Minute))
		return [4]int64{s.Endpoint.Requests, s.Region.Requests, s.Account.Requests, s.Global.Requests}
	}
	assert.Equal(t, [4]int64{1, 11, 101, 1111}, read(0))
	assert.Equal(t, [4]int64{10, 11, 10, 1111}, read(1))
	assert.Equal(t, [4]int64{100, 100, 101, 1111}, read(2))
	assert.Equal(t, [4]int64{1000, 1000, 1000, 1111}, read(3), "no names, no company")
	assert.Equal(t, [4]int64{0, 0, 0, 1111}, read(4))
	assert.Equal(t, [4]int64{0, 11, 101, 1111}, read(5))

	s := gateways[0].Read(gateways[0].Model("p", "m"), at(time.Minute))
	assert.EqualValues(t, 5, s.Global.InFlight)
	assert.Equal(t, Latency{1000, 1000}, s.Endpoint.Upstream)
	assert.InDelta(t, 1000*21./11, s.Region.Upstream.Avg, 1e-9)
	assert.Equal(t, 2000., s.Region.Upstream.P95)

	gateways[3].Move("eu", "")
	assert.Equal(t, [4]int64{1, 1011, 101, 1111}, read(0), "moved by a reload")

	s = gateways[0].Read(gateways[0].Model("p", "m"), at(time.Hour))
	assert.Equal(t, Window{InFlight: 1}, s.Endpoint)
	runtime.KeepAlive(gateways)
}

func TestLoneGatewayIsEveryScope(t *testing.T) {
	var g registry
	r := g.newRecorder("eu", "a")
	m := r.Model("p", "m")
	request(&m.Series, at(0), Outcome{})
	s := r.Read(m, at(0))
	assert.EqualValues(t, 1, s.Endpoint.Requests)
	assert.Equal(t, Scopes{s.Endpoint, s.Endpoint, s.Endpoint, s.Endpoint}, s)
	assert.Zero(t, testing.AllocsPerRun(100, func() { r.Read(m, at(0)) }))
}

// collected runs the collector until ok.
func collected(t *testing.T, ok func() bool) {
	t.Helper()
	for range 1000 {
		if ok() {
			return
		}
		runtime.GC()
		runtime.Gosched() // cleanups have a goroutine of their own
	}
	require.FailNow(t, "never collected")
}

func TestDroppedRecorderLeavesTheScopes(t *testing.T) {
	var g registry
	kept := g.newRecorder("eu", "a")
	m := kept.Model("p", "m")
	request(&m.Series, at(0), Outcome{})
	var inUse *Track
	for range 3 {
		dropped := g.newRecorder("eu", "a")
		inUse = dropped.Model("p", "m")
		request(&inUse.Series, at(0), Outcome{})
	}
	collected(t, func() bool { return len(g.all()) == 1 })
	s := kept.Read(m, at(0))
	assert.EqualValues(t, 1, s.Global.Requests)
	assert.EqualValues(t, 1, s.Region.Requests)
	inUse.End(at(0), Outcome{}) // a request that outlives its gateway
	runtime.KeepAlive(kept)
}

func TestProcessKnowsItsRecorders(t *testing.T) {
	a, b := NewRecorder("", ""), NewRecorder("", "")
	m := a.Model("known to the process", "m")
	request(&b.Model("known to the process", "m").Series, at(0), Outcome{})
	s := a.Read(m, at(0))
	assert.Zero(t, s.Endpoint.Requests)
	assert.EqualValues(t, 1, s.Global.Requests)
	runtime.KeepAlive(b)
}

func TestManyUnusedModelsCostLittle(t *testing.T) {
	const n = 10_000
	names := make([]string, n)
	for i := range names {
		names[i] = fmt.Sprint("model-", i)
	}
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	r := NewRecorder("", "")
	for _, name := range names {
		r.Model("p", name)
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	each := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) / n
	t.Logf("%d bytes for each unused model", each)
	assert.Less(t, each, int64(400))
	runtime.KeepAlive(r)
}

func BenchmarkRead(b *testing.B) {
	for _, n := range []int{1, 4} {
		b.Run(fmt.Sprintf("gateways=%d", n), func(b *testing.B) {
			var g registry
			gateways := make([]*Recorder, n)
			for k := range gateways {
				gateways[k] = g.newRecorder("eu", "a")
				m := gateways[k].Model("p", "m")
				for i := range 1000 {
					d := time.Duration(i%500+1) * msec
					request(&m.Series, at(time.Duration(i)*290*msec), Outcome{Upstream: 9 * d, Gateway: d / 100, FirstToken: d, PerOutputToken: d / 20})
				}
			}
			m := gateways[0].Model("p", "m")
			b.ReportAllocs()
			for b.Loop() {
				gateways[0].Read(m, at(290*time.Second))
			}
			runtime.KeepAlive(gateways)
		})
	}
	b.Run("unused", func(b *testing.B) {
		var g registry
		r := g.newRecorder("", "")
		m := r.Model("p", "m")
		for b.Loop() {
			r.Read(m, began)
		}
	})
}

func BenchmarkLookUp(b *testing.B) {
	r := NewRecorder("", "")
	r.Model("provider", "model")
	b.ReportAllocs()
	for b.Loop() {
		r.Model("provider", "model")
	}
}
