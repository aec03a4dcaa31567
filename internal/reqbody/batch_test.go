package reqbody_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// TestBatch yields the requests of a batch up to the first in a wrong form.
func TestBatch(t *testing.T) {
	for _, tt := range []struct {
		name, body, models, wrong string
	}{
		{"two", `{"requests": [ {"custom_id":"1","params":{"model":"a"}}, {"params":{"model":"b","stream":true}}]}`, "ab", ""},
		{"empty", `{"requests": []}`, "", ""},
		{"none", `{}`, "", `"requests" must stand once in a batch, and in each of its requests`},
		{"repeated", `{"requests": [], "Requests": []}`, "", `"requests" must stand once in a batch, and in each of its requests`},
		{"no list", `{"requests": {}}`, "", "requests must be a list"},
		{"no object", `{"requests": [{"params":{"model":"a"}}, 1]}`, "a", "each of requests must be an object"},
		{"no params", `{"requests": [{"model":"a"}]}`, "", `"params" must stand once in a batch, and in each of its requests`},
		{"params twice", `{"requests": [{"params":{},"params":{}}]}`, "", `"params" must stand once in a batch, and in each of its requests`},
		{"params of another kind", `{"requests": [{"params":[]}]}`, "", "params of a request: "},
		{"model of another kind", `{"requests": [{"params":{"model":1}}]}`, "", "params of a request: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			doc := new(reqbody.Document)
			require.NoError(t, reqbody.Scan([]byte(tt.body), doc))
			list, _ := doc.Get("requests")
			models, wrong := "", ""
			for r, err := range reqbody.Batch(doc) {
				require.Empty(t, wrong, "an error is the last")
				if err != nil {
					wrong = err.Error()
					continue
				}
				models += r.Sel.Model
				element := new(reqbody.Document)
				require.NoError(t, reqbody.Scan(list[r.Start:r.End], element), "the place of the element")
				params, _ := element.Get("params")
				assert.Equal(t, string(params), string(r.Params))
				model, _, _ := r.Doc.String("model")
				assert.Equal(t, r.Sel.Model, model)
			}
			assert.Equal(t, tt.models, models)
			if tt.wrong == "" {
				assert.Empty(t, wrong)
			} else {
				assert.Contains(t, wrong, tt.wrong)
			}
		})
	}
}

// TestBatchStops ends with its reader.
func TestBatchStops(t *testing.T) {
	doc := new(reqbody.Document)
	require.NoError(t, reqbody.Scan([]byte(`{"requests":[{"params":{}},{"params":{}}]}`), doc))
	n := 0
	for range reqbody.Batch(doc) {
		n++
		break
	}
	assert.Equal(t, 1, n)
}
