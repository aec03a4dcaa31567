package expr

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func compiled(t testing.TB, src string) *Strategy {
	t.Helper()
	s, problems := CompileStrategy(src)
	require.Empty(t, problems, src)
	return s
}

// instances are n models of one name at n providers.
func instances(n int) []*Model {
	models := make([]*Model, n)
	for i := range models {
		models[i] = &Model{ID: "m", Provider: &Provider{ID: fmt.Sprint("p", i)}}
	}
	return models
}

func providerIDs(models []*Model) string {
	ids := make([]string, len(models))
	for i, m := range models {
		ids[i] = m.Provider.ID
	}
	return strings.Join(ids, " ")
}

// The hashes are frozen: replicas of two versions must send a session to the
// same place.
func TestHashIsFrozen(t *testing.T) {
	for text, want := range map[string]int64{
		"":          8832978290816513101,
		"a":         99183506424991868,
		"session-1": 5174254724531889090,
		"Grüße, 世界": 1817825070260860272,
	} {
		assert.Equal(t, want, Hash(text), text)
	}
	s := compiled(t, `ai.models.sticky(req.session)`)
	for key, want := range map[string]string{"a": "p4 p2 p1 p3 p0", "b": "p1 p4 p0 p2 p3", "c": "p0 p2 p1 p3 p4"} {
		got, err := s.Eval(t.Context(), &Input{Models: instances(5), Request: &Request{Session: func() string { return key }}})
		require.NoError(t, err)
		assert.Equal(t, want, providerIDs(got.Models), key)
	}
}

func TestSticky(t *testing.T) {
	models := instances(4)
	first := map[string]string{}
	eval := func(t *testing.T, src, key string, loads []int64, pinned *Model) Selection {
		t.Helper()
		in := &Input{Models: models, Request: &Request{Session: func() string { return key }, Caller: key}}
		if loads != nil {
			in.InFlight = func(i int) int64 { return loads[i] }
		}
		if pinned != nil {
			in.Pinned = func(hash uint64) *Model {
				assert.Equal(t, hashText(key), hash)
				return pinned
			}
		}
		got, err := compiled(t, src).Eval(t.Context(), in)
		require.NoError(t, err)
		return got
	}
	got := eval(t, `ai.models.sticky(req.session)`, "s", nil, nil)
	order := got.Models
	require.Len(t, order, 4)
	assert.Equal(t, &Affinity[Model]{Key: hashText("s"), Source: "session", First: order[0], Place: PlaceFirst}, got.Affinity)
	first["s"] = order[0].Provider.ID
	at := map[*Model]int{}
	for i, m := range models {
		at[m] = i
	}
	loads := func(busy ...int64) []int64 { // by place in order
		l := make([]int64, 4)
		for i, n := range busy {
			l[at[order[i]]] = n
		}
		return l
	}

	for _, row := range []struct {
		name, expr, key string
		loads           []int64
		pinned          int // place in order, -1 for none
		want            []int
		place           Place
		spilled         bool
	}{
		{"pinned", `ai.models.sticky(req.session)`, "s", nil, 2, []int{2, 0, 1, 3}, PlacePinned, false},
		{"pinned to its first", `ai.models.sticky(req.session)`, "s", nil, 0, []int{0, 1, 2, 3}, PlaceFirst, false},
		{"free", `ai.models.sticky(req.session, 1.25)`, "s", loads(1, 0, 0, 0), -1, []int{0, 1, 2, 3}, PlaceFirst, false},
		{"one in flight is never too many", `ai.models.sticky(req.session, 1)`, "s", loads(1), -1, []int{0, 1, 2, 3}, PlaceFirst, false},
		{"over the bound", `ai.models.sticky(req.session, 1.25)`, "s", loads(4, 2, 3, 1), -1, []int{1, 2, 3, 0}, PlaceMoved, true},
		{"at the bound", `ai.models.sticky(req.session, 1.2)`, "s", loads(3, 2, 3, 2), -1, []int{0, 1, 2, 3}, PlaceFirst, false},
		{"pinned over the bound", `ai.models.sticky(req.session, 2)`, "s", loads(0, 0, 9, 0), 2, []int{0, 1, 3, 2}, PlaceFirst, true},
		{"two over the bound keep their order", `ai.models.sticky(req.session, 1)`, "s", loads(5, 5, 0, 0), -1, []int{2, 3, 0, 1}, PlaceMoved, true},
		{"no key", `ai.models.sticky(req.headers.size() == 0 ? '' : 'x')`, "s", nil, -1, nil, "", false},
		{"filtered afterwards", `ai.models.sticky(req.session).filter(m, m.provider_id != '` + order[0].Provider.ID + `')`, "s", nil, -1, []int{1, 2, 3}, PlaceMoved, false},
	} {
		t.Run(row.name, func(t *testing.T) {
			var pinned *Model
			if row.pinned >= 0 {
				pinned = order[row.pinned]
			}
			got := eval(t, row.expr, row.key, row.loads, pinned)
			if row.want == nil {
				assert.Equal(t, models, got.Models)
				assert.Nil(t, got.Affinity)
				return
			}
			var want []*Model
			for _, i := range row.want {
				want = append(want, order[i])
			}
			assert.Equal(t, providerIDs(want), providerIDs(got.Models))
			require.NotNil(t, got.Affinity)
			assert.Equal(t, row.place, got.Affinity.Place)
			assert.Equal(t, row.spilled, got.Affinity.Spilled)
			assert.Same(t, pinned, got.Affinity.Pinned)
		})
	}
	elsewhere := eval(t, `ai.models.sticky(req.caller)`, "s", nil, &Model{})
	assert.Equal(t, order, elsewhere.Models, "a pin to a model that is not in the list changes nothing")
	assert.Nil(t, elsewhere.Affinity.Pinned)
	assert.Equal(t, "caller", elsewhere.Affinity.Source)
}

func TestStickySource(t *testing.T) {
	for _, row := range []struct{ key, want string }{
		{`req.session`, "session"}, {`req.caller`, "caller"}, {`req.headers['x-user'][0]`, "header"}, {`req.ai.user`, "body"},
		{`conn.client_ip`, "address"}, {`req.caller + req.session`, "expression"}, {`'a'`, "expression"},
	} {
		in := &Input{Models: instances(2), Request: &Request{
			Caller: "c", ClientIP: "::1", Session: func() string { return "s" },
			AI: func() *RequestFacts { return &RequestFacts{User: "u"} }, Header: map[string][]string{"X-User": {"u"}},
		}}
		got, err := compiled(t, `ai.models.sticky(`+row.key+`)`).Eval(t.Context(), in)
		require.NoError(t, err)
		assert.Equal(t, row.want, got.Affinity.Source, row.key)
	}
}

// One model that joins or leaves moves 1/n of the keys, and no others.
func TestStickyMovesFew(t *testing.T) {
	const keys, n = 20_000, 10
	s := compiled(t, `ai.models.sticky(req.session)`)
	all := instances(n + 1)
	firstOf := func(key string, models []*Model) *Model {
		got, err := s.Eval(t.Context(), &Input{Models: models, Request: &Request{Session: func() string { return key }}})
		require.NoError(t, err)
		return got.Models[0]
	}
	moved, counts := 0, map[*Model]int{}
	for i := range keys {
		key := fmt.Sprint("key-", i)
		before, after := firstOf(key, all[:n]), firstOf(key, all)
		counts[before]++
		if before != after {
			moved++
			assert.Same(t, all[n], after, "a key moves to the new one alone")
		}
	}
	within(t, moved, keys, 1.0/(n+1))
	for _, m := range all[:n] {
		within(t, counts[m], keys, 1.0/n)
	}
}

// within asserts that a count of trials is its mean, within five sigma.
func within(t *testing.T, count, trials int, p float64) {
	t.Helper()
	mean, sigma := float64(trials)*p, math.Sqrt(float64(trials)*p*(1-p))
	assert.InDelta(t, mean, float64(count), 5*sigma)
}

func TestRanking(t *testing.T) {
	scratch := new(ranking)
	for _, n := range []int{1, 2, 31, 1000, 5} {
		indexes := make([]int32, n)
		for i := range indexes {
			indexes[i] = int32(n - 1 - i)
		}
		hashes := make([]uint64, n)
		for i := range hashes {
			hashes[i] = hashText(fmt.Sprint(i / 2)) // pairs are equal
		}
		want := slices.Clone(indexes)
		slices.SortFunc(want, func(a, b int32) int {
			return cmp.Or(-cmp.Compare(score(7, hashes[a]), score(7, hashes[b])), cmp.Compare(a, b))
		})
		assert.Equal(t, want, scratch.by(7, indexes, hashes))
	}
}

func TestStickyKeys(t *testing.T) {
	s, problems := CompileKeyStrategy(`ai.keys.sticky(req.caller, 2)`)
	require.Empty(t, problems)
	keys := newKeys()
	in := &KeyInput{Keys: keys, Request: &Request{Caller: "tenant"}}
	got, err := s.Eval(t.Context(), in)
	require.NoError(t, err)
	first := got.Keys[0]
	assert.Equal(t, PlaceFirst, got.Affinity.Place)
	in.Pinned = func(uint64) *Key { return got.Keys[1] }
	again, err := s.Eval(t.Context(), in)
	require.NoError(t, err)
	assert.Same(t, got.Keys[1], again.Keys[0])
	assert.Equal(t, &Affinity[Key]{Key: hashText("tenant"), Source: "caller", First: first, Pinned: again.Keys[0], Place: PlacePinned}, again.Affinity)
	in.Pinned = nil
	in.InFlight = func(i int) int64 {
		if keys[i] == first {
			return 9
		}
		return 0
	}
	spilled, err := s.Eval(t.Context(), in)
	require.NoError(t, err)
	assert.Same(t, first, spilled.Keys[2])
	assert.True(t, spilled.Affinity.Spilled)
	assert.Equal(t, Uses{Request: true, Caller: true, Sticky: true, InFlight: true}, s.Uses())
}
