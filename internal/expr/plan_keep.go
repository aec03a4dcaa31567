package expr

import (
	"sync"
	"sync/atomic"
)

// sharedModels is a kept list as a result.
//
// Its models are made by the first evaluation that returns the list, see
// [Prepared.selection]. Later ones get the same slices.
type sharedModels struct {
	Shared
	once   sync.Once
	order  []int32
	models []*Model
}

// slot keeps the result of a node for the evaluations to come.
//
// Readers take the pointer without a lock. mu lets one evaluation at a time make
// a new value.
type slot struct {
	mu   sync.Mutex
	kept atomic.Pointer[kept]
}

// kept is the result of a node, with the notes on its way. Each use repeats the
// notes.
//
// more counts the notes beyond [maxNotes]. snapshot is the number that the making
// evaluation was given, see [Input.Snapshot].
type kept struct {
	value    any
	err      error
	notes    []string
	more     int
	snapshot int64
}

// maxStale is how old a kept result may be while another evaluation renews it,
// in nanoseconds.
const maxStale = 1e9

// static has a node evaluated once per list of models. A node on metrics is
// evaluated once per snapshot. Other nodes stay as they are.
//
// For a node on metrics the snapshot's number is the key: the value of an older
// snapshot counts for a second more, while one evaluation makes the new value.
// Without a number there is nothing to compare, and each evaluation makes its own.
func static[T any](c *planner, n node[T]) node[T] {
	// The request, chance, and live counters change under a kept value.
	if n.vars != 0 || n.deps&^depMetrics != 0 {
		return n
	}
	id, measured := c.slots, n.deps != 0
	c.slots++
	eval := func(f *frame) (any, error) {
		v, err := n.eval(f)
		if l, ok := any(v).(modelList); ok && l.shared == nil {
			l.shared = &sharedModels{}
			return l, err
		}
		return v, err
	}
	return node[T]{deps: n.deps, eval: func(f *frame) (T, error) {
		if measured && f.in.Snapshot == 0 {
			return n.eval(f)
		}
		k := f.prepared.slots[id].get(f, measured, eval)
		for _, note := range k.notes {
			f.run.note("%s", note)
		}
		f.run.moreNotes += k.more
		return k.value.(T), k.err
	}}
}

// get returns the kept result, or evaluates and keeps it. An aborted evaluation
// keeps nothing.
func (s *slot) get(f *frame, measured bool, eval func(*frame) (any, error)) *kept {
	holds := func(k *kept) bool { return k != nil && (!measured || k.snapshot == f.in.Snapshot) }
	k := s.kept.Load()
	if holds(k) {
		return k
	}
	if k != nil && f.in.Snapshot-k.snapshot < maxStale {
		// One evaluation pays for the renewal. The others go on with the old.
		if !s.mu.TryLock() {
			return k
		}
	} else {
		s.mu.Lock()
	}
	defer s.mu.Unlock()
	if k = s.kept.Load(); holds(k) {
		return k
	}
	// The frame is copied, so that the variables of loops around this node
	// survive. Its run has notes of its own.
	inner := *f
	inner.run = f.run.nested()
	value, err := eval(&inner)
	f.run.spent = inner.run.spent
	// An aborted evaluation has left by a panic, and does not come here.
	k = &kept{value: value, err: err, notes: inner.run.notes, more: inner.run.moreNotes, snapshot: f.in.Snapshot}
	s.kept.Store(k)
	return k
}

// nested returns a run with notes of its own.
//
// The notes of a kept node are repeated at each use, so they must not mix with
// those of the evaluation that happens to make it. Steps add up: spent goes in
// and comes back.
func (r *run) nested() *run {
	// Both runs must see one snapshot per model.
	if r.snapshots == nil && r.source != nil {
		r.snapshots = make([]*ModelMetrics, len(r.models))
	}
	return &run{
		vocab: r.vocab, ctx: r.ctx, models: r.models, providers: r.providers, authors: r.authors,
		source: r.source, snapshots: r.snapshots, request: r.request, spent: r.spent,
	}
}

// onceValue is a value of one evaluation.
//
// It needs no lock: a frame belongs to one goroutine.
type onceValue struct {
	known bool
	value any
	err   error
}

// once has a node inside of a loop evaluated once per evaluation, if no loop
// variable changes it. A node on the models alone is kept longer.
//
// In ai.models.filter(m, m.id == req.headers['x-model'][0]) the header is one
// value for all rounds of the loop.
//
// A node that draws by chance must draw in each round. Outside of loops there is
// nothing to save.
func once[T any](c *planner, n node[T]) node[T] {
	switch {
	case n.vars != 0 || n.deps&depChance != 0 || len(c.vars) == 0:
		return n
	case n.deps == 0:
		return static(c, n)
	}
	id := c.onces
	c.onces++
	return node[T]{deps: n.deps, eval: func(f *frame) (T, error) {
		o := &f.once[id]
		if !o.known {
			v, err := n.eval(f)
			*o = onceValue{true, v, err}
		}
		return o.value.(T), o.err
	}}
}
