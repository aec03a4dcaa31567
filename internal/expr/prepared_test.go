package expr

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// A list that no request changes is the same for all evaluations, and so is the
// caller's form of it.
func TestSharedLists(t *testing.T) {
	f := newFixture()
	for _, row := range []struct {
		expr   string
		shared bool
	}{
		{`ai.models`, true},
		{`ai.models.filter(m, m.known)`, true},
		{`ai.models.sortBy('price')`, true},
		{`ai.models + ai.models.only('gpt-4o')`, true},
		{`ai.models.filter(m, m.metadata.team.size > 2)`, true}, // CEL evaluates it
		{`req.headers['x-tier'][0] == 'gold' ? ai.models.sortBy(m, -m.pricing.output) : ai.models.sortBy('price')`, true},
		{`ai.models.filter(m, m.provider_id == req.headers['x-team'][0])`, false}, // nothing chosen
		{`ai.models.filter(m, m.metadata.tier == req.headers['x-tier'][0])`, false},
		{`ai.models.randomize()`, false},
		{`ai.models.sticky(req.id)`, false},
		{`ai.models.filter(m, m.metrics.global.in_flight < 2)`, true}, // within one snapshot
	} {
		in := f.input()
		in.Snapshot = 1
		p := compiled(t, row.expr).Prepare(in)
		first, err := p.Eval(t.Context(), in)
		require.NoError(t, err, row.expr)
		second, err := p.Eval(t.Context(), in)
		require.NoError(t, err, row.expr)
		assert.Equal(t, first, second, row.expr)
		if !row.shared {
			assert.Nil(t, first.Shared, row.expr)
			continue
		}
		require.NotNil(t, first.Shared, row.expr)
		assert.Same(t, first.Shared, second.Shared, row.expr)
		made := 0
		for _, s := range []Selection{first, second} {
			assert.Equal(t, 1, s.Shared.Attached(func() any { made++; return made }))
		}
	}
}

func TestSharedByValue(t *testing.T) {
	p := compiled(t, `ai.models.filter(m, m.provider_id == req.host)`).Prepare(newFixture().input())
	of := func(host string) Selection {
		got, err := p.Eval(t.Context(), &Input{Request: &Request{Host: host}})
		require.NoError(t, err)
		return got
	}
	assert.Len(t, of("openai").Models, 2)
	assert.Same(t, of("openai").Shared, of("openai").Shared)
	assert.NotSame(t, of("openai").Shared, of("azure").Shared)
	assert.Empty(t, of("nobody").Models)
}

// Metrics are read once per model and snapshot. Without a number for the
// snapshot they are read each time.
func TestSnapshots(t *testing.T) {
	f := newFixture()
	reads := 0
	load := int64(5)
	in := f.input()
	in.Metrics = func(m *Model) *ModelMetrics {
		reads++
		if m == f.models[2] {
			return &ModelMetrics{Global: Metrics{InFlight: load}}
		}
		return &ModelMetrics{Global: Metrics{InFlight: 3}}
	}
	p := compiled(t, `ai.models.filter(m, m.known).sortBy(m, m.metrics.global.in_flight).randomize()`).Prepare(in)
	for _, step := range []struct {
		snapshot int64
		load     int64
		reads    int
	}{{1, 5, 5}, {1, 5, 0}, {2, 0, 5}, {2, 0, 0}, {0, 0, 5}, {0, 0, 5}} {
		reads, load, in.Snapshot = 0, step.load, step.snapshot
		got, err := p.Eval(t.Context(), in)
		require.NoError(t, err)
		assert.Equal(t, step.reads, reads, "%+v", step)
		want := "4o mini gemini azure claude" // Rand does not swap
		if step.load == 0 {
			want = "claude 4o mini gemini azure"
		}
		assert.Equal(t, want, fmt.Sprintf("%s %s %s %s %s", toAny(f.names(t, got.Models))...))
	}
}

func toAny(words []string) []any {
	all := make([]any, len(words))
	for i, w := range words {
		all[i] = w
	}
	return all
}

// Notes of a kept list come with each evaluation.
func TestNotesAreKept(t *testing.T) {
	p := compiled(t, `ai.models.filter(m, m.pricing.input > 2).random()`).Prepare(newFixture().input())
	for range 3 {
		got, err := p.Eval(t.Context(), &Input{})
		require.NoError(t, err)
		assert.Equal(t, []string{
			"filter: ollama:llama3.2:1b left out: no such value",
			"filter: azure:gpt-4o left out: '>' is not defined for null or for values of these types",
		}, got.Notes)
	}
}

// An error that no request can avoid is kept as well, but not one of a single
// evaluation.
func TestAbortedIsNotKept(t *testing.T) {
	in := &Input{}
	for i := range 2000 {
		in.Models = append(in.Models, &Model{ID: fmt.Sprint("m", i)})
	}
	p := compiled(t, `ai.models.filter(m, m.id != 'm7').random()`).Prepare(in)
	ctx, cancel := context.WithCancelCause(t.Context())
	why := errors.New("client gone")
	cancel(why)
	_, err := p.Eval(ctx, in)
	require.ErrorIs(t, err, why)
	got, err := p.Eval(t.Context(), in)
	require.NoError(t, err)
	assert.Len(t, got.Models, 1)

	p = compiled(t, `1 / (ai.models.size() - 2000) == 1 ? ai.models : []`).Prepare(in)
	for range 2 {
		_, err = p.Eval(t.Context(), in)
		require.EqualError(t, errors.Unwrap(err), "division by zero")
	}
}

// A cancellation deep in a predicate ends the evaluation. It is not a fault of
// the elements.
func TestCancellationInPlans(t *testing.T) {
	in := &Input{Models: instances(300), Request: &Request{}}
	ctx, cancel := context.WithCancel(t.Context())
	in.Request.Session = func() string { cancel(); return "s" }
	for _, src := range []string{
		`ai.models.filter(m, m.id != req.session)`,
		`ai.models.filter(m, m.id != 'x' || ai.models.filter(n, n.id == req.session).size() > 1)`,
		`ai.models.sortBy(m, m.id == req.session)`,
		`ai.models.random(m, m.id == req.session ? 1 : 2)`,
	} {
		got, err := compiled(t, src).Eval(ctx, in)
		require.ErrorIs(t, err, context.Canceled, src)
		assert.Empty(t, got.Models)
		assert.Empty(t, got.Notes)
	}
}

func TestPreparedConcurrently(t *testing.T) {
	f := newFixture()
	p := compiled(t, `ai.models.filter(m, m.known && m.metrics.global.error_rate.total < 0.5).sticky(req.id, 1.5) + ai.models.filter(m, m.provider_id == req.headers['x-team'][0]).leastBusy() + ai.models.filter(m, m.metadata.team.size > 2)`).Prepare(f.input())
	var wg sync.WaitGroup
	for i := range 32 {
		wg.Go(func() {
			for j := range 50 {
				in := f.input()
				in.Rand, in.Snapshot = nil, int64(j/10+1)
				in.Request.ID = fmt.Sprint(i, j)
				in.InFlight = func(i int) int64 { return int64(i) }
				got, err := p.Eval(context.Background(), in)
				assert.NoError(t, err)
				assert.Len(t, got.Models, 5)
				assert.NotNil(t, got.Affinity)
			}
		})
	}
	wg.Wait()
}
