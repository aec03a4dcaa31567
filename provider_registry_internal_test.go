package aigateway

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestDecodeCatalogIsStrict(t *testing.T) {
	got, err := decodeCatalog([]byte(`[{"id":"a","models":[{"id":"m","pricing":{"input":0}}]}]`))
	require.NoError(t, err)
	require.Len(t, got, 1)
	assert.InDelta(t, 0, *got[0].Models[0].Pricing.Input, 0)
	assert.Nil(t, got[0].Models[0].Pricing.Output, "not known is not the same as free")

	for name, doc := range map[string]string{
		"unknown provider field": `[{"id":"a","baseurl":"x"}]`,
		"unknown model field":    `[{"id":"a","models":[{"id":"m","context":1}]}]`,
		"unknown price":          `[{"id":"a","models":[{"id":"m","pricing":{"inputs":1}}]}]`,
		"wrong type":             `[{"id":1}]`,
		"no list":                `{"id":"a"}`,
		"cut off":                `[{"id":"a"}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := decodeCatalog([]byte(doc))
			require.Error(t, err)
		})
	}
}
