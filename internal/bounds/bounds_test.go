package bounds_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/bounds"
)

func TestTable(t *testing.T) {
	seen := map[string]bool{}
	for _, s := range bounds.Table() {
		name := s.Struct + "." + s.Field
		assert.False(t, seen[name], "%s is there twice", name)
		seen[name] = true
		assert.Equal(t, s, bounds.Of(s.Struct, s.Field))
		switch s.Default.(type) {
		case nil, time.Duration, int64, string:
		default:
			t.Errorf("%s: a default of type %T", name, s.Default)
		}
		assert.True(t, s.Allows(0), name)
		assert.True(t, s.Allows(s.Number()), "%s: the default is within the bounds", name)
		assert.False(t, s.Allows(-1), name)
	}
	assert.Panics(t, func() { bounds.Of("Config", "no_such_field") })
}

func TestSetting(t *testing.T) {
	attempts := bounds.Of("Config", "max_attempts")
	assert.Equal(t, int64(10), attempts.Number())
	assert.True(t, attempts.Allows(1))
	assert.True(t, attempts.Allows(100))
	assert.False(t, attempts.Allows(101))
	assert.True(t, bounds.Of("Model", "parameter_count").Allows(1e12))
	assert.Equal(t, 3*time.Minute, bounds.Of("Config", "per_request_timeout").Duration())
	assert.Zero(t, bounds.Of("Config", "first_token_timeout").Duration())
}
