package aigateway

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/bounds"
)

// duration reads a duration of the Config. Empty and zero are the default of its
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

// withDefaults returns a copy of a Config in which empty fields have their
// defaults.
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
