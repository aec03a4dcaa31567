package expr

import (
	"fmt"
	"math"
	"math/bits"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// Affinity says how sticky() placed the first element of a selection. E is
// [Model] or [Key].
type Affinity[E any] struct {
	// Key is the hash of the key, by which the caller remembers pins. The key
	// itself is kept nowhere.
	Key uint64

	// Source says which part of the request the key was made of: "session",
	// "caller", "header", "body", "address" or "expression".
	Source string

	// First is the element that the key hashes to, and Pinned the one that it is
	// pinned to, nil for none in the list.
	First, Pinned *E

	// Place is where the first element of the selection comes from.
	Place Place

	// Spilled is set where the bound put the pinned element, or without one the
	// first, behind others. Such a selection must not be pinned.
	Spilled bool
}

// Place is a word of [Affinity].
type Place string

// The places of a selection's first element.
const (
	PlaceFirst  Place = "first"  // the element that the key hashes to
	PlacePinned Place = "pinned" // another one, which served the key last
	PlaceMoved  Place = "moved"  // neither
)

// stickyCall is one evaluation of sticky().
type stickyCall struct {
	key     uint64
	source  string
	first   any // *Model or *Key
	pinned  any // likewise, or nil
	spilled bool
	order   []ref.Val
}

// maxStickyCalls bounds the calls that one evaluation remembers.
const maxStickyCalls = 8

// Hash is the function hash() of the language: never negative, and the same in
// every version and on every machine.
func Hash(text string) int64 { return int64(hashText(text) >> 1) }

// hashText is FNV-1a in 64 bits, spread. It must not change: replicas of
// different versions agree on it.
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
func score(key, element uint64) uint64 { return spread(key ^ element) }

func (m *Model) hash() uint64 {
	provider := ""
	if m.Provider != nil {
		provider = m.Provider.ID
	}
	return hashText(provider, m.ID)
}

func (k *Key) hash() uint64 { return hashText(k.ID) }

// stickyMacro expands list.sticky(key) and list.sticky(key, bound). It adds the
// source of the key, for [Affinity.Source].
func stickyMacro(eh cel.MacroExprFactory, target ast.Expr, args []ast.Expr) (ast.Expr, *cel.Error) {
	all := []ast.Expr{eh.NewIdent(runVar), target, eh.NewLiteral(types.String(keySource(args[0])))}
	return eh.NewCall(fnSticky, append(all, args...)...), nil
}

// keySource names the part of the request that an expression is about.
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
	call := stickyCall{key: hashText(string(key)), source: string(source)}
	order := make([]ranked, len(elems))
	for i, e := range elems {
		h, ok := elementHash(e)
		if !ok {
			return types.MaybeNoSuchOverloadErr(e)
		}
		order[i] = ranked{score(call.key, h), int32(i)}
	}
	sortRanked(order)
	first := elems[order[0].index]
	call.first = identityOf(first)
	pin := r.pinned(call.key)
	pinnedAt := -1
	for at, o := range order {
		if pin != nil && identityOf(elems[o.index]) == pin {
			pinnedAt = at
			break
		}
	}
	if pinnedAt >= 0 {
		call.pinned = pin
		o := order[pinnedAt]
		copy(order[1:pinnedAt+1], order[:pinnedAt])
		order[0] = o
	}
	sorted := make([]ref.Val, 0, len(elems))
	if bound > 0 {
		busy := overloaded(order, bound, func(i int32) int64 { return r.load(elems[i]) })
		for i, o := range order {
			if !busy[i] {
				sorted = append(sorted, elems[o.index])
			}
		}
		for i, o := range order {
			if busy[i] {
				sorted = append(sorted, elems[o.index])
			}
		}
		call.spilled = sorted[0] != elems[order[0].index]
	} else {
		for _, o := range order {
			sorted = append(sorted, elems[o.index])
		}
	}
	call.order = sorted
	if len(r.sticky) < maxStickyCalls {
		r.sticky = append(r.sticky, call)
	}
	return &objectList{sorted}
}

// overloaded says which elements have more in flight than bound × the mean of
// all, and at least two.
func overloaded(order []ranked, bound float64, load func(int32) int64) []bool {
	loads, sum := make([]int64, len(order)), int64(0)
	for i, o := range order {
		loads[i] = load(o.index)
		sum += loads[i]
	}
	limit := bound * float64(sum) / float64(len(order))
	busy := make([]bool, len(order))
	for i, n := range loads {
		busy[i] = n >= 2 && float64(n) > limit
	}
	return busy
}

// ranked is an element with its score.
type ranked struct {
	score uint64
	index int32
}

// sortRanked sorts by score, the highest first, and by index where scores are
// equal. Scores are even over all numbers, so most elements find their place by
// their score alone, and the time is linear.
func sortRanked(all []ranked) {
	n := len(all)
	if n < 32 {
		slices.SortFunc(all, higher)
		return
	}
	bucket := func(r ranked) uint64 {
		at, _ := bits.Mul64(^r.score, uint64(n))
		return at
	}
	starts := make([]int32, n+1)
	for _, r := range all {
		starts[bucket(r)+1]++
	}
	for i := range n {
		starts[i+1] += starts[i]
	}
	placed := make([]ranked, n)
	for _, r := range all {
		b := bucket(r)
		placed[starts[b]] = r
		starts[b]++
	}
	insertionSort(placed)
	copy(all, placed)
}

func insertionSort(all []ranked) {
	for i := 1; i < len(all); i++ {
		r := all[i]
		j := i
		for ; j > 0 && higher(r, all[j-1]) < 0; j-- {
			all[j] = all[j-1]
		}
		all[j] = r
	}
}

func higher(a, b ranked) int {
	switch {
	case a.score > b.score:
		return -1
	case a.score < b.score:
		return 1
	}
	return int(a.index - b.index)
}

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

// elementHash returns the hash of a model or key.
func elementHash(e ref.Val) (uint64, bool) {
	switch e := e.(type) {
	case *modelRef:
		return e.model.hash(), true
	case *keyRef:
		return e.key.hash(), true
	}
	return 0, false
}

// identityOf returns the *Model or *Key of an element, nil for another type.
func identityOf(e ref.Val) any {
	switch e := e.(type) {
	case *modelRef:
		return e.model
	case *keyRef:
		return e.key
	}
	return nil
}

// affinityOf finds the call of sticky() that placed the first element of a
// result.
func affinityOf[E any](r *run, result []*E) *Affinity[E] {
	if len(result) == 0 {
		return nil
	}
	first := result[0]
	for _, call := range r.sticky {
		if !slices.ContainsFunc(call.order, func(e ref.Val) bool { return identityOf(e) == any(first) }) {
			continue
		}
		a := &Affinity[E]{Key: call.key, Source: call.source, Place: PlaceMoved, Spilled: call.spilled}
		a.First, _ = call.first.(*E)
		a.Pinned, _ = call.pinned.(*E)
		switch first {
		case a.First:
			a.Place = PlaceFirst
		case a.Pinned:
			a.Place = PlacePinned
		}
		return a
	}
	return nil
}

// checkBound refuses a constant bound below 1.
func (d *diagnosis) checkBound(bound ast.Expr) {
	if bound.Kind() != ast.LiteralKind {
		return
	}
	if n, ok := number(bound.AsLiteral()); ok && n < 1 {
		d.report(d.start(bound), "", "the bound of sticky must be 1 or more, is %s", fmt.Sprint(bound.AsLiteral().Value()))
	}
}
