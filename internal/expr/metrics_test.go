package expr

import (
	"fmt"
	"reflect"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Each field of Metrics is read by one row of the table, and each row reads a
// field of its own.
func TestMetricTable(t *testing.T) {
	var m Metrics
	fields := 0
	var fill func(v reflect.Value)
	fill = func(v reflect.Value) {
		for i := range v.NumField() {
			switch f := v.Field(i); f.Kind() {
			case reflect.Struct:
				fill(f)
			case reflect.Int64:
				fields++
				f.SetInt(int64(fields))
			case reflect.Float64:
				fields++
				f.SetFloat(float64(fields))
			default:
				t.Fatal("a metric is an int64 or a float64, not ", f.Kind())
			}
		}
	}
	fill(reflect.ValueOf(&m).Elem())
	seen := map[string]string{}
	for _, row := range metricTable() {
		if row.isGroup() {
			continue
		}
		value := fmt.Sprint(row.value(&m))
		assert.Empty(t, seen[value], row.name)
		seen[value] = row.name
	}
	assert.Len(t, seen, fields)

	// And CEL and plans find it under that name.
	model := &Model{ID: "m"}
	for value, name := range seen {
		s := compiled(t, `ai.models.filter(m, m.metrics.account.`+name+` == `+literalOf(t, name, value)+`)`)
		in := &Input{Models: []*Model{model}, Metrics: func(*Model) *ModelMetrics { return &ModelMetrics{Account: m} }}
		got, err := s.Eval(t.Context(), in)
		require.NoError(t, err)
		assert.Len(t, got.Models, 1, name)
		got, err = s.evalCEL(t.Context(), in)
		require.NoError(t, err)
		assert.Len(t, got.Models, 1, name)
	}
}

// literalOf writes a value as a literal of the metric's type.
func literalOf(t *testing.T, name, value string) string {
	t.Helper()
	for _, row := range metricTable() {
		if row.name == name && row.real != nil {
			return value + ".0"
		}
	}
	return value
}
