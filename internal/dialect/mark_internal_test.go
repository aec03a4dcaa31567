package dialect

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// The mark is found only at the start of a string, wherever colons and quotes stand.
func TestHasMark(t *testing.T) {
	for text, want := range map[string]bool{
		``: false, `:`: false, `"`: false, `"aigateway`: false, `aigateway:`: false,
		`"aigateway:`: true, `{"a":"aigateway:1"}`: true, `{"a":"b:c","d":"::aigateway:","e":"aigateway:"}`: true,
		`{"a":"an aigateway:1"}`: false, `{"aigateway":":"}`: false, `{"a":"Aigateway:"}`: false,
	} {
		assert.Equal(t, want, hasMark(raw(text)), text)
	}
	assert.True(t, strings.HasSuffix(sealMark, ":"), "hasMark goes by its last byte")
}
