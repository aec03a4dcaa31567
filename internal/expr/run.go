package expr

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/interpreter"
)

// run is one evaluation: its variables, and the surroundings of its functions.
// It belongs to one goroutine.
//
// The zero run evaluates a template or an identity without a request. Fields
// that a kind of expression does not see stay nil.
type run struct {
	vocab *vocabulary
	ctx   context.Context

	models    []*Model
	providers []*Provider
	authors   []*Author
	keys      []*Key
	source    func(*Model) *ModelMetrics
	request   *Request
	secret    func(ctx context.Context, vault, name string) (string, error)
	rand      func(int) int
	inFlight  func(i int) int64
	pin       func(key uint64) int32 // index of a model or key, -1: not pinned

	// The lists are built when first asked for, and then shared: `ai.models`
	// inside a predicate is read once per element.
	modelVals, providerVals, authorVals, keyVals *objectList

	spent int // steps, see spend

	// arg answers @arg(i) in a leaf of a plan.
	arg func(i int) ref.Val

	sticky    []stickyCall
	snapshots []*ModelMetrics // of models, nil before they are read

	notes     []string
	moreNotes int

	// secretRead is set once the expression holds a secret, from when on its
	// errors could quote it. See [Template.Eval].
	secretRead bool
	// secretErr is the latest error of the callback.
	secretErr error
}

// runVar is a hidden variable. Macros hand the run to functions by it. Source
// text cannot spell it.
const runVar = "@run"

var _ interpreter.Activation = (*run)(nil)

func (r *run) Parent() interpreter.Activation { return nil }

// ResolveName gives CEL the variables.
//
// CEL asks for a variable each time that it reads it. The objects behind the
// names are made when they are first read, so an expression pays for no list that
// it does not name.
func (r *run) ResolveName(name string) (any, bool) {
	switch name {
	case "ai":
		return r, true
	case "req":
		return r.requestOrEmpty(), true
	case "conn":
		return (*connectionView)(r.requestOrEmpty()), true
	case "secrets":
		return &secretsVal{structVal{r.vocab.structs["@secrets"], r}}, true
	case runVar:
		return runVal{r}, true
	}
	return nil, false
}

// requestOrEmpty never returns nil: expressions can run without a request.
func (r *run) requestOrEmpty() *Request {
	if r.request == nil {
		r.request = new(Request)
	}
	return r.request
}

// pinned returns the index of the model that a key is pinned to, -1 without a pin.
func (r *run) pinned(key uint64) int32 {
	if r.pin == nil {
		return -1
	}
	return r.pin(key)
}

// A selection over many models can fail in the same way for each of them;
// the first few notes tell it all.
const maxNotes = 16

// note adds a note, once. After maxNotes they are only counted.
func (r *run) note(format string, args ...any) {
	if len(r.notes) >= maxNotes {
		r.moreNotes++
		return
	}
	if n := fmt.Sprintf(format, args...); !slices.Contains(r.notes, n) {
		r.notes = append(r.notes, n)
	}
}

// allNotes ends with how many were left out.
func (r *run) allNotes() []string {
	if r.moreNotes > 0 {
		return append(r.notes, fmt.Sprintf("and %d more", r.moreNotes))
	}
	return r.notes
}

// modelRef is a model in one run. All wrappers of a run are allocated in one
// piece, and each stays the only one for its model.
type modelRef struct {
	structVal
	model  *Model
	index  int // in run.models
	run    *run
	chosen bool // it is in the result already
}

// identity is the Go pointer: wrappers of two runs stand for one model.
func (m *modelRef) identity() any { return m.model }

// Equal compares models by identity: two runs over the same *Model agree.
func (m *modelRef) Equal(other ref.Val) ref.Val {
	o, ok := other.(*modelRef)
	return types.Bool(ok && o.model == m.model)
}

// provider is never nil, see [Model.Provider].
func (m *modelRef) provider() *Provider { return m.model.provider() }

// metrics is never nil. A model without figures has zeros.
func (m *modelRef) metrics() *ModelMetrics { return m.run.metricsOf(m.index) }

// metricsOf reads the source once per model: an evaluation sees one snapshot.
func (r *run) metricsOf(index int) *ModelMetrics {
	if r.snapshots == nil {
		r.snapshots = make([]*ModelMetrics, len(r.models))
	}
	if r.snapshots[index] == nil {
		if r.source != nil {
			r.snapshots[index] = r.source(r.models[index])
		}
		if r.snapshots[index] == nil {
			r.snapshots[index] = noMetrics
		}
	}
	return r.snapshots[index]
}

// noMetrics stands for the metrics of an unused model.
var noMetrics = new(ModelMetrics)

// label names an element in a note.
func (m *modelRef) label() string { return m.provider().ID + ":" + m.model.ID }

// modelList is ai.models.
//
// All references are allocated in two pieces, whatever the number of models.
func (r *run) modelList() *objectList {
	if r.modelVals == nil {
		st := r.vocab.structs["@model"]
		refs, elems := make([]modelRef, len(r.models)), make([]ref.Val, len(r.models))
		for i, m := range r.models {
			refs[i] = modelRef{structVal: structVal{st: st}, model: m, index: i, run: r}
			refs[i].self = &refs[i]
			elems[i] = &refs[i]
		}
		r.modelVals = &objectList{elems}
	}
	return r.modelVals
}

// providerRef is a provider in one run; getModel needs the run's models.
type providerRef struct {
	structVal
	provider *Provider
	run      *run
}

// label is the id: notes are for operators.
func (p *providerRef) label() string { return p.provider.ID }

// providerList is ai.providers.
func (r *run) providerList() *objectList {
	if r.providerVals == nil {
		st := r.vocab.structs["@provider"]
		elems := make([]ref.Val, len(r.providers))
		for i, p := range r.providers {
			v := &providerRef{structVal: structVal{st: st}, provider: p, run: r}
			v.self = v
			elems[i] = v
		}
		r.providerVals = &objectList{elems}
	}
	return r.providerVals
}

// authorList is ai.authors.
func (r *run) authorList() *objectList {
	if r.authorVals == nil {
		elems := make([]ref.Val, len(r.authors))
		for i, a := range r.authors {
			elems[i] = r.vocab.wrap("@author", a)
		}
		r.authorVals = &objectList{elems}
	}
	return r.authorVals
}

// keyRef is a key in one run.
type keyRef struct {
	structVal
	key   *Key
	index int // in run.keys
	run   *run
}

// label shows the hash of the key, and not its value.
func (k *keyRef) label() string { return "key " + k.key.ID }

// metrics never returns nil. An unused key has zeros.
func (k *keyRef) metrics() *KeyMetrics {
	if k.key.Metrics == nil {
		return new(KeyMetrics)
	}
	return k.key.Metrics
}

// keyList is ai.keys.
func (r *run) keyList() *objectList {
	if r.keyVals == nil {
		st := r.vocab.structs["@key"]
		elems := make([]ref.Val, len(r.keys))
		for i, k := range r.keys {
			v := &keyRef{structVal: structVal{st: st}, key: k, index: i, run: r}
			v.self = v
			elems[i] = v
		}
		r.keyVals = &objectList{elems}
	}
	return r.keyVals
}

// datacenterList is rare enough to be built anew on each reading.
func datacenterList(dcs []Datacenter) []*Datacenter {
	list := make([]*Datacenter, len(dcs))
	for i := range dcs {
		list[i] = &dcs[i]
	}
	return list
}

// runVal is the run as the value of [runVar].
type runVal struct{ run *run }

// Type and the methods below make runVal a value of CEL. Only hidden functions get it.
func (v runVal) Type() ref.Type { return runType }
func (v runVal) Value() any     { return v.run }
func (v runVal) Equal(other ref.Val) ref.Val {
	o, ok := other.(runVal)
	return types.Bool(ok && o.run == v.run)
}
func (v runVal) ConvertToType(ref.Type) ref.Val { return types.NewErr("not a value of the language") }
func (v runVal) ConvertToNative(reflect.Type) (any, error) {
	return nil, errors.New("not a value of the language")
}

// secretsVal is `secrets`. It has no fields and only serves as a receiver.
type secretsVal struct{ structVal }

// nothingError is a look-up without a result. It makes a selection empty rather
// than failed.
type nothingError struct{ what string }

func (e *nothingError) Error() string { return e.what }

// nothing is the value of a look-up without a result.
//
// The text becomes a note, so it begins in lower case and has no full stop.
func nothing(format string, args ...any) ref.Val {
	return types.WrapErr(&nothingError{fmt.Sprintf(format, args...)})
}
