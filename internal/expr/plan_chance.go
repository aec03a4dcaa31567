package expr

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"

	"github.com/google/cel-go/common/ast"
)

// randomized is list.randomize().
//
// The order is a new slice, for the list may be kept.
func (f *frame) randomized(l modelList) (modelList, error) {
	f.run.spend(len(l.order))
	order := slices.Clone(l.order)
	f.shuffle(order)
	return modelList{order: order, distinct: l.distinct}, nil
}

// shuffle draws like the function of the same name. Without the caller's source
// it takes two numbers from each word of a fast generator with a random seed.
//
// The halves of a word are multiplied by the number of places left, and the upper
// 32 bits of the product are the place. The bias is below n in 2³², which no
// selection of models can show.
func (f *frame) shuffle(order []int32) {
	// Tests give a source, and compare with the draws of CEL's way.
	if f.run.rand != nil {
		shuffle(f.run, order)
		return
	}
	// One word of chance seeds a request's shuffle. It need not be secret.
	state := rand.Uint64()
	for i := len(order) - 1; i > 0; {
		state += 0x9e3779b97f4a7c15
		word := spread(state)
		j := uint32(uint64(uint32(word)) * uint64(i+1) >> 32)
		order[i], order[j] = order[j], order[i]
		if i--; i > 0 {
			j = uint32((word >> 32) * uint64(i+1) >> 32)
			order[i], order[j] = order[j], order[i]
			i--
		}
	}
}

// leastBusy is list.leastBusy(): fewest in flight first, ties by chance.
//
// Loads from 0 to 62 have a bucket each; the last bucket holds the rest, and is
// sorted by load. Each bucket is shuffled, so ties are by chance.
func (f *frame) leastBusy(l modelList) (modelList, error) {
	f.run.spend(2 * len(l.order))
	// A given source must be drawn from in CEL's order: shuffle first, then sort.
	if f.run.rand != nil || f.run.inFlight == nil {
		out := f.randomizedFor(l)
		if f.run.inFlight == nil {
			return out, nil
		}
		slices.SortStableFunc(out.order, func(a, b int32) int {
			return compareInts(f.run.inFlight(int(a)), f.run.inFlight(int(b)))
		})
		return out, nil
	}
	// Counting sort, as nearly all counters are small.
	const buckets = 64
	scratch := rankings.Get().(*ranking)
	defer rankings.Put(scratch)
	loads := slices.Grow(scratch.loads[:0], len(l.order))[:len(l.order)]
	scratch.loads = loads
	var starts [buckets + 1]int
	for n, i := range l.order {
		// A counter may be below zero for a moment, while a request ends.
		load := int32(min(max(f.run.inFlight(int(i)), 0), math.MaxInt32))
		loads[n] = load
		starts[min(load, buckets-1)+1]++
	}
	for i := range buckets {
		starts[i+1] += starts[i]
	}
	// starts keeps the fronts of the buckets. next moves through them.
	order, next := make([]int32, len(l.order)), starts
	var many map[int32]int32
	for n, i := range l.order {
		b := min(loads[n], buckets-1)
		order[next[b]] = i
		next[b]++
		if b == buckets-1 {
			if many == nil {
				many = map[int32]int32{}
			}
			// Counters change while this runs. The sort below uses the counts read
			// here.
			many[i] = loads[n]
		}
	}
	for b := range buckets {
		if starts[b] < starts[b+1] {
			f.shuffle(order[starts[b]:starts[b+1]])
		}
	}
	slices.SortStableFunc(order[starts[buckets-1]:], func(a, b int32) int { return int(many[a] - many[b]) })
	return modelList{order: order, distinct: l.distinct}, nil
}

// randomizedFor is randomized without a charge.
func (f *frame) randomizedFor(l modelList) modelList {
	order := slices.Clone(l.order)
	f.shuffle(order)
	return modelList{order: order, distinct: l.distinct}
}

// sticky is (run, list, source, key[, bound]).
//
// source is a constant that [stickyMacro] wrote. The number of arguments tells a
// missing bound from a bound of null, which is an error.
func (c *planner) sticky(args []ast.Expr) (none node[modelList], ok bool) {
	list, ok1 := c.list(args[1])
	source, ok2 := constant(args[2])
	key, ok3 := c.text(args[3])
	if !ok1 || !ok2 || !ok3 {
		return none, false
	}
	n := node[modelList]{deps: list.deps | key.deps | depLive, vars: list.vars | key.vars}
	bound := node[num]{eval: func(*frame) (num, error) { return num{}, nil }}
	if len(args) > 4 {
		if bound, ok = c.number(args[4]); !ok {
			return none, false
		}
		n.deps |= bound.deps
		n.vars |= bound.vars
	}
	bounded := len(args) > 4
	n.eval = func(f *frame) (modelList, error) {
		l, err := list.eval(f)
		if err != nil {
			return modelList{}, err
		}
		text, err := key.eval(f)
		if err != nil {
			return modelList{}, err
		}
		limit := 0.0
		if bounded {
			b, err := bound.eval(f)
			if err != nil {
				return modelList{}, err
			}
			var isNumber bool
			// The negated comparison refuses NaN too.
			if limit, isNumber = number(b.val()); !isNumber || !(limit >= 1) {
				return modelList{}, fmt.Errorf("sticky: the bound must be 1 or more, is %v", b.val())
			}
		}
		f.run.spend(2 * len(l.order))
		// An empty key sticks to nothing. The list keeps its order, and no affinity
		// is reported.
		if text == "" || len(l.order) == 0 {
			return l, nil
		}
		return f.sticky(l, source, text, limit), nil
	}
	return n, true
}

// sticky orders by the prepared hashes. The key must not be empty.
func (f *frame) sticky(l modelList, source, key string, bound float64) modelList {
	order := f.run.stickyOrder(l.order, f.prepared.elementHashes(), source, key, bound)
	return modelList{order: order, distinct: l.distinct}
}
