package expr

import (
	"fmt"
	"math"
	"slices"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// Affinity says how sticky() placed the first element of a selection. E is
// [Model] or [Key].
type Affinity[E any] struct {
	// Key is the hash of the key. Callers remember pins by it. The key itself
	// is not kept anywhere.
	Key uint64

	// Source is the part of the request behind the key: "session", "caller",
	// "header", "body", "address" or "expression".
	Source string

	// First is the element of the highest rank for the key. Pinned served the
	// key last. Nil means that the list does not hold one.
	First, Pinned *E

	// Place says how the first element of the selection got there.
	Place Place

	// Spilled is set where the bound put the preferred element behind others.
	// The caller must not pin such a selection.
	Spilled bool
}

// Place is a word of [Affinity].
type Place string

// The places of a selection's first element.
const (
	PlaceFirst  Place = "first"  // the element of the highest rank
	PlacePinned Place = "pinned" // another one, pinned
	PlaceMoved  Place = "moved"  // another one, not pinned
)

// stickyCall is one evaluation of sticky(). Elements are indexes of the run's
// models or keys.
type stickyCall struct {
	key     uint64
	source  string
	first   int32
	pinned  int32 // -1: not pinned
	spilled bool
	order   []int32
}

// maxStickyCalls bounds the calls kept by one evaluation.
const maxStickyCalls = 8

// Hash is the function hash() of the language: never negative, and the same in
// every version and on every machine.
func Hash(text string) int64 { return int64(hashText(text) >> 1) }

// hashText is FNV-1a in 64 bits, spread. It must not change: replicas of
// different versions agree on it.
//
// Several texts hash as one, with a separator: provider "a" with model "bc"
// differs from provider "ab" with model "c".
func hashText(texts ...string) uint64 {
	h := uint64(0xcbf29ce484222325)
	for i, text := range texts {
		if i > 0 {
			h = (h ^ 0xff) * 0x100000001b3 // no text holds this byte in UTF-8
		}
		for j := range len(text) {
			h = (h ^ uint64(text[j])) * 0x100000001b3
		}
	}
	return spread(h)
}

// spread is the finalizer of splitmix64: each bit of x moves half of the result's.
func spread(x uint64) uint64 {
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

// score is the rank of an element for a key. The highest one is first.
//
// This is rendezvous hashing: each element has a rank for each key, so an element
// that leaves moves only its own keys, and all replicas agree without talking.
func score(key, element uint64) uint64 { return spread(key ^ element) }

// hash identifies a model for sticky(): by the ids of its provider and its own.
// Aliases and the place in the config play no part.
func (m *Model) hash() uint64 {
	provider := ""
	if m.Provider != nil {
		provider = m.Provider.ID
	}
	return hashText(provider, m.ID)
}

// hash identifies a key for sticky(), by its id.
func (k *Key) hash() uint64 { return hashText(k.ID) }

// stickyMacro expands list.sticky(key) and list.sticky(key, bound). It adds the
// source of the key, for [Affinity.Source].
func stickyMacro(eh cel.MacroExprFactory, target ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
	all := []ast.Expr{eh.NewIdent(runVar), target, eh.NewLiteral(types.String(keySource(args[0])))}
	return eh.NewCall(fnSticky, append(all, args...)...), nil
}

// keySource names the part of the request behind a key.
//
// Two different parts of the request make an "expression". So does a key without
// any of the known parts.
func keySource(e ast.Expr) string {
	source := ""
	ast.PreOrderVisit(e, ast.NewExprVisitor(func(e ast.Expr) {
		found := ""
		switch e.Kind() {
		case ast.SelectKind:
			operand := e.AsSelect().Operand()
			if operand.Kind() != ast.IdentKind {
				return
			}
			switch operand.AsIdent() + "." + e.AsSelect().FieldName() {
			case "req.session":
				found = "session"
			case "req.caller":
				found = "caller"
			case "req.headers":
				found = "header"
			case "req.ai":
				found = "body"
			case "conn.client_ip":
				found = "address"
			}
		}
		switch {
		case found == "":
		case source == "":
			source = found
		case source != found:
			source = "expression"
		}
	}))
	if source == "" {
		return "expression"
	}
	return source
}

// sticky is (run, list, source, key[, bound]).
//
// The elements come as CEL values, and are sorted by index. byIndex and hashes
// are as long as the run's list, for an index may be any of it. A key of null or
// of another type is an error, and an empty key keeps the list's order.
func sticky(args ...ref.Val) ref.Val {
	r, elems, errVal := runAndElements(args[0], args[1])
	if errVal != nil {
		return errVal
	}
	source, _ := args[2].(types.String)
	key, ok := args[3].(types.String)
	if !ok {
		return types.NewErr("sticky: the key must be a string, is %s", plainTypeName(args[3].Type()))
	}
	bound := 0.0
	if len(args) > 4 {
		if bound, ok = number(args[4]); !ok || !(bound >= 1) {
			return types.NewErr("sticky: the bound must be 1 or more, is %v", args[4])
		}
	}
	r.spend(2 * len(elems))
	if key == "" || len(elems) == 0 {
		return args[1]
	}
	size := max(len(r.models), len(r.keys))
	indexes, hashes, byIndex := make([]int32, len(elems)), make([]uint64, size), make([]ref.Val, size)
	for i, e := range elems {
		index, ok := indexOf(e)
		if !ok {
			return types.MaybeNoSuchOverloadErr(e)
		}
		indexes[i], hashes[index], byIndex[index] = index, elementHash(e), e
	}
	order := r.stickyOrder(indexes, hashes, string(source), string(key), bound)
	sorted := make([]ref.Val, len(order))
	for i, at := range order {
		sorted[i] = byIndex[at]
	}
	return &objectList{sorted}
}

// stickyOrder returns the order of elements for a key: the pinned one first,
// the overloaded ones last. A bound of 0 switches the bound off.
//
// indexes must not be empty. hashes is indexed by the elements of indexes. The
// result is a new slice, and [run.remember] keeps it: callers must not change
// it.
func (r *run) stickyOrder(indexes []int32, hashes []uint64, source, text string, bound float64) []int32 {
	scratch := rankings.Get().(*ranking)
	defer rankings.Put(scratch)
	key := hashText(text)
	order := scratch.by(key, indexes, hashes)
	call := stickyCall{key: key, source: source, first: order[0], pinned: -1}
	// A pin outside of the list, such as that of a model left out by a filter, is
	// passed over.
	if pin := r.pinned(key); pin >= 0 {
		if at := slices.Index(order, pin); at >= 0 {
			call.pinned = pin
			// The others keep their order behind the pinned one.
			copy(order[1:at+1], order[:at])
			order[0] = pin
		}
	}
	if bound > 0 && r.inFlight != nil {
		preferred := order[0]
		scratch.spill(order, indexes, bound, r.inFlight)
		call.spilled = order[0] != preferred
	}
	call.order = order
	r.remember(call)
	return order
}

// remember keeps a call for [affinityOf]. Calls beyond the bound get lost: they
// come from loops, and the first ones are enough.
func (r *run) remember(call stickyCall) {
	if len(r.sticky) < maxStickyCalls {
		r.sticky = append(r.sticky, call)
	}
}

// spill moves overloaded elements to the end. An element is overloaded with
// more than bound × the mean in flight, and at least two. The counts are read in the
// order of indexes, which is that of memory.
func (r *ranking) spill(order, indexes []int32, bound float64, load func(int) int64) {
	size := int(slices.Max(indexes)) + 1
	r.loads = slices.Grow(r.loads[:0], size)[:size]
	sum, most := int64(0), int32(0)
	for _, at := range indexes {
		n := int32(min(load(int(at)), math.MaxInt32))
		r.loads[at] = n
		sum += int64(n)
		most = max(most, n)
	}
	limit := int32(min(max(bound*float64(sum)/float64(len(order)), 1), math.MaxInt32))
	// The usual case: nobody is overloaded, and the order stays.
	if most <= limit {
		return
	}
	// Both places are written each time, as a branch would be guessed wrong.
	kept, behind, spilled := 0, 0, r.packed[:len(order)]
	for _, at := range order {
		n := r.loads[at]
		order[kept], spilled[behind] = at, uint64(at)
		over := int(uint32(limit-n) >> 31) // 1 if n > limit
		kept += 1 - over
		behind += over
	}
	for i, at := range spilled[:behind] {
		order[kept+i] = int32(at)
	}
}

// ranking orders elements by their scores. It is scratch space, used again.
//
// low and high count the digits of one radix sort. loads holds the counters of
// spill.
type ranking struct {
	packed, placed []uint64 // the upper half of ^score, and the index
	low, high      [1 << digit]int32
	loads          []int32
}

// digit is the width in bits of one pass of the radix sort.
//
// Two tables of 2048 counters take 16 KB, half of a usual first-level cache.
const digit = 11

// rankings lends scratch space to one call of by or spill at a time.
var rankings = sync.Pool{New: func() any { return new(ranking) }}

// by returns the indexes by their scores for a key, the highest first. Equal
// scores go by index. hashes holds the hash of each index.
//
// Scores spread evenly over all numbers. Two passes of a radix sort over their
// first bits put nearly all elements in place. The time is linear.
func (r *ranking) by(key uint64, indexes []int32, hashes []uint64) []int32 {
	n := len(indexes)
	r.packed = slices.Grow(r.packed[:0], n)[:n]
	less := func(a, b uint64) bool {
		if a>>32 != b>>32 {
			return a < b
		}
		sa, sb := score(key, hashes[int32(a)]), score(key, hashes[int32(b)])
		return sa > sb || sa == sb && int32(a) < int32(b)
	}
	// Insertion sort is faster for few elements than clearing two tables.
	if n < 64 {
		for i, at := range indexes {
			r.packed[i] = ^score(key, hashes[at])&^0xffffffff | uint64(uint32(at))
		}
	} else {
		r.radix(key, indexes, hashes)
	}
	for i, p := range r.packed {
		j := i
		for ; j > 0 && less(p, r.packed[j-1]); j-- {
			r.packed[j] = r.packed[j-1]
		}
		r.packed[j] = p
	}
	order := make([]int32, n)
	for i, p := range r.packed {
		order[i] = int32(p)
	}
	return order
}

// radix fills packed, sorted by the upper 22 bits.
//
// A pass over the lower digit comes first, and the pass over the upper one keeps
// its order. The insertion sort in by repairs pairs with equal 22 bits.
func (r *ranking) radix(key uint64, indexes []int32, hashes []uint64) {
	n := len(indexes)
	r.placed = slices.Grow(r.placed[:0], n)[:n]
	clear(r.low[:])
	clear(r.high[:])
	packed, placed := r.packed[:n], r.placed[:n]
	for i, at := range indexes {
		p := ^score(key, hashes[at])&^0xffffffff | uint64(uint32(at))
		packed[i] = p
		r.low[p>>(64-2*digit)&(1<<digit-1)]++
		r.high[p>>(64-digit)]++
	}
	low, high := int32(0), int32(0)
	for i := range r.low {
		low, r.low[i] = low+r.low[i], low
		high, r.high[i] = high+r.high[i], high
	}
	for _, p := range packed {
		at := &r.low[p>>(64-2*digit)&(1<<digit-1)]
		placed[*at] = p
		*at++
	}
	for _, p := range placed {
		at := &r.high[p>>(64-digit)]
		packed[*at] = p
		*at++
	}
}

// number reads a number of any type. It reports false for NaN and for other
// values.
func number(v ref.Val) (float64, bool) {
	switch v := v.(type) {
	case types.Int:
		return float64(v), true
	case types.Uint:
		return float64(v), true
	case types.Double:
		return float64(v), !math.IsNaN(float64(v))
	}
	return 0, false
}

// indexOf returns the index of a model or key in the lists of its run.
func indexOf(e ref.Val) (int32, bool) {
	switch e := e.(type) {
	case *modelRef:
		return int32(e.index), true
	case *keyRef:
		return int32(e.index), true
	}
	return 0, false
}

// elementHash returns the hash of a model or key.
func elementHash(e ref.Val) uint64 {
	switch e := e.(type) {
	case *modelRef:
		return e.model.hash()
	case *keyRef:
		return e.key.hash()
	}
	return 0
}

// affinityOf finds the call of sticky() behind the first element of a result.
// first is its index among the run's models or keys.
//
// A strategy may call sticky() more than once, as in a choice of two lists. The
// first call whose order holds the element is taken for its cause. Nil means
// that no call placed it.
func affinityOf[E any](r *run, first int32, all []*E) *Affinity[E] {
	for i := range r.sticky {
		call := &r.sticky[i]
		if call.order[0] != first && !slices.Contains(call.order, first) {
			continue
		}
		a := &Affinity[E]{Key: call.key, Source: call.source, First: all[call.first], Place: PlaceMoved, Spilled: call.spilled}
		if call.pinned >= 0 {
			a.Pinned = all[call.pinned]
		}
		switch first {
		case call.first:
			a.Place = PlaceFirst
		case call.pinned:
			a.Place = PlacePinned
		}
		return a
	}
	return nil
}

// checkBound refuses a constant bound below 1.
//
// A bound of 1 allows each element the mean of all. Below 1 the mean itself
// would be too much, and nearly all elements would count as overloaded.
func (d *diagnosis) checkBound(bound ast.Expr) {
	if bound.Kind() != ast.LiteralKind {
		return
	}
	if n, ok := number(bound.AsLiteral()); ok && n < 1 {
		d.report(d.start(bound), "", "the bound of sticky must be 1 or more, is %s", fmt.Sprint(bound.AsLiteral().Value()))
	}
}
