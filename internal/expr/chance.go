package expr

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// intN returns a number in [0, n).
//
// n must be above 0.
func (r *run) intN(n int) int {
	if r.rand != nil {
		return r.rand(n)
	}
	return rand.IntN(n)
}

// fraction returns a number in [0, 1).
//
// The caller's source draws 53 bits in two parts, as many as a float64 holds.
func (r *run) fraction() float64 {
	if r.rand != nil {
		return (float64(r.rand(1<<26)) + float64(r.rand(1<<27))/(1<<27)) / (1 << 26)
	}
	return rand.Float64()
}

// randomOf is list.random(): one element, all equally likely.
//
// An empty list is a look-up without a result, and empties the selection.
func randomOf(runArg, list ref.Val) ref.Val {
	r, elems, errVal := runAndElements(runArg, list)
	if errVal != nil {
		return errVal
	}
	if len(elems) == 0 {
		return nothing("random() of an empty list")
	}
	return elems[r.intN(len(elems))]
}

// randomize is list.randomize(): all elements, each order equally likely.
func randomize(runArg, list ref.Val) ref.Val {
	r, elems, errVal := runAndElements(runArg, list)
	if errVal != nil {
		return errVal
	}
	r.spend(len(elems))
	shuffled := slices.Clone(elems)
	shuffle(r, shuffled)
	return &objectList{shuffled}
}

// shuffle is Fisher and Yates' algorithm: n-1 draws for n elements.
func shuffle[E any](r *run, elems []E) {
	for i := len(elems) - 1; i > 0; i-- {
		j := r.intN(i + 1)
		elems[i], elems[j] = elems[j], elems[i]
	}
}

// leastBusy is list.leastBusy(): the fewest requests in flight first, ties by
// chance.
func leastBusy(runArg, list ref.Val) ref.Val {
	r, elems, errVal := runAndElements(runArg, list)
	if errVal != nil {
		return errVal
	}
	r.spend(2 * len(elems))
	type loaded struct {
		elem ref.Val
		load int64
	}
	order := make([]loaded, len(elems))
	for i, e := range elems {
		order[i] = loaded{e, r.load(e)}
	}
	shuffle(r, order)
	slices.SortStableFunc(order, func(a, b loaded) int { return compareInts(a.load, b.load) })
	sorted := make([]ref.Val, len(order))
	for i, o := range order {
		sorted[i] = o.elem
	}
	return &objectList{sorted}
}

// compareInts orders two numbers, without the risk of an overflow of their
// difference.
func compareInts(a, b int64) int {
	switch {
	case a < b:
		return -1
	case a > b:
		return 1
	}
	return 0
}

// load returns the element's requests in flight at this moment.
//
// The counter is read live, and not from a snapshot of the metrics.
func (r *run) load(e ref.Val) int64 {
	if r.inFlight == nil {
		return 0
	}
	switch e := e.(type) {
	case *modelRef:
		return r.inFlight(e.index)
	case *keyRef:
		return r.inFlight(e.index)
	}
	return 0
}

// weigh is the step of random(x, weight) and randomize(x, weight).
//
// An element that cannot be weighed weighs 0, with a note. The draw goes on: one
// model without a weight in its metadata must not fail a request.
func weigh(args ...ref.Val) ref.Val {
	p, early := stepArgs(args)
	if early != nil {
		return early
	}
	w, complaint := weightOf(args[2])
	if complaint != "" {
		p.run.note("random: %s is last: %s", labelOf(args[1]), complaint)
	}
	p.elems = append(p.elems, args[1])
	p.weights = append(p.weights, w)
	return p
}

// weightOf returns a weight, or 0 and the reason why it is not one.
//
// v is an error of the macro's body, or its value.
func weightOf(v ref.Val) (w float64, complaint string) {
	if err, ok := v.(*types.Err); ok {
		return 0, plainError(err).Error()
	}
	w, ok := number(v)
	switch {
	// NaN is a double and not a number: its message is the next one.
	case !ok && v.Type() != types.DoubleType:
		return 0, "the weight is " + plainTypeName(v.Type()) + ", not a number"
	case !ok || math.IsInf(w, 0):
		return 0, "the weight is not a finite number"
	case w <= 0:
		return 0, "the weight is not above 0"
	}
	return w, ""
}

// weighedRandom is one of the weighed elements.
//
// An empty list empties the selection, as for random() without weights.
func weighedRandom(arg ref.Val) ref.Val {
	p, ok := arg.(*picks)
	if !ok {
		return types.MaybeNoSuchOverloadErr(arg)
	}
	if len(p.elems) == 0 {
		return nothing("random() of an empty list")
	}
	return p.elems[pickWeighted(cumulated(p.weights), p.run.fraction)]
}

// cumulated returns the sums of the weights up to each element. The largest
// weight counts as 1, to keep the sums finite.
//
// The weights 1, 3 and 0 give the sums 1/3, 4/3 and 4/3.
func cumulated(weights []float64) []float64 {
	largest, sum := 0.0, 0.0
	for _, w := range weights {
		largest = max(largest, w)
	}
	sums := make([]float64, len(weights))
	for i, w := range weights {
		if largest > 0 {
			sum += w / largest
		}
		sums[i] = sum
	}
	return sums
}

// pickWeighted returns the index of one element, given the sums of the weights.
// It is the first if all weights are 0.
//
// An element of weight 0 is picked only then: its sum equals its predecessor's,
// and the search goes past equal sums. The last bound guards against rounding.
func pickWeighted(sums []float64, fraction func() float64) int {
	total := sums[len(sums)-1]
	if total == 0 {
		return 0
	}
	at := fraction() * total
	i, _ := slices.BinarySearchFunc(sums, at, func(sum, at float64) int {
		if sum <= at {
			return -1
		}
		return 1
	})
	return min(i, len(sums)-1)
}

// weighedOrder is all of the weighed elements.
//
// It charges twice the length: for the draws and for the sort.
func weighedOrder(arg ref.Val) ref.Val {
	p, ok := arg.(*picks)
	if !ok {
		return types.MaybeNoSuchOverloadErr(arg)
	}
	p.run.spend(2 * len(p.elems))
	elems := make([]ref.Val, len(p.elems))
	for i, at := range weightedOrder(p.weights, p.run.fraction) {
		elems[i] = p.elems[at]
	}
	return &objectList{elems}
}

// weightedOrder draws all elements one after the other, each in proportion to
// its weight among the rest: in the order of -ln(u)/w, with a fraction u for
// each. Elements without a weight are last, in their order.
func weightedOrder(weights []float64, fraction func() float64) []int {
	type drawn struct {
		key   float64
		index int
	}
	all := make([]drawn, len(weights))
	for i, w := range weights {
		all[i] = drawn{math.Inf(1), i}
		if w > 0 {
			// A weight near zero can make the key infinite. It stays before
			// the elements without a weight.
			all[i].key = min(-math.Log(1-fraction())/w, math.MaxFloat64)
		}
	}
	slices.SortFunc(all, func(a, b drawn) int {
		switch {
		case a.key < b.key:
			return -1
		case a.key > b.key:
			return 1
		}
		return a.index - b.index
	})
	order := make([]int, len(all))
	for i, d := range all {
		order[i] = d.index
	}
	return order
}
