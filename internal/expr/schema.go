package expr

import (
	"errors"
	"reflect"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// errNoValue is the error of a field of null, such as m.pricing.input of a
// model without prices.
var errNoValue = errors.New("no such value")

// structType describes one type of the vocabulary: its name in CEL, its name
// in messages, and its fields.
//
// A structType is bound to one vocabulary by [newVocabulary], so the functions
// below make new ones at each call.
type structType struct {
	name   string // begins with '@', which source text cannot spell
	plain  string // for messages: "model"
	typ    *types.Type
	fields map[string]*types.FieldType
	vocab  *vocabulary // the owner of this type
}

// newStructType declares a type by its plain name.
//
// A second field of a name would replace the first one.
func newStructType(plain string, fields ...structField) *structType {
	st := &structType{
		name:   "@" + plain,
		plain:  plain,
		typ:    types.NewObjectType("@" + plain),
		fields: make(map[string]*types.FieldType, len(fields)),
	}
	for _, f := range fields {
		st.fields[f.name] = f.field
	}
	return st
}

// fieldNames returns the names in order.
func (st *structType) fieldNames() []string {
	names := make([]string, 0, len(st.fields))
	for name := range st.fields {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// structField is a field with its name.
type structField struct {
	name  string
	field *types.FieldType
}

// field declares a field with a reader from a Go value of type T. The reader
// may return any Go value known to [vocabulary.NativeToValue]. A chain of
// selections walks plain Go pointers, and only its end becomes a CEL value.
//
// IsSet answers has(), and GetFrom answers the selection. T is the Go type of the
// operand. An operand of another type is null.
func field[T any](name string, typ *types.Type, get func(T) any) structField {
	return structField{name, &types.FieldType{
		Type: typ,
		IsSet: func(target any) bool {
			t, ok := target.(T)
			return ok && !isZero(get(t))
		},
		GetFrom: func(target any) (any, error) {
			t, ok := target.(T)
			if !ok {
				// The selection went through a null, m.pricing for one.
				return nil, errNoValue
			}
			return get(t), nil
		},
	}}
}

// isZero answers has(): a field is there when it is not null, zero or empty.
//
// It agrees with proto3, whose messages CEL was made for: a scalar is there if it
// is not its zero value.
func isZero(v any) bool {
	switch v := v.(type) {
	case nil:
		return true
	case string:
		return v == ""
	case bool:
		return !v
	case int64:
		return v == 0
	case float64:
		return v == 0
	case types.Null:
		return true
	case interface{ Size() ref.Val }:
		return v.Size() == types.IntZero
	}
	// Values of other kinds, such as a group of metrics, are always there.
	switch rv := reflect.ValueOf(v); rv.Kind() {
	case reflect.Slice, reflect.Map:
		return rv.Len() == 0
	case reflect.Pointer:
		return rv.IsNil()
	}
	return false
}

// nullable turns a missing number into null.
func nullable[T any](p *T) any {
	if p == nil {
		return types.NullValue
	}
	return *p
}

// object is the type of another struct of the vocabulary, by its plain name.
// The tables below need no order.
func object(plain string) *types.Type { return types.NewObjectType("@" + plain) }

// listOf is the type of a list, as macros and functions declare it.
func listOf(t *types.Type) *types.Type { return types.NewListType(t) }

// strategyTypes are the types of a model strategy.
func strategyTypes() []*structType {
	return slices.Concat(modelTypes(), metricsTypes(), requestTypes(), []*structType{
		newStructType("ai",
			field("models", listOf(object("model")), func(r *run) any { return r.modelList() }),
			field("providers", listOf(object("provider")), func(r *run) any { return r.providerList() }),
			field("authors", listOf(object("author")), func(r *run) any { return r.authorList() }),
		),
	})
}

// keyStrategyTypes are the types of a key strategy.
//
// A strategy of keys sees neither models nor providers: it runs for one candidate
// that is already chosen.
func keyStrategyTypes() []*structType {
	return slices.Concat(metricsTypes(), requestTypes(), []*structType{
		newStructType("ai",
			field("keys", listOf(object("key")), func(r *run) any { return r.keyList() }),
		),
		newStructType("key",
			field("id", cel.StringType, func(k *keyRef) any { return k.key.ID }),
			field("quota", object("quota"), func(k *keyRef) any { return &k.metrics().Quota }),
			field("error_rate", object("error_rate"), func(k *keyRef) any { return metricGroup{"error_rate", &k.metrics().Metrics} }),
			field("metrics", object("key_metrics"), func(k *keyRef) any { return k.metrics() }),
		),
	})
}

// templateTypes are the types of ${…}. The type of secrets has no fields: it is
// a receiver of get().
func templateTypes() []*structType {
	return append(requestTypes(), newStructType("secrets"))
}

// The simple fields of a model by type, with their readers. Two evaluators read
// them: CEL, and the compiled predicates of plan_values.go.

// modelTexts are the fields with a string. Empty is unknown.
func modelTexts() map[string]func(*Model) string {
	return map[string]func(*Model) string{
		"id":                    func(m *Model) string { return m.ID },
		"provider_id":           func(m *Model) string { return m.provider().ID },
		"author_id":             func(m *Model) string { return m.AuthorID },
		"display_name":          func(m *Model) string { return m.DisplayName },
		"description":           func(m *Model) string { return m.Description },
		"quantization":          func(m *Model) string { return m.Quantization },
		"data_training_policy":  func(m *Model) string { return m.DataTrainingPolicy },
		"data_retention_policy": func(m *Model) string { return m.DataRetentionPolicy },
	}
}

// modelLists are the fields with a list of strings. The lists are the catalog's,
// and must not be changed.
func modelLists() map[string]func(*Model) []string {
	return map[string]func(*Model) []string{
		"id_aliases":          func(m *Model) []string { return m.IDAliases },
		"provider_id_aliases": func(m *Model) []string { return m.provider().IDAliases },
		"author_id_aliases":   func(m *Model) []string { return m.AuthorIDAliases },
		"input_modalities":    func(m *Model) []string { return m.InputModalities },
		"output_modalities":   func(m *Model) []string { return m.OutputModalities },
		"supported_features":  func(m *Model) []string { return m.SupportedFeatures },
	}
}

// modelCounts are the fields with a number. 0 is unknown.
func modelCounts() map[string]func(*Model) int64 {
	return map[string]func(*Model) int64{
		"max_context_window":  func(m *Model) int64 { return m.MaxContextWindow },
		"max_output_tokens":   func(m *Model) int64 { return m.MaxOutputTokens },
		"parameter_count":     func(m *Model) int64 { return m.ParameterCount },
		"data_retention_days": func(m *Model) int64 { return m.DataRetentionDays },
	}
}

// modelFlags are the fields with a bool.
func modelFlags() map[string]func(*Model) bool {
	return map[string]func(*Model) bool{
		"known":  func(m *Model) bool { return m.Known },
		"custom": func(m *Model) bool { return m.Custom },
	}
}

// prices are the prices of tokens in m.pricing.
//
// They are USD per million tokens. Nil is unknown, and null in the language.
func prices() map[string]func(*Pricing) *float64 {
	return map[string]func(*Pricing) *float64{
		"input":             func(p *Pricing) *float64 { return p.Input },
		"output":            func(p *Pricing) *float64 { return p.Output },
		"input_cache_read":  func(p *Pricing) *float64 { return p.InputCacheRead },
		"input_cache_write": func(p *Pricing) *float64 { return p.InputCacheWrite },
		"input_batch":       func(p *Pricing) *float64 { return p.InputBatch },
		"output_batch":      func(p *Pricing) *float64 { return p.OutputBatch },
	}
}

// modelTypes are the types of models, providers and authors.
//
// A new field of a model needs a row in one of the four maps above, or a field
// here if its value is not a string, list, count or flag; and a row in
// reference.go.
func modelTypes() []*structType {
	str, strs, boolean := cel.StringType, listOf(cel.StringType), cel.BoolType
	metadata := cel.MapType(cel.StringType, cel.DynType)
	model := []structField{
		field("metadata", metadata, func(m *modelRef) any { return layered(m.model.Metadata, m.provider().Metadata) }),
		field("pricing", object("pricing"), func(m *modelRef) any {
			if m.model.Pricing == nil {
				return types.NullValue
			}
			return m.model.Pricing
		}),
		field("datacenters", listOf(object("datacenter")), func(m *modelRef) any { return datacenterList(m.model.Datacenters) }),
		field("metrics", object("model_metrics"), func(m *modelRef) any { return m.metrics() }),
	}
	for name, read := range modelTexts() {
		model = append(model, field(name, str, func(m *modelRef) any { return read(m.model) }))
	}
	for name, read := range modelLists() {
		model = append(model, field(name, strs, func(m *modelRef) any { return read(m.model) }))
	}
	for name, read := range modelCounts() {
		model = append(model, field(name, cel.IntType, func(m *modelRef) any { return read(m.model) }))
	}
	for name, read := range modelFlags() {
		model = append(model, field(name, boolean, func(m *modelRef) any { return read(m.model) }))
	}
	pricing := []structField{field("tools", cel.MapType(str, cel.DoubleType), func(p *Pricing) any { return p.Tools })}
	for name, read := range prices() {
		pricing = append(pricing, field(name, cel.NullableType(cel.DoubleType), func(p *Pricing) any { return nullable(read(p)) }))
	}
	return []*structType{
		newStructType("model", model...),
		newStructType("pricing", pricing...),
		newStructType("provider",
			field("id", str, func(p *providerRef) any { return p.provider.ID }),
			field("id_aliases", strs, func(p *providerRef) any { return p.provider.IDAliases }),
			field("display_name", str, func(p *providerRef) any { return p.provider.DisplayName }),
			field("description", str, func(p *providerRef) any { return p.provider.Description }),
			field("website", str, func(p *providerRef) any { return p.provider.Website }),
			field("metadata", metadata, func(p *providerRef) any { return layered(p.provider.Metadata, nil) }),
			field("known", boolean, func(p *providerRef) any { return p.provider.Known }),
			field("custom", boolean, func(p *providerRef) any { return p.provider.Custom }),
		),
		newStructType("author",
			field("id", str, func(a *Author) any { return a.ID }),
			field("id_aliases", strs, func(a *Author) any { return a.IDAliases }),
			field("display_name", str, func(a *Author) any { return a.DisplayName }),
		),
		newStructType("datacenter",
			field("country_code", str, func(d *Datacenter) any { return d.CountryCode }),
			field("region", str, func(d *Datacenter) any { return d.Region }),
		),
		newStructType("model_metrics",
			field("global", object("metrics"), func(m *ModelMetrics) any { return &m.Global }),
			field("region", object("metrics"), func(m *ModelMetrics) any { return &m.Region }),
			field("account", object("metrics"), func(m *ModelMetrics) any { return &m.Account }),
			field("endpoint", object("metrics"), func(m *ModelMetrics) any { return &m.Endpoint }),
			field("api_keys", cel.MapType(str, object("key_metrics")), func(m *ModelMetrics) any { return m.APIKeys }),
		),
	}
}

// The three views of a [Request] are pointer conversions, so they cost
// nothing, and their Go types tell the CEL types apart.
type (
	urlView        Request
	connectionView Request
)

// requestTypes are the types of req and conn. All kinds of expressions see
// them.
func requestTypes() []*structType {
	return []*structType{
		newStructType("request",
			field("method", cel.StringType, func(r *Request) any { return r.Method }),
			field("host", cel.StringType, func(r *Request) any { return r.Host }),
			field("id", cel.StringType, func(r *Request) any { return r.ID }),
			field("url", object("url"), func(r *Request) any { return (*urlView)(r) }),
			field("headers", cel.MapType(cel.StringType, listOf(cel.StringType)), func(r *Request) any { return newHeaderMap(r.Header) }),
			field("caller", cel.StringType, func(r *Request) any { return r.Caller }),
			field("session", cel.StringType, func(r *Request) any { return r.session() }),
			field("ai", object("request_facts"), func(r *Request) any { return r.facts() }),
		),
		newStructType("url",
			field("path", cel.StringType, func(u *urlView) any { return u.Path }),
		),
		newStructType("connection",
			field("client_ip", cel.StringType, func(c *connectionView) any { return c.ClientIP }),
		),
		factsType(),
	}
}
