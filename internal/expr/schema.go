package expr

import (
	"errors"
	"reflect"
	"slices"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
)

// errNoValue is what reading a field of something that is not there yields,
// such as m.pricing.input where no price is known.
var errNoValue = errors.New("no such value")

// structType describes one type of the vocabulary: its name in CEL, its name
// in messages, and its fields.
type structType struct {
	name   string // begins with '@', which no source text can spell
	plain  string // for messages: "model"
	typ    *types.Type
	fields map[string]*types.FieldType
	vocab  *vocabulary // the one that this type belongs to
}

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

type structField struct {
	name  string
	field *types.FieldType
}

// field declares a field that is read from a Go value of type T. The answer of
// get may be any Go value that [adapter] knows, so a chain of selections walks
// plain Go pointers and only its end becomes a CEL value.
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

// object is the type of another struct of the vocabulary, by its plain name,
// so that the tables below need no order.
func object(plain string) *types.Type { return types.NewObjectType("@" + plain) }

func listOf(t *types.Type) *types.Type { return types.NewListType(t) }

// strategyTypes are the types that model strategies, key strategies and
// templates share, and `ai` as a model strategy sees it.
func strategyTypes() []*structType {
	return slices.Concat(modelTypes(), metricsTypes(), requestTypes(), []*structType{
		newStructType("ai",
			field("models", listOf(object("model")), func(r *run) any { return r.modelList() }),
			field("providers", listOf(object("provider")), func(r *run) any { return r.providerList() }),
			field("authors", listOf(object("author")), func(r *run) any { return r.authorList() }),
		),
	})
}

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

func templateTypes() []*structType {
	return append(requestTypes(), newStructType("secrets"))
}

func modelTypes() []*structType {
	str, strs, num, boolean := cel.StringType, listOf(cel.StringType), cel.IntType, cel.BoolType
	price := cel.NullableType(cel.DoubleType)
	metadata := cel.MapType(cel.StringType, cel.DynType)
	return []*structType{
		newStructType("model",
			field("id", str, func(m *modelRef) any { return m.model.ID }),
			field("id_aliases", strs, func(m *modelRef) any { return m.model.IDAliases }),
			field("provider_id", str, func(m *modelRef) any { return m.provider().ID }),
			field("provider_id_aliases", strs, func(m *modelRef) any { return m.provider().IDAliases }),
			field("author_id", str, func(m *modelRef) any { return m.model.AuthorID }),
			field("author_id_aliases", strs, func(m *modelRef) any { return m.model.AuthorIDAliases }),
			field("display_name", str, func(m *modelRef) any { return m.model.DisplayName }),
			field("description", str, func(m *modelRef) any { return m.model.Description }),
			field("known", boolean, func(m *modelRef) any { return m.model.Known }),
			field("custom", boolean, func(m *modelRef) any { return m.model.Custom }),
			field("metadata", metadata, func(m *modelRef) any { return layered(m.model.Metadata, m.provider().Metadata) }),
			field("input_modalities", strs, func(m *modelRef) any { return m.model.InputModalities }),
			field("output_modalities", strs, func(m *modelRef) any { return m.model.OutputModalities }),
			field("supported_features", strs, func(m *modelRef) any { return m.model.SupportedFeatures }),
			field("max_context_window", num, func(m *modelRef) any { return m.model.MaxContextWindow }),
			field("max_output_tokens", num, func(m *modelRef) any { return m.model.MaxOutputTokens }),
			field("parameter_count", num, func(m *modelRef) any { return m.model.ParameterCount }),
			field("quantization", str, func(m *modelRef) any { return m.model.Quantization }),
			field("data_training_policy", str, func(m *modelRef) any { return m.model.DataTrainingPolicy }),
			field("data_retention_days", num, func(m *modelRef) any { return m.model.DataRetentionDays }),
			field("data_retention_policy", str, func(m *modelRef) any { return m.model.DataRetentionPolicy }),
			field("pricing", object("pricing"), func(m *modelRef) any {
				if m.model.Pricing == nil {
					return types.NullValue
				}
				return m.model.Pricing
			}),
			field("datacenters", listOf(object("datacenter")), func(m *modelRef) any { return datacenterList(m.model.Datacenters) }),
			field("metrics", object("model_metrics"), func(m *modelRef) any { return m.metrics() }),
		),
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
		newStructType("pricing",
			field("input", price, func(p *Pricing) any { return nullable(p.Input) }),
			field("output", price, func(p *Pricing) any { return nullable(p.Output) }),
			field("input_cache_read", price, func(p *Pricing) any { return nullable(p.InputCacheRead) }),
			field("input_cache_write", price, func(p *Pricing) any { return nullable(p.InputCacheWrite) }),
			field("input_batch", price, func(p *Pricing) any { return nullable(p.InputBatch) }),
			field("output_batch", price, func(p *Pricing) any { return nullable(p.OutputBatch) }),
			field("tools", cel.MapType(str, cel.DoubleType), func(p *Pricing) any { return p.Tools }),
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
