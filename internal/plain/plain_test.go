package plain_test

import (
	"encoding/json"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/plain"
)

// masked is a text that marshals itself.
type masked string

func (masked) MarshalText() ([]byte, error) { return []byte("…"), nil }

type word string

func TestValue(t *testing.T) {
	raw := json.RawMessage(`{}`)
	null := []string(nil)
	tests := map[string]struct{ in, want any }{
		"a text":              {"a", "a"},
		"a text of a type":    {word("a"), "a"},
		"a masked text":       {masked("a"), "a"},
		"a number":            {1.5, 1.5},
		"null":                {nil, nil},
		"a null list":         {null, null},
		"a null map":          {map[string]any(nil), nil},
		"bytes":               {[]byte("a"), []byte("a")},
		"a list":              {[]word{"a"}, []any{"a"}},
		"an array":            {[1]int{1}, []any{1}},
		"a map":               {map[word][]string{"a": {"b"}}, map[string]any{"a": []any{"b"}}},
		"a map of numbers":    {map[int]string{1: "a"}, map[int]string{1: "a"}},
		"JSON":                {raw, raw},
		"a struct":            {struct{ A []int }{[]int{1}}, struct{ A []int }{[]int{1}}},
		"a list within a map": {map[string]any{"a": []masked{"b"}}, map[string]any{"a": []any{"b"}}},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) { assert.Equal(t, tt.want, plain.Value[masked](tt.in)) })
	}
	assert.Nil(t, plain.Map[masked](nil))
}

// part and whole are settings.
type part struct {
	Price *float64
	Names []string
}

type whole struct {
	Part    *part
	Parts   []part
	Map     map[string][]int
	Any     any
	URL     *url.URL
	Shared  *part `json:"-"`
	private *part
}

func TestCopy(t *testing.T) {
	filled := func() whole {
		price := 1.0
		return whole{
			Part: &part{&price, []string{"a"}}, Parts: []part{{Names: []string{"a"}}}, Map: map[string][]int{"a": {1}},
			Any: map[string]any{"a": []any{"b"}},
		}
	}
	original := filled()
	original.URL, original.Shared, original.private = &url.URL{}, &part{}, &part{}
	got := plain.Copy(original)
	assert.Same(t, original.URL, got.URL, "of another package")
	assert.Same(t, original.Shared, got.Shared, "a dependency")
	assert.Same(t, original.private, got.private)
	got.URL, got.Shared, got.private = nil, nil, nil

	*original.Part.Price = 2
	original.Part.Names[0], original.Parts[0].Names[0], original.Map["a"][0] = "changed", "changed", 2
	original.Any.(map[string]any)["a"].([]any)[0] = "changed"
	assert.Equal(t, filled(), got)
}
