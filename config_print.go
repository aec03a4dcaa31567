package aigateway

import (
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"strings"

	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/redact"
)

// Format prints c without literal secrets. Each dependency is shown as its type,
// because its fields may hold secrets.
//
// It holds for every verb: %v, %+v and %#v alike.
func (c Config) Format(f fmt.State, verb rune) {
	dependencies := map[string]string{}
	// All changes here are to the copy.
	v := reflect.ValueOf(&c).Elem()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		if field.Tag.Get("json") != "-" {
			continue
		}
		switch kind := field.Type.Kind(); kind {
		case reflect.Interface, reflect.Func, reflect.Pointer:
			if d := v.Field(i); kind == reflect.Interface && !d.IsNil() {
				dependencies[field.Name] = fmt.Sprintf("%T", d.Interface())
			}
			v.Field(i).SetZero()
		}
	}
	c.SharedSecret, c.shape = nil, nil
	redact.Format(f, verb, printedConfig{printedSettings(c.printed()), dependencies})
}

// MarshalJSON writes the settings of c without literal secrets, such as for a log. The
// result cannot be loaded as a config.
func (c Config) MarshalJSON() ([]byte, error) { return json.Marshal(printedSettings(c.printed())) }

// plainJSON writes a Config as it is.
//
// The methods of Config and Provider are avoided by types without them.
// Templates still redact themselves.
func plainJSON(c Config) ([]byte, error) {
	plain := struct {
		printedSettings
		Providers []printedProvider `json:"providers,omitempty"`
	}{printedSettings: printedSettings(c)}
	for _, p := range c.Providers {
		plain.Providers = append(plain.Providers, printedProvider(p))
	}
	return json.Marshal(plain)
}

// printed is a copy of c without literal secrets. The maps are shared with the
// caller's Config, so they are copied before a change.
func (c Config) printed() Config {
	c.Headers, c.QueryParams, c.Body = printedKeys(c.Headers), printedKeys(c.QueryParams), printedBody(c.Body)
	c.InternalEndpoints = maps.Clone(c.InternalEndpoints)
	for host, target := range c.InternalEndpoints {
		c.InternalEndpoints[host] = printedURL(target)
	}
	return c
}

// Format prints p without literal secrets.
func (p Provider) Format(f fmt.State, verb rune) {
	redact.Format(f, verb, printedProvider(p.printed()))
}

// MarshalJSON writes p without literal secrets, such as for a log. The
// result cannot be loaded as a provider.
func (p Provider) MarshalJSON() ([]byte, error) { return json.Marshal(printedProvider(p.printed())) }

// printed is a copy of p without literal secrets.
func (p Provider) printed() Provider {
	p.BaseURL = printedURL(p.BaseURL)
	p.Headers, p.QueryParams, p.Body = printedKeys(p.Headers), printedKeys(p.QueryParams), printedBody(p.Body)
	p.Metadata = maps.Clone(p.Metadata)
	for name, v := range p.Metadata {
		p.Metadata[name] = printedValue(v, redact.HasSecret)
	}
	// People put a key into the scheme by mistake.
	if redact.LooksSecret(p.Auth.Scheme) {
		p.Auth.Scheme = "…"
	}
	return p
}

// Format prints k without the literal parts of its value.
func (k APIKey) Format(f fmt.State, verb rune) { redact.Format(f, verb, printedKey(k)) }

// The printed types have the fields of their originals, and no Format.
type (
	printedConfig struct {
		printedSettings
		Dependencies map[string]string // types by field
	}
	printedSettings Config
	printedProvider Provider
	printedKey      APIKey
)

// printedURL hides an address with a possible credential.
func printedURL(raw string) string {
	if raw != "" && address.Shown(raw) == "" {
		return "…"
	}
	return raw
}

// printedKeys hides names that are credentials in the wrong place. The values hide
// themselves.
//
// The caller's map is not changed.
func printedKeys(values map[string]Template) map[string]Template {
	out := maps.Clone(values)
	for name, v := range values {
		if redact.IsKey(name) {
			delete(out, name)
			out["…"] = v
		}
	}
	return out
}

// printedBody hides the texts of a body, but not its expressions.
func printedBody(body map[string]any) map[string]any {
	out := maps.Clone(body)
	for name, v := range out {
		out[name] = printedValue(v, func(string) bool { return true })
	}
	return out
}

// printedValue copies a value of any shape. It hides texts for which secret is
// true, and values of types unknown to JSON.
func printedValue(v any, secret func(string) bool) any {
	switch v := plainValue(v).(type) {
	case string:
		if strings.Contains(v, "${") || secret(v) {
			return Template(v)
		}
		return v
	case map[string]any:
		out := make(map[string]any, len(v))
		for name, child := range v {
			out[name] = printedValue(child, secret)
		}
		return out
	case []any:
		out := make([]any, len(v))
		for i, child := range v {
			out[i] = printedValue(child, secret)
		}
		return out
	case nil, bool, int, int64, uint64, float64:
		return v
	default:
		return Template("…")
	}
}

// newOrigin keeps a Config with the providers of its registry, to compile it again
// when an answer changes. It shares no setting with the caller's Config, and the
// registry is not asked again.
func newOrigin(cfg Config, listed []Provider) *Config {
	kept := deepCopy(reflect.ValueOf(cfg)).Interface().(Config)
	kept.Registry = StaticRegistry(listed...)
	if cfg.Hooks != nil {
		hooks := *cfg.Hooks
		kept.Hooks = &hooks
	}
	return &kept
}

// deepCopy copies lists, maps and pointers to the depth of plain data. Interfaces
// with methods and functions are the dependencies of a Config: they are shared.
//
// v must be a value of plain data. A field tagged "-" is shared: it is a
// dependency.
func deepCopy(v reflect.Value) reflect.Value {
	out := reflect.New(v.Type()).Elem()
	out.Set(v)
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if tag := v.Type().Field(i).Tag.Get("json"); tag != "-" && v.Type().Field(i).IsExported() {
				out.Field(i).Set(deepCopy(v.Field(i)))
			}
		}
	case reflect.Slice:
		if !v.IsNil() {
			out.Set(reflect.MakeSlice(v.Type(), v.Len(), v.Len()))
			for i := range v.Len() {
				out.Index(i).Set(deepCopy(v.Index(i)))
			}
		}
	case reflect.Map:
		if !v.IsNil() {
			out.Set(reflect.MakeMapWithSize(v.Type(), v.Len()))
			for it := v.MapRange(); it.Next(); {
				out.SetMapIndex(it.Key(), deepCopy(it.Value()))
			}
		}
	case reflect.Pointer:
		if !v.IsNil() && v.Elem().Kind() != reflect.Struct {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(deepCopy(v.Elem()))
		} else if !v.IsNil() && v.Type() == reflect.TypeFor[*Pricing]() {
			out.Set(reflect.New(v.Type().Elem()))
			out.Elem().Set(deepCopy(v.Elem()))
		}
	case reflect.Interface:
		if v.NumMethod() == 0 && !v.IsNil() {
			if k := v.Elem().Kind(); k == reflect.Map || k == reflect.Slice {
				out.Set(deepCopy(v.Elem()))
			}
		}
	}
	return out
}
