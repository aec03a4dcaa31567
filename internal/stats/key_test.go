package stats

import (
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var (
	refusedBackoff = Backoff{time.Minute, 10 * time.Minute}
	limitedBackoff = Backoff{5 * time.Second, time.Minute}

	unauthorized = Refusal{Backoff: refusedBackoff, Most: 10 * time.Minute}
	limited      = Refusal{Breadth: ThisModel, Backoff: limitedBackoff, Most: 10 * time.Minute}
	forbidden    = Refusal{Breadth: ThisModel, Backoff: refusedBackoff, Most: 10 * time.Minute, Callers: 2}
	scoped       = Refusal{Breadth: ThisModelAndSurface, Backoff: refusedBackoff, Most: 10 * time.Minute}

	large, small = new(Track), new(Track) // models
)

func (r Refusal) told(d time.Duration) Refusal { r.Told = d; return r }

// refuse has a request that was sent at a time be refused at once.
func refuse(k *KeyHealth, now time.Time, model *Track, r Request, refusal Refusal) time.Duration {
	turn, _ := k.Begin(now, model, r, lease, true)
	return turn.Refused(now, refusal)
}

func answer(k *KeyHealth, now time.Time, model *Track, r Request) {
	turn, _ := k.Begin(now, model, r, lease, true)
	turn.Success(now)
}

func TestZeroKeyIsHealthy(t *testing.T) {
	var k KeyHealth
	assert.Zero(t, k.State(at(0), large, ann))
	turn, ok := k.Begin(at(0), large, ann, lease, false)
	assert.True(t, ok)
	assert.False(t, turn.Probe())
	turn.Success(at(0))
	turn.Refused(at(0), unauthorized)
	assert.Zero(t, k.State(at(0), large, ann), "a KeyTurn reports once")
	k.Renew()
	new(KeyTurn).Answers()
	new(KeyTurn).Success(at(0))
	new(KeyTurn).Release(at(0))
	assert.Zero(t, new(KeyTurn).Refused(at(0), unauthorized))
}

// Which requests a refusal concerns.
func TestBreadth(t *testing.T) {
	type ask struct {
		model   *Track
		surface Surface
	}
	asks := []ask{{large, 0}, {large, 63}, {small, 0}}
	for name, tt := range map[string]struct {
		refusals []Refusal
		last     []bool // of the asks
	}{
		"whole key":         {[]Refusal{unauthorized}, []bool{true, true, true}},
		"model":             {[]Refusal{limited}, []bool{true, true, false}},
		"model and surface": {[]Refusal{scoped}, []bool{true, false, false}},
	} {
		t.Run(name, func(t *testing.T) {
			var k KeyHealth
			for _, r := range tt.refusals {
				refuse(&k, at(0), large, ann, r)
			}
			for i, a := range asks {
				assert.Equal(t, tt.last[i], k.State(at(0), a.model, bob.on(a.surface)).Phase.Last(), "%+v", a)
				_, ok := k.Begin(at(0), a.model, bob.on(a.surface), lease, true)
				assert.Equal(t, !tt.last[i], ok, "%+v", a)
			}
		})
	}
}

func TestRefusalsOfModelsDoNotAddUp(t *testing.T) {
	var k KeyHealth
	for range 1000 {
		refuse(&k, at(0), new(Track), ann, limited.told(time.Hour))
	}
	assert.Zero(t, k.State(at(0), large, ann))
	assert.LessOrEqual(t, len(k.trouble.Load().scopes.entries), maxScopes/16, "one caller's share")
	for i := range uint64(100) {
		for range 50 {
			refuse(&k, at(0), new(Track), Request{Caller: i}, limited)
		}
	}
	assert.LessOrEqual(t, len(k.trouble.Load().scopes.entries), maxScopes)
}

func TestCooldownLengths(t *testing.T) {
	const sec, min = time.Second, time.Minute
	type refusalAt struct {
		sent, at time.Duration
		refusal  Refusal
		want     time.Duration // the end of the cooldown
	}
	all := func(r Refusal) Refusal { r.Breadth = WholeKey; return r }
	for name, steps := range map[string][]refusalAt{
		"refused doubles": {
			{0, 0, unauthorized, min}, {min, min, unauthorized, 3 * min}, {3 * min, 3 * min, unauthorized, 7 * min},
			{7 * min, 7 * min, unauthorized, 15 * min}, {15 * min, 15 * min, unauthorized, 25 * min}, {25 * min, 25 * min, unauthorized, 35 * min},
		},
		"limited doubles": {
			{0, 0, all(limited), 5 * sec}, {5 * sec, 5 * sec, all(limited), 15 * sec}, {15 * sec, 15 * sec, all(limited), 35 * sec},
			{35 * sec, 35 * sec, all(limited), 75 * sec}, {75 * sec, 75 * sec, all(limited), 135 * sec}, {135 * sec, 135 * sec, all(limited), 195 * sec},
		},
		"sent before the end does not double": {{0, 0, unauthorized, min}, {59 * sec, 70 * sec, unauthorized, 130 * sec}},
		"the answer says":                     {{0, 0, unauthorized.told(20 * sec), 20 * sec}, {20 * sec, 20 * sec, unauthorized.told(min), 80 * sec}},
		"the answer does not double":          {{0, 0, unauthorized.told(20 * sec), 20 * sec}, {20 * sec, 20 * sec, unauthorized, 80 * sec}},
		"nor in between":                      {{0, 0, unauthorized, min}, {min, min, unauthorized.told(sec), 61 * sec}, {61 * sec, 61 * sec, unauthorized, 181 * sec}},
		"no cooldown is longer":               {{0, 0, all(limited).told(24 * time.Hour), 10 * min}},
		"the longest wins":                    {{0, 0, all(limited).told(min), min}, {0, sec, all(limited), min}, {0, sec, unauthorized, 61 * sec}},
		"kinds double apart": {
			{0, 0, unauthorized, min}, {min, min, all(limited), 65 * sec}, {65 * sec, 65 * sec, all(limited), 75 * sec}, {75 * sec, 75 * sec, unauthorized, 195 * sec},
		},
	} {
		t.Run(name, func(t *testing.T) {
			var k KeyHealth
			for i, s := range steps {
				turn, _ := k.Begin(at(s.sent), large, ann, lease, true)
				d := turn.Refused(at(s.at), s.refusal)
				assert.Equal(t, State{Phase: CoolingDown, Until: at(s.want)}, k.State(at(s.at), large, bob), "refusal %d", i+1)
				assert.LessOrEqual(t, d, s.want-s.at)
			}
			// A success begins anew.
			last := steps[len(steps)-1]
			answer(&k, at(last.want), large, bob)
			assert.Zero(t, k.State(at(last.want), large, bob))
			assert.Equal(t, min, refuse(&k, at(last.want), large, bob, unauthorized))
		})
	}
}

func TestKeyProbe(t *testing.T) {
	var k KeyHealth
	refuse(&k, at(0), large, ann, unauthorized)
	_, ok := k.Begin(at(secs(60)), large, ann, lease, false)
	assert.False(t, ok, "the request made its probe elsewhere")
	turn, ok := k.Begin(at(secs(60)), large, ann, lease, true)
	require.True(t, ok)
	require.True(t, turn.Probe())
	assert.Equal(t, State{Phase: Probing, Until: at(secs(120))}, k.State(at(secs(60)), small, bob), "a probe of the key concerns all models")
	turn.Answers()
	assert.Equal(t, Due, k.State(at(secs(60)), small, bob).Phase)
	turn.Success(at(secs(61)))
	assert.Zero(t, k.State(at(secs(61)), small, bob))
	assert.True(t, k.trouble.Load().well.Load())
}

func TestKeyProbeOfSeveralParts(t *testing.T) {
	var k KeyHealth
	refuse(&k, at(0), large, ann, unauthorized)
	refuse(&k, at(0), large, ann, limited)
	turn, ok := k.Begin(at(secs(60)), large, ann, lease, true)
	require.True(t, ok && turn.Probe())
	turn.Refused(at(secs(60)), limited)
	assert.Equal(t, at(secs(70)), k.State(at(secs(60)), large, ann).Until)
	assert.Equal(t, Due, k.State(at(secs(60)), small, ann).Phase, "the model's refusal says nothing about the key")

	turn, _ = k.Begin(at(secs(60)), small, ann, lease, true)
	require.True(t, turn.Probe())
	turn.Release(at(secs(60)))
	assert.Equal(t, Due, k.State(at(secs(60)), small, ann).Phase)
	answer(&k, at(secs(61)), small, bob)
	assert.Zero(t, k.State(at(secs(61)), small, ann))
	assert.Equal(t, CoolingDown, k.State(at(secs(61)), large, ann).Phase)
}

func TestSuccessThatBeganBeforeTheCooldown(t *testing.T) {
	var k KeyHealth
	early, _ := k.Begin(at(0), large, ann, lease, true)
	refuse(&k, at(secs(1)), large, ann, unauthorized)
	last, ok := k.Begin(at(secs(2)), large, ann, lease, true)
	assert.False(t, ok)
	early.Success(at(secs(3)))
	assert.Equal(t, CoolingDown, k.State(at(secs(3)), large, ann).Phase)
	last.Success(at(secs(3)))
	assert.Zero(t, k.State(at(secs(3)), large, ann), "tried for want of anything better, and it worked")
}

func TestTwoCallersWord(t *testing.T) {
	var k KeyHealth
	for range 10 {
		assert.Zero(t, refuse(&k, at(0), large, ann, forbidden))
	}
	assert.Zero(t, k.State(at(0), large, bob))
	assert.Zero(t, refuse(&k, at(0), small, bob, forbidden), "of another model")
	assert.Equal(t, time.Minute, refuse(&k, at(secs(1)), large, bob, forbidden))
	assert.Equal(t, CoolingDown, k.State(at(secs(1)), large, cleo).Phase)

	// The next cooldown takes two callers again, and doubles.
	assert.Zero(t, refuse(&k, at(secs(61)), large, ann, forbidden))
	assert.Equal(t, Due, k.State(at(secs(61)), large, cleo).Phase)
	assert.Equal(t, 2*time.Minute, refuse(&k, at(secs(61)), large, bob, forbidden))

	var other KeyHealth
	refuse(&other, at(0), large, ann, forbidden)
	answer(&other, at(0), large, cleo)
	assert.Zero(t, refuse(&other, at(0), large, bob, forbidden), "a success in between")
	assert.Zero(t, refuse(&other, at(time.Hour), large, ann, forbidden), "a word from long ago")
}

func TestOldPartsAreForgotten(t *testing.T) {
	var k KeyHealth
	refuse(&k, at(0), large, ann, limited)
	refuse(&k, at(0), small, ann, forbidden)
	answer(&k, at(keptFor), new(Track), ann)
	assert.Equal(t, Due, k.State(at(keptFor), large, ann).Phase)
	answer(&k, at(keptFor+slotLength), new(Track), ann)
	assert.Zero(t, k.State(at(keptFor+slotLength), large, ann))
	assert.True(t, k.trouble.Load().well.Load())
}

func TestRenew(t *testing.T) {
	var k KeyHealth
	refuse(&k, at(0), large, ann, unauthorized)
	refuse(&k, at(0), large, ann, limited)
	turn, _ := k.Begin(at(time.Hour), large, ann, lease, true)
	k.Renew()
	assert.Zero(t, k.State(at(0), large, ann))
	turn.Release(at(time.Hour))
	assert.Equal(t, time.Minute, refuse(&k, at(0), large, ann, unauthorized), "the doubling begins anew")
}

func TestKeyConcurrently(t *testing.T) {
	var k KeyHealth
	var wg sync.WaitGroup
	models := []*Track{large, small}
	for i := range 64 {
		wg.Go(func() {
			r := Request{Caller: uint64(i % 5), Surface: Surface(i % 3)}
			for n := range 200 {
				now := at(time.Duration(n) * time.Second)
				turn, _ := k.Begin(now, models[i%2], r, time.Second, n%2 == 0)
				turn.Answers()
				switch (i + n) % 6 {
				case 0:
					turn.Success(now)
				case 1:
					turn.Refused(now, unauthorized)
				case 2:
					turn.Refused(now, limited)
				case 3:
					turn.Refused(now, scoped)
				case 4:
					turn.Refused(now, forbidden)
				default:
					turn.Release(now)
				}
				k.State(now, models[i%2], r)
			}
		})
	}
	wg.Wait()
	for _, m := range models {
		for s := range Surface(3) {
			answer(&k, at(time.Hour), m, ann.on(s))
		}
	}
	assert.Zero(t, k.State(at(0), large, ann))
	assert.True(t, k.trouble.Load().well.Load())
}

func TestKeyDoesNotAllocate(t *testing.T) {
	troubled := new(KeyHealth)
	refuse(troubled, at(0), large, ann, unauthorized)
	refuse(troubled, at(0), large, ann, limited)
	for name, k := range map[string]*KeyHealth{"well": new(KeyHealth), "troubled": troubled} {
		assert.Zero(t, testing.AllocsPerRun(100, func() {
			k.State(at(0), large, ann)
			turn, _ := k.Begin(at(0), large, ann, lease, true)
			turn.Release(at(0))
			turn, _ = k.Begin(at(time.Hour), large, ann, lease, true)
			turn.Answers()
			turn.Release(at(time.Hour))
		}), name)
	}
}

func BenchmarkKey(b *testing.B) {
	troubled := new(KeyHealth)
	refuse(troubled, began, large, ann, unauthorized)
	b.Run("well", func(b *testing.B) {
		k := new(KeyHealth)
		b.ReportAllocs()
		for b.Loop() {
			turn, _ := k.Begin(began, large, ann, lease, true)
			turn.Success(began)
		}
	})
	b.Run("troubled", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			turn, _ := troubled.Begin(began, large, ann, lease, true)
			turn.Release(began)
		}
	})
}
