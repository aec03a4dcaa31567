package relay

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestErrorDetail(t *testing.T) {
	for in, want := range map[string]string{
		`{"error":{"message":"a"}}`: `{"error":{"message":"a"}}`,
		`{"id":"x","choices":[{"delta":{}},{"error":{"code":502},"delta":{}}]}`: `{"error":{"code":502},"delta":{}}`,
		`{"choices":[{"finish_reason":"network_error"}]}`:                       `{"finish_reason":"network_error"}`,
		`{"error":{"message":"a"},"choices":[{"finish_reason":"stop"}]}`:        `{"error":{"message":"a"},"choices":[{"finish_reason":"stop"}]}`,
		`{"choices":[{"error":`: `{"choices":[{"error":`,
		`plain`:                 `plain`,
		``:                      ``,
	} {
		assert.Equal(t, want, string(ErrorDetail([]byte(in))))
	}
}
