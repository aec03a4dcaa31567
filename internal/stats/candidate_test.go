package stats

import (
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const lease = time.Minute

var (
	rules      = Rules{Failures: 5, First: 5 * time.Second, Longest: 15 * time.Second}
	provoked   = Failure{Rules: rules}
	unprovoked = Failure{Rules: rules, Unprovoked: true}
	onSurface  = Failure{Rules: rules, ThisSurface: true}
)

// The callers of these tests, and the surfaces that they use.
var (
	ann  = Request{Caller: 1}
	bob  = Request{Caller: 2}
	cleo = Request{Caller: 3}
)

func (r Request) on(s Surface) Request { r.Surface = s; return r }

func secs(n float64) time.Duration { return time.Duration(n * float64(time.Second)) }

// fail has a request fail at a time, and returns its Turn.
func fail(h *CandidateHealth, now time.Time, r Request, f Failure) *Turn {
	turn, _ := h.Begin(now, r, lease, true)
	turn.Failure(now, f)
	return &turn
}

func succeed(h *CandidateHealth, now time.Time, r Request) {
	turn, _ := h.Begin(now, r, lease, true)
	turn.Success(now)
}

// tripped returns a health that is in cooldown for everybody from 0 to 5 s.
func tripped(t *testing.T) *CandidateHealth {
	t.Helper()
	h := new(CandidateHealth)
	for i := range rules.Failures {
		require.Equal(t, State{Failures: i}, h.State(at(0), ann))
		fail(h, at(0), ann, unprovoked)
	}
	require.Equal(t, State{CoolingDown, at(secs(5)), 5}, h.State(at(0), ann))
	require.Equal(t, State{CoolingDown, at(secs(5)), 5}, h.State(at(0), cleo))
	return h
}

func TestZeroHealthIsHealthy(t *testing.T) {
	var h CandidateHealth
	assert.Zero(t, h.State(at(0), ann))
	turn, ok := h.Begin(at(0), ann, lease, false)
	assert.True(t, ok)
	assert.False(t, turn.Probe())
	turn.Retract(at(0))
	turn.Success(at(0))
	turn.Retract(at(0))
	assert.Zero(t, h.State(at(0), ann))
	new(Turn).Answers()
	new(Turn).Success(at(0))
	new(Turn).Failure(at(0), provoked)
	new(Turn).Retract(at(0))
	new(Turn).Release(at(0))
}

// Each row lists reports in their order, and the callers they put the candidate
// last for.
func TestBlame(t *testing.T) {
	type step struct {
		who     Request
		failure *Failure // nil: success
	}
	p, u, s := &provoked, &unprovoked, &onSurface
	chat, embeddings := Surface(0), Surface(1)
	times := func(n int, who Request, f *Failure) []step {
		var list []step
		for range n {
			list = append(list, step{who, f})
		}
		return list
	}
	join := func(lists ...[]step) (all []step) {
		for _, l := range lists {
			all = append(all, l...)
		}
		return all
	}
	for name, tt := range map[string]struct {
		steps []step
		last  []Request // for whom the candidate is last, of ann, bob and cleo
	}{
		"four":                         {times(4, ann, p), nil},
		"five of one caller":           {times(5, ann, p), []Request{ann}},
		"a hundred of one caller":      {times(100, ann, p), []Request{ann}},
		"five of two callers":          {join(times(4, ann, p), times(1, bob, p)), []Request{ann, bob, cleo}},
		"five of one, then another":    {join(times(5, ann, p), times(1, bob, p)), []Request{ann, bob, cleo}},
		"two of each":                  {join(times(2, ann, p), times(2, bob, p)), nil},
		"a success between":            {join(times(4, ann, p), times(1, cleo, nil), times(1, bob, p)), nil},
		"others' successes do not end": {join(times(4, ann, p), times(1, cleo, nil), times(1, ann, p)), []Request{ann}},
		"one's own success ends":       {join(times(4, ann, p), times(1, ann, nil), times(1, ann, p)), nil},
		"others end only everybody's":  {join(times(5, ann, p), times(1, bob, nil)), []Request{ann}},
		"five connects of one caller":  {times(5, ann, u), []Request{ann, bob, cleo}},
		"four connects":                {times(4, ann, u), nil},
		"a connect among one's own":    {join(times(4, ann, p), times(1, ann, u)), []Request{ann, bob, cleo}},
		"hostile ones between good":    {join(times(9, ann, p), times(1, bob, nil), times(9, ann, p), times(4, bob, p)), []Request{ann}},
		"a surface alone":              {join(times(4, ann.on(embeddings), s), times(1, bob.on(embeddings), s)), nil},
		"each surface counts alone":    {join(times(4, ann, s), times(1, bob.on(embeddings), s)), nil},
		"chat's own":                   {join(times(4, ann, s), times(1, bob, s)), []Request{ann, bob, cleo}},
		"a surface's, from one caller": {times(5, ann, s), []Request{ann}},
		"surfaces and all do not add":  {join(times(4, ann, s), times(1, bob, p)), nil},
		"success on another surface":   {join(times(4, ann, s), times(1, bob.on(embeddings), nil), times(1, bob, s)), []Request{ann, bob, cleo}},
	} {
		t.Run(name, func(t *testing.T) {
			var h CandidateHealth
			for _, s := range tt.steps {
				if s.failure == nil {
					succeed(&h, at(0), s.who)
				} else {
					fail(&h, at(0), s.who, *s.failure)
				}
			}
			for _, who := range []Request{ann, bob, cleo} {
				want := false
				for _, l := range tt.last {
					want = want || l == who
				}
				assert.Equal(t, want, h.State(at(0), who.on(chat)).Phase == CoolingDown, "caller %d", who.Caller)
				_, ok := h.Begin(at(0), who, lease, true)
				assert.Equal(t, !want, ok)
			}
		})
	}
}

func TestSurfaceCooldownSparesOthers(t *testing.T) {
	var h CandidateHealth
	for range 5 {
		fail(&h, at(0), ann.on(7), Failure{Rules: rules, ThisSurface: true, Unprovoked: true})
	}
	assert.Equal(t, CoolingDown, h.State(at(0), bob.on(7)).Phase)
	assert.Zero(t, h.State(at(0), bob))
	assert.Zero(t, h.State(at(0), bob.on(200)))
	succeed(&h, at(0), bob)
	assert.Equal(t, CoolingDown, h.State(at(0), bob.on(7)).Phase, "a success elsewhere shows nothing")
	probe(t, &h, at(secs(5)), bob.on(7)).Success(at(secs(5)))
	assert.True(t, h.trouble.Load().well.Load())
}

// A caller with a cooldown of its own is its only prober, until it succeeds.
func TestOneCallersCooldown(t *testing.T) {
	var h CandidateHealth
	for range 5 {
		fail(&h, at(0), ann, provoked)
	}
	assert.Equal(t, State{CoolingDown, at(secs(5)), 5}, h.State(at(0), ann))
	now := secs(5)
	for _, want := range []float64{10, 15, 15} {
		turn := probe(t, &h, at(now), ann)
		assert.Equal(t, Probing, h.State(at(now), ann).Phase)
		for range 3 {
			succeed(&h, at(now), bob)
			assert.Equal(t, Healthy, h.State(at(now), cleo).Phase)
		}
		turn.Failure(at(now), provoked)
		assert.Equal(t, at(now+secs(want)), h.State(at(now), ann).Until)
		assert.Zero(t, h.State(at(now), bob))
		now += secs(want)
	}
	for range 4 {
		fail(&h, at(now), bob, provoked)
	}
	assert.Zero(t, h.State(at(now), cleo).Phase, "failed probes of one caller do not add to the row")
	turn := probe(t, &h, at(now), ann)
	turn.Success(at(now))
	assert.Zero(t, h.State(at(now), ann))
	succeed(&h, at(now), bob)
	assert.True(t, h.trouble.Load().well.Load(), "nothing is left to remember")
}

// A candidate is left after five failures, and is back within 15 s.
func TestDownAndBack(t *testing.T) {
	for name, tt := range map[string]struct {
		callers []Request
		failure Failure
	}{
		"two callers":           {[]Request{ann, bob}, provoked},
		"one caller":            {[]Request{ann}, provoked},
		"one caller, connects":  {[]Request{ann}, unprovoked},
		"many callers":          {[]Request{ann, bob, cleo, {Caller: 4}, {Caller: 5}, {Caller: 6}}, provoked},
		"two callers, surfaces": {[]Request{ann, bob}, onSurface},
	} {
		t.Run(name, func(t *testing.T) {
			var h CandidateHealth
			failures := 0
			const step = 50 * msec
			for now := time.Duration(0); now < secs(40); now += step {
				who := tt.callers[int(now/step)%len(tt.callers)]
				turn, ok := h.Begin(at(now), who, lease, true)
				if ok {
					turn.Failure(at(now), tt.failure)
					failures++
				}
				if now < secs(5) {
					require.LessOrEqual(t, failures, 5)
				}
			}
			require.LessOrEqual(t, failures, 5+4, "each cooldown has one probe")
			back := time.Duration(-1)
			for now := secs(40); back < 0; now += step {
				who := tt.callers[int(now/step)%len(tt.callers)]
				if turn, ok := h.Begin(at(now), who, lease, true); ok {
					turn.Success(at(now))
					back = now - secs(40)
				}
			}
			assert.LessOrEqual(t, back, secs(15)+2*step)
			for _, who := range tt.callers {
				assert.Equal(t, Healthy, h.State(at(secs(40)+back), who).Phase)
			}
		})
	}
}

// Whatever one caller does, the others see a healthy candidate, as long as their
// own requests do not fail.
func TestOneCallerCannotMoveOthers(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		var h CandidateHealth
		var open []*Turn
		now := time.Duration(0)
		for range 60 {
			now += time.Duration(r.Int64N(int64(secs(3))))
			who := ann.on(Surface(r.IntN(2)))
			switch r.IntN(6) {
			case 0:
				succeed(&h, at(now), bob.on(Surface(r.IntN(2))))
			case 1:
				turn, _ := h.Begin(at(now), who, lease, r.IntN(2) == 0)
				open = append(open, &turn)
			case 2:
				fail(&h, at(now), who, []Failure{provoked, onSurface}[r.IntN(2)])
			default:
				if len(open) == 0 {
					continue
				}
				turn := open[r.IntN(len(open))]
				switch r.IntN(5) {
				case 0:
					turn.Answers()
				case 1:
					turn.Success(at(now))
				case 2:
					turn.Release(at(now))
				default:
					turn.Failure(at(now), []Failure{provoked, onSurface}[r.IntN(2)])
					if r.IntN(2) == 0 {
						turn.Retract(at(now))
					}
				}
			}
			for _, other := range []Request{bob, cleo.on(1)} {
				require.Equal(t, Healthy, h.State(at(now), other).Phase)
			}
		}
	}
}

func TestFailureReturnsTheCooldown(t *testing.T) {
	var h CandidateHealth
	fails := func(now float64, r Request, f Failure) Cooldown {
		turn, _ := h.Begin(at(secs(now)), r, lease, true)
		return turn.Failure(at(secs(now)), f)
	}
	for range 4 {
		assert.Zero(t, fails(0, ann, provoked))
	}
	assert.Equal(t, Cooldown{secs(5), false}, fails(0, ann, provoked))
	assert.Zero(t, fails(1, ann, provoked))
	assert.Equal(t, Cooldown{secs(10), false}, fails(5, ann, provoked))
	assert.Equal(t, Cooldown{secs(5), true}, fails(6, bob, provoked))
	assert.Equal(t, Cooldown{secs(10), true}, fails(11, cleo, provoked))
}

// After a cooldown for everybody the fast path is back.
func TestRecoveryForgetsCallers(t *testing.T) {
	var h CandidateHealth
	for caller := range uint64(5) {
		fail(&h, at(0), Request{Caller: caller}, provoked)
	}
	require.Equal(t, CoolingDown, h.State(at(0), ann).Phase)
	probe(t, &h, at(secs(5)), bob).Success(at(secs(5)))
	assert.True(t, h.trouble.Load().well.Load())
}

func TestOldSurfaceTroubleIsForgotten(t *testing.T) {
	var h CandidateHealth
	for range 5 {
		fail(&h, at(0), ann.on(9), onSurface)
		fail(&h, at(0), bob.on(9), onSurface)
	}
	succeed(&h, at(keptFor), ann)
	assert.False(t, h.trouble.Load().well.Load())
	succeed(&h, at(keptFor+secs(5)), ann)
	assert.True(t, h.trouble.Load().well.Load())
	assert.Zero(t, h.State(at(keptFor+secs(5)), ann.on(9)))
}

func TestCallersOfOneCandidateAreBounded(t *testing.T) {
	var h CandidateHealth
	for range 5 {
		fail(&h, at(0), ann, provoked)
	}
	for caller := range uint64(1000) {
		who := Request{Caller: 100 + caller}
		succeed(&h, at(0), who)
		fail(&h, at(0), who, provoked)
		succeed(&h, at(0), bob)
	}
	c := &h.trouble.Load().all
	assert.LessOrEqual(t, len(c.callers.entries), mostCallers)
	assert.Len(t, c.callers.shares, len(c.callers.entries))
	assert.Equal(t, CoolingDown, h.State(at(0), ann).Phase, "a caller in cooldown is remembered")
	succeed(&h, at(keptFor+secs(5)), bob)
	assert.True(t, h.trouble.Load().well.Load(), "callers that do not return are forgotten")
	assert.Empty(t, c.callers.entries)
}

func TestHealthConcurrently(t *testing.T) {
	var h CandidateHealth
	var wg sync.WaitGroup
	for i := range 64 {
		wg.Go(func() {
			who := Request{Caller: uint64(i % 7), Surface: Surface(i % 3)}
			for k := range 200 {
				now := at(time.Duration(k) * time.Second)
				turn, _ := h.Begin(now, who, time.Second, k%2 == 0)
				turn.Answers()
				switch (i + k) % 5 {
				case 0:
					turn.Success(now)
				case 1:
					turn.Release(now)
				case 2:
					turn.Failure(now, onSurface)
				case 3:
					turn.Failure(now, unprovoked)
				default:
					turn.Failure(now, provoked)
					turn.Retract(now)
				}
				h.coolsDown(now)
			}
		})
	}
	wg.Wait()
	for i := range 7 {
		for s := range Surface(3) {
			turn, _ := h.Begin(at(time.Hour), Request{Caller: uint64(i), Surface: s}, lease, true)
			turn.Success(at(time.Hour))
		}
	}
	assert.Zero(t, h.State(at(time.Hour), ann))
	assert.True(t, h.trouble.Load().well.Load())
}

func TestHealthDoesNotAllocate(t *testing.T) {
	recovered := tripped(t)
	succeed(recovered, at(secs(5)), ann)
	for name, h := range map[string]*CandidateHealth{"well": new(CandidateHealth), "recovered": recovered, "troubled": tripped(t)} {
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			h.State(at(0), ann)
			turn, _ := h.Begin(at(0), ann, lease, true)
			turn.Release(at(0))
			turn, _ = h.Begin(at(time.Hour), ann, lease, true)
			turn.Answers()
			turn.Success(at(time.Hour))
		}), name)
	}
}

func BenchmarkHealth(b *testing.B) {
	for name, h := range map[string]*CandidateHealth{"well": new(CandidateHealth), "troubled": new(CandidateHealth)} {
		if name == "troubled" {
			for range 5 {
				fail(h, began, ann, unprovoked)
			}
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				turn, _ := h.Begin(began, ann, lease, true)
				if name == "well" {
					turn.Success(began)
				} else {
					turn.Release(began)
				}
			}
		})
	}
	b.Run("failing", func(b *testing.B) {
		var h CandidateHealth
		b.ReportAllocs()
		for i := 0; b.Loop(); i++ {
			turn, _ := h.Begin(began, Request{Caller: uint64(i % 100)}, lease, true)
			turn.Failure(began, provoked)
		}
	})
}
