package expr

import (
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"strings"

	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
)

// vocabulary is the type provider and adapter of one environment: its struct
// types by name ("@model"), and the standard types underneath.
//
// The checker asks it for types by name, and the evaluator asks it to wrap the
// Go values that fields return. CEL's standard types, such as timestamps, come
// from std.
type vocabulary struct {
	types.Adapter // the standard adapter
	std           types.Provider
	structs       map[string]*structType
}

var (
	_ types.Provider = (*vocabulary)(nil)
	_ types.Adapter  = (*vocabulary)(nil)
)

// newVocabulary binds types to a vocabulary. Each type belongs to one alone.
func newVocabulary(structs []*structType) (*vocabulary, error) {
	std, err := types.NewRegistry()
	if err != nil {
		return nil, err
	}
	v := &vocabulary{Adapter: types.DefaultTypeAdapter, std: std, structs: make(map[string]*structType, len(structs))}
	for _, st := range structs {
		st.vocab = v
		v.structs[st.name] = st
	}
	return v, nil
}

// NativeToValue wraps the Go value of a field.
//
// The readers in schema.go return plain Go values, and CEL asks for a wrapper when
// a value leaves a chain of selections: m.metrics.global.error_rate.total makes no
// CEL value of m.metrics.
//
// A pointer that this list lacks would reach the standard adapter, and come out
// as an error value. A new Go type of the vocabulary needs a row here.
func (v *vocabulary) NativeToValue(value any) ref.Val {
	switch value := value.(type) {
	case ref.Val:
		return value
	case *run:
		return v.wrap("@ai", value)
	case *Author:
		return v.wrap("@author", value)
	case *Pricing:
		return v.wrap("@pricing", value)
	case *Datacenter:
		return v.wrap("@datacenter", value)
	case *ModelMetrics:
		return v.wrap("@model_metrics", value)
	case *Metrics:
		return v.wrap("@metrics", value)
	case *KeyMetrics:
		return v.wrap("@key_metrics", value)
	case metricGroup:
		return v.wrap("@"+value.name, value)
	case *RequestFacts:
		return v.wrap("@request_facts", value)
	case *Quota:
		return v.wrap("@quota", value)
	case *Request:
		return v.wrap("@request", value)
	case *urlView:
		return v.wrap("@url", value)
	case *connectionView:
		return v.wrap("@connection", value)
	case []*Datacenter:
		return types.NewDynamicList(v, value)
	case map[string]*KeyMetrics:
		return types.NewDynamicMap(v, value)
	}
	return v.Adapter.NativeToValue(value)
}

// wrap makes a CEL value of a Go value, given the name of its type.
//
// name must be a type of this environment. A key strategy has no "@model", for
// one, and no value of its own leads to a model.
func (v *vocabulary) wrap(name string, value any) *structVal {
	return &structVal{st: v.structs[name], self: value}
}

// FindStructType makes the vocabulary's types known to CEL's checker.
func (v *vocabulary) FindStructType(name string) (*types.Type, bool) {
	st, ok := v.structs[name]
	if !ok {
		return nil, false
	}
	return types.NewTypeTypeWithParam(st.typ), true
}

// FindStructFieldNames lists the fields of a type, sorted.
func (v *vocabulary) FindStructFieldNames(name string) ([]string, bool) {
	st, ok := v.structs[name]
	if !ok {
		return nil, false
	}
	return st.fieldNames(), true
}

// FindStructFieldType has the checker know a field's type, and the evaluator its
// reader.
func (v *vocabulary) FindStructFieldType(name, field string) (*types.FieldType, bool) {
	st, ok := v.structs[name]
	if !ok {
		return nil, false
	}
	ft, ok := st.fields[field]
	return ft, ok
}

// FindIdent knows CEL's names of types only, such as int. Variables are declared
// in [newLanguage].
func (v *vocabulary) FindIdent(name string) (ref.Val, bool) { return v.std.FindIdent(name) }

// EnumValue is required by CEL. The vocabulary has no enums.
func (v *vocabulary) EnumValue(name string) ref.Val {
	return types.NewErr("unknown enum name '%s'", name)
}

// NewValue refuses to build anything: a strategy chooses among given values.
// The checker knows no struct of a name in source text, so compiled expressions
// never get here.
func (v *vocabulary) NewValue(name string, _ map[string]ref.Val) ref.Val {
	return types.NewErr("a value of type %q cannot be constructed", name)
}

// structVal is a struct of the vocabulary as a CEL value. Its identity is the
// Go pointer in self.
type structVal struct {
	st   *structType
	self any
}

func (s *structVal) Type() ref.Type { return s.st.typ }
func (s *structVal) Value() any     { return s.self }

// Equal compares identities: two models are equal if they are one.
func (s *structVal) Equal(other ref.Val) ref.Val {
	o, ok := other.(interface{ identity() any })
	return types.Bool(ok && o.identity() == s.self)
}

func (s *structVal) identity() any { return s.self }

// ConvertToNative hands out the Go pointer, if the type asked for takes it.
func (s *structVal) ConvertToNative(t reflect.Type) (any, error) {
	if v := reflect.ValueOf(s.self); v.Type().AssignableTo(t) {
		return s.self, nil
	}
	return nil, fmt.Errorf("%s has no value of type %v", s.st.plain, t)
}

// ConvertToType answers type(m), and refuses conversions such as string(m).
func (s *structVal) ConvertToType(t ref.Type) ref.Val {
	switch t.TypeName() {
	case s.st.name:
		return s
	case types.TypeType.TypeName():
		return s.st.typ
	}
	return types.NewErr("%s cannot be converted to %s", s.st.plain, t.TypeName())
}

// Get and IsSet serve selections whose operand type is known only at run time.
func (s *structVal) Get(index ref.Val) ref.Val {
	name, _ := index.(types.String)
	ft, ok := s.st.fields[string(name)]
	if !ok {
		return types.NewErr("%s has no field '%v'", s.st.plain, index)
	}
	v, err := ft.GetFrom(s.self)
	if err != nil {
		return types.WrapErr(err)
	}
	return s.st.vocab.NativeToValue(v)
}

func (s *structVal) IsSet(index ref.Val) ref.Val {
	name, _ := index.(types.String)
	ft, ok := s.st.fields[string(name)]
	return types.Bool(ok && ft.IsSet(s.self))
}

// objectList is a list of models, providers, authors or keys. Functions of
// the vocabulary work on elems directly.
//
// CEL's own list would wrap each element at each reading. The elements here are
// made once per run, and lists share them. elems must not be changed: filters
// and lists of a run may share the slice.
type objectList struct {
	elems []ref.Val
}

var _ traits.Lister = (*objectList)(nil)

// elements returns the elements of a CEL list. It does not copy an
// [objectList]. The slice must not be changed.
func elements(v ref.Val) ([]ref.Val, bool) {
	switch l := v.(type) {
	case *objectList:
		return l.elems, true
	case traits.Lister:
		n := int(l.Size().(types.Int))
		elems := make([]ref.Val, n)
		for i := range elems {
			elems[i] = l.Get(types.Int(i))
		}
		return elems, true
	}
	return nil, false
}

func (l *objectList) Type() ref.Type { return types.ListType }
func (l *objectList) Value() any     { return l.elems }
func (l *objectList) Size() ref.Val  { return types.Int(len(l.elems)) }

// Add concatenates, and charges for both lists.
func (l *objectList) Add(other ref.Val) ref.Val {
	more, ok := elements(other)
	if !ok {
		return types.MaybeNoSuchOverloadErr(other)
	}
	spendOn(l.elems)
	spendOn(more)
	elems := make([]ref.Val, 0, len(l.elems)+len(more))
	return &objectList{append(append(elems, l.elems...), more...)}
}

// Contains is CEL's in. It compares by identity, so that sixteen elements take a step.
func (l *objectList) Contains(value ref.Val) ref.Val {
	spendOn(l.elems[:len(l.elems)/16])
	for _, e := range l.elems {
		if e.Equal(value) == types.True {
			return types.True
		}
	}
	return types.False
}

// Get fails with a [nothingError] for an index out of range.
func (l *objectList) Get(index ref.Val) ref.Val {
	i, err := types.IndexOrError(index)
	if err != nil {
		return types.WrapErr(err)
	}
	if i < 0 || i >= len(l.elems) {
		return nothing("index %d is out of range, the list has %d", i, len(l.elems))
	}
	return l.elems[i]
}

// Equal compares element by element, in order, and charges for it.
func (l *objectList) Equal(other ref.Val) ref.Val {
	theirs, ok := elements(other)
	if !ok || len(theirs) != len(l.elems) {
		return types.False
	}
	spendOn(l.elems)
	for i, e := range l.elems {
		if e.Equal(theirs[i]) != types.True {
			return types.False
		}
	}
	return types.True
}

func (l *objectList) ConvertToType(t ref.Type) ref.Val { return l.generic().ConvertToType(t) }

func (l *objectList) ConvertToNative(t reflect.Type) (any, error) {
	return l.generic().ConvertToNative(t)
}

// generic is the list as one of CEL's own, for conversions.
func (l *objectList) generic() traits.Lister {
	return types.NewRefValList(types.DefaultTypeAdapter, l.elems)
}

func (l *objectList) Iterator() traits.Iterator { return &listIterator{Val: l, elems: l.elems} }

// listIterator is never a value of the language; it borrows the methods of its
// list.
//
// CEL asks HasNext before each Next. Next of an ended list is nil, as in CEL.
type listIterator struct {
	ref.Val
	elems []ref.Val
}

func (it *listIterator) HasNext() ref.Val { return types.Bool(len(it.elems) > 0) }

func (it *listIterator) Next() ref.Val {
	if len(it.elems) == 0 {
		return nil
	}
	e := it.elems[0]
	it.elems = it.elems[1:]
	return e
}

// lazyMap is a map with string keys. Entries are looked up one by one. A loop
// over it builds the whole map.
//
// A filter over a thousand models with m.metadata.tier == 'gold' builds no map.
type lazyMap struct {
	lookup
}

// lookup is the source of a [lazyMap].
type lookup interface {
	find(name string) (any, bool)
	whole() any // a Go map with string keys
}

var _ traits.Mapper = lazyMap{}

// all builds the whole map. Loops, size() and == need it.
func (m lazyMap) all() traits.Mapper {
	return types.DefaultTypeAdapter.NativeToValue(m.whole()).(traits.Mapper)
}

// Find is CEL's look-up without an error. Names are strings; a key of another
// type is not there.
func (m lazyMap) Find(key ref.Val) (ref.Val, bool) {
	name, ok := key.(types.String)
	if !ok {
		return nil, false
	}
	v, ok := m.find(string(name))
	if !ok {
		return nil, false
	}
	return types.DefaultTypeAdapter.NativeToValue(v), true
}

// Get is a selection, with CEL's error for a missing key.
func (m lazyMap) Get(key ref.Val) ref.Val {
	if v, ok := m.Find(key); ok {
		return v
	}
	return types.NewErr("no such key: %v", key)
}

// Contains is CEL's in, and has().
func (m lazyMap) Contains(key ref.Val) ref.Val {
	_, ok := m.Find(key)
	return types.Bool(ok)
}

func (m lazyMap) Type() ref.Type                   { return types.MapType }
func (m lazyMap) Value() any                       { return m.whole() }
func (m lazyMap) Size() ref.Val                    { return m.all().Size() }
func (m lazyMap) Iterator() traits.Iterator        { return m.all().Iterator() }
func (m lazyMap) Equal(other ref.Val) ref.Val      { return m.all().Equal(other) }
func (m lazyMap) ConvertToType(t ref.Type) ref.Val { return m.all().ConvertToType(t) }
func (m lazyMap) ConvertToNative(t reflect.Type) (any, error) {
	return m.all().ConvertToNative(t)
}

// headers shows request headers under lower-case names. Asking for another
// spelling finds them as well, as HTTP has it.
type headers http.Header

func newHeaderMap(h http.Header) lazyMap { return lazyMap{headers(h)} }

// find answers an empty list as a missing header: an http.Header can hold both.
func (h headers) find(name string) (any, bool) {
	values := http.Header(h).Values(name)
	return values, len(values) > 0
}

// whole is the map with names in lower case, for loops over all headers.
func (h headers) whole() any {
	all := make(map[string][]string, len(h))
	for name, values := range h {
		all[strings.ToLower(name)] = values
	}
	return all
}

// layers is metadata with the provider's underneath.
//
// Only the top-level keys are laid over each other. A map under a key of own
// hides the map under the same key of base as a whole.
type layers struct {
	own, base map[string]any
}

// layered returns metadata with base showing through for keys missing in own.
// With one of the two empty it returns the other as a plain Go map.
func layered(own, base map[string]any) any {
	switch {
	case len(base) == 0:
		return own
	case len(own) == 0:
		return base
	}
	return lazyMap{layers{own, base}}
}

func (l layers) find(name string) (any, bool) {
	if v, ok := l.own[name]; ok {
		return v, true
	}
	v, ok := l.base[name]
	return v, ok
}

// whole copies. Both layers belong to the catalog.
func (l layers) whole() any {
	all := maps.Clone(l.base)
	maps.Copy(all, l.own)
	return all
}
