package jsonscan_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/jsonscan"
)

// TestDigest keeps a document without its long strings, whatever its pieces are.
func TestDigest(t *testing.T) {
	long := strings.Repeat(`x\"\\`, 200)
	for doc, want := range map[string]string{
		``:                             ``,
		`{"a":[1,"b",{"c":"\"\\"}]}`:   `{"a":[1,"b",{"c":"\"\\"}]}`,
		`{"a":"` + long + `","b":"c"}`: `{"a":"","b":"c"}`,
		`{"` + long + `":{"b":1}}`:     `{"":{"b":1}}`,
		`["` + strings.Repeat("y", 511) + `","` + strings.Repeat("z", 512) + `"]`: `["` + strings.Repeat("y", 511) + `",""]`,
		`{"a":"` + long: `{"a":"`,
	} {
		for _, size := range []int{1, 2, 3, 7, 512, 1 << 20} {
			var d jsonscan.Digest
			for rest := doc; rest != ""; {
				n := min(size, len(rest))
				d.Add([]byte(rest[:n]))
				rest = rest[n:]
			}
			assert.Equal(t, want, string(d.Document()), "%d: %.40s", size, doc)
		}
	}
	var d jsonscan.Digest
	d.Add([]byte("[" + strings.Repeat("1,", 200_000)))
	d.Add([]byte(`"a"]`))
	assert.Empty(t, d.Document(), "too long")
}
