package expr

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func weighted(weights ...any) []*Model {
	models := instances(len(weights))
	for i, w := range weights {
		if w != nil {
			models[i].Metadata = map[string]any{"weight": w}
		}
	}
	return models
}

// P(first) is weight / sum, for random and for randomize, and the second is
// drawn in the same way from the rest.
func TestWeights(t *testing.T) {
	const rounds = 20_000
	models := weighted(6.0, 3.0, 1.0)
	for _, src := range []string{`ai.models.random(m, m.metadata.weight)`, `ai.models.randomize(m, m.metadata.weight)`} {
		s := compiled(t, src)
		random := rand.New(rand.NewPCG(1, 2))
		in := &Input{Models: models, Rand: random.IntN}
		first, second := map[*Model]int{}, map[*Model]int{}
		for range rounds {
			got, err := s.Eval(t.Context(), in)
			require.NoError(t, err)
			first[got.Models[0]]++
			if len(got.Models) > 1 && got.Models[0] == models[0] {
				second[got.Models[1]]++
			}
		}
		within(t, first[models[0]], rounds, 0.6)
		within(t, first[models[1]], rounds, 0.3)
		within(t, first[models[2]], rounds, 0.1)
		if n := first[models[0]]; len(second) > 0 {
			within(t, second[models[1]], n, 0.75)
		}
	}
}

func TestWeightsThatAreNone(t *testing.T) {
	for _, row := range []struct {
		weight any
		note   string
	}{
		{0.0, "random: p0:m is last: the weight is not above 0"},
		{-1.0, "random: p0:m is last: the weight is not above 0"},
		{"much", "random: p0:m is last: the weight is string, not a number"},
		{nil, "random: p0:m is last: no such key: weight"},
	} {
		models := weighted(row.weight, 2.0, 1.0)
		for range 50 {
			got, err := compiled(t, `ai.models.randomize(m, m.metadata.weight)`).Eval(t.Context(), &Input{Models: models})
			require.NoError(t, err)
			assert.Same(t, models[0], got.Models[2])
			assert.Equal(t, []string{row.note}, got.Notes)
			got, err = compiled(t, `ai.models.random(m, m.metadata.weight)`).Eval(t.Context(), &Input{Models: models})
			require.NoError(t, err)
			assert.NotSame(t, models[0], got.Models[0])
		}
	}
	for _, row := range []struct{ expr, want string }{
		{`ai.models.random(m, 0)`, "p0"},
		{`ai.models.randomize(m, -1)`, "p0 p1 p2"},
		{`ai.models.randomize(m, double('inf'))`, "p0 p1 p2"},
		{`ai.models.randomize(m, double('nan'))`, "p0 p1 p2"},
		{`ai.models.filter(m, false).random(m, 1)`, ""},
		{`ai.models.filter(m, false).randomize(m, 1)`, ""},
		{`ai.models.random(m, m.provider_id == 'p1' ? 1e308 : 1e-308)`, "p1"},
	} {
		got, err := compiled(t, row.expr).Eval(t.Context(), &Input{Models: instances(3)})
		require.NoError(t, err)
		assert.Equal(t, row.want, providerIDs(got.Models), row.expr)
	}
}

// The recipes of the cookbook for chances.
func TestCanary(t *testing.T) {
	const rounds = 50_000
	random := rand.New(rand.NewPCG(3, 4))
	for _, row := range []struct {
		expr string
		p    float64
	}{
		{`ai.models.randomize(m, m.provider_id == 'p1' ? 90 : 10)`, 0.9},
		{`ai.models.randomize(m, m.provider_id == 'p1' ? 70 : 30)`, 0.7},
		{`ai.models.randomize(m, m.provider_id == 'p1' ? 1 : 99)`, 0.01},
	} {
		s, count := compiled(t, row.expr), 0
		in := &Input{Models: instances(2), Rand: random.IntN}
		for range rounds {
			got, err := s.Eval(t.Context(), in)
			require.NoError(t, err)
			if got.Models[0] == in.Models[1] {
				count++
			}
		}
		within(t, count, rounds, row.p)
	}
}

func TestLeastBusy(t *testing.T) {
	loads := []int64{3, 0, 7, 0, 1}
	in := &Input{Models: instances(5), InFlight: func(i int) int64 { return loads[i] }}
	s := compiled(t, `ai.models.leastBusy()`)
	counts := map[string]int{}
	const rounds = 10_000
	for range rounds {
		got, err := s.Eval(t.Context(), in)
		require.NoError(t, err)
		counts[providerIDs(got.Models)]++
	}
	assert.Len(t, counts, 2)
	within(t, counts["p1 p3 p4 p0 p2"], rounds, 0.5)
	got, err := compiled(t, `ai.models.filter(m, m.provider_id != 'p1').leastBusy()[0]`).Eval(t.Context(), in)
	require.NoError(t, err)
	assert.Equal(t, "p3", providerIDs(got.Models), "the counter is the model's, wherever it stands in the list")
}

// Two instances of 400 ms and 20 ms, 150 requests 4 ms apart: the chosen one
// never has more in flight than the other, and the slow one holds few.
func TestLeastBusySpares(t *testing.T) {
	type request struct{ at, end, model int }
	var flying []request
	load := func(now, model int) (n int64) {
		for _, r := range flying {
			if r.model == model && r.end > now {
				n++
			}
		}
		return n
	}
	s, took := compiled(t, `ai.models.leastBusy()`), []int{400, 20}
	models := instances(2)
	for i := range 150 {
		now := 4 * i
		got, err := s.Eval(t.Context(), &Input{Models: models, InFlight: func(i int) int64 { return load(now, i) }})
		require.NoError(t, err)
		chosen := int(got.Order[0])
		require.LessOrEqual(t, load(now, chosen), load(now, 1-chosen))
		flying = append(flying, request{now, now + took[chosen], chosen})
		require.LessOrEqual(t, load(now, 0), int64(6), fmt.Sprint("request ", i))
	}
}
