package aigateway

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/bounds"
	"github.com/aigateway-go/aigateway/internal/expr"
)

// duration reads a duration of the Config. Empty and zero mean the default of its
// row in the table of bounds.
func (p *problems) duration(field string, v Duration) time.Duration {
	return v.parse(p, field, bounds.Of("Config", field).Duration())
}

// number checks a number of the Config. Zero is the default of its row.
func (p *problems) number(field string, v int) int {
	s := bounds.Of("Config", field)
	if !s.Allows(int64(v)) {
		p.add(field, fmt.Sprint(v), "must be from %d to %d", s.Min, s.Max)
	}
	if v == 0 {
		return int(s.Number())
	}
	return v
}

// withDefaults returns a copy of a Config with the defaults in its empty fields.
func withDefaults(cfg Config) Config {
	v := reflect.ValueOf(&cfg).Elem()
	for i := range v.NumField() {
		name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("json"), ",")
		f := v.Field(i)
		for _, s := range bounds.Table() {
			if s.Struct != "Config" || s.Field != name || !f.IsZero() {
				continue
			}
			switch def := s.Default.(type) {
			case time.Duration:
				f.SetString(def.String())
			case int64:
				f.SetInt(def)
			case string:
				f.SetString(def)
			}
		}
	}
	return cfg
}

// parse reads a duration. Empty and zero mean the default.
func (d Duration) parse(p *problems, path string, def time.Duration) time.Duration {
	if d == "" {
		return def
	}
	v, err := time.ParseDuration(string(d))
	switch {
	case err != nil && strings.Trim(string(d), "0123456789.hmsµun") == "" && len(d) > 6:
		p.add(path, string(d), "is too long, or not a duration: write it like \"90s\" or \"3m\"")
	case err != nil:
		p.add(path, string(d), "is not a duration: write it like \"90s\" or \"3m\"")
	case v < 0:
		p.add(path, string(d), "must not be negative")
	case v > 0:
		return v
	}
	return def
}

// oneOf checks a word; the first one is the default.
func oneOf[T ~string](p *problems, path string, v T, words ...T) T {
	if v == "" {
		return words[0]
	}
	if !slices.Contains(words, v) {
		p.add(path, string(v), "%s", notOneOf(string(v), words))
	}
	return v
}

// notOneOf lists the valid words, and suggests the most similar one.
func notOneOf[T ~string](v string, words []T) string {
	known := make([]string, len(words))
	for i, w := range words {
		known[i] = string(w)
	}
	if near := expr.Nearest(v, known); near != "" {
		return fmt.Sprintf("did you mean %q?", near)
	}
	return "must be one of " + strings.Join(known, ", ")
}

// sortedKeys returns the keys of a map in order. Errors and compiled lists then do
// not change from run to run.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
