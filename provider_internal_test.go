package aigateway

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway/internal/ids"
	"github.com/aigateway-go/aigateway/internal/section"
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

// TestOverlayPricing: tiers belong to the prices that they stand beside.
func TestOverlayPricing(t *testing.T) {
	price := func(n float64) *float64 { return &n }
	catalog := &Pricing{
		Input: price(1), Output: price(2), InputCacheWrite1h: price(3),
		Tiers: []PricingTier{{AboveInputTokens: 100, Input: price(4)}},
	}
	own := []PricingTier{{AboveInputTokens: 7, Input: price(8)}}
	for name, c := range map[string]struct {
		over, want *Pricing
	}{
		"nothing":          {nil, catalog},
		"a tool's price":   {&Pricing{Tools: map[string]float64{"t": 1}}, &Pricing{Input: price(1), Output: price(2), InputCacheWrite1h: price(3), Tiers: catalog.Tiers, Tools: map[string]float64{"t": 1}}},
		"an hour's price":  {&Pricing{InputCacheWrite1h: price(9)}, &Pricing{Input: price(1), Output: price(2), InputCacheWrite1h: price(9), Tiers: catalog.Tiers}},
		"an input price":   {&Pricing{Input: price(9)}, &Pricing{Input: price(9), Output: price(2), InputCacheWrite1h: price(3)}},
		"tiers":            {&Pricing{Tiers: own}, &Pricing{Input: price(1), Output: price(2), InputCacheWrite1h: price(3), Tiers: own}},
		"prices and tiers": {&Pricing{Output: price(9), Tiers: own}, &Pricing{Input: price(1), Output: price(9), InputCacheWrite1h: price(3), Tiers: own}},
	} {
		t.Run(name, func(t *testing.T) {
			assert.Equal(t, c.want, overlayPricing(catalog, c.over))
		})
	}
	assert.Equal(t, "2026-12-31", overlayModel(Model{ID: "m", ShutdownDate: "2026-12-31"}, Model{ID: "m"}).ShutdownDate)
	assert.Equal(t, "2027-01-01", overlayModel(Model{ID: "m", ShutdownDate: "2026-12-31"}, Model{ID: "m", ShutdownDate: "2027-01-01"}).ShutdownDate)
}

const endpointsDoc = "docs/endpoints.md"

// The table of docs/endpoints.md is the table of surfaces. With -update the test
// writes it.
func TestEndpointsDocument(t *testing.T) {
	var b strings.Builder
	b.WriteString("| path | methods | format | model | state | streams | upgrades |\n|---|---|---|---|---|---|---|\n")
	for _, s := range surfaceTable() {
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s | %s |\n", s.path, s.allow(), s.format, modelWords(&s), stateWords(&s), yes(s.stream != nil), yes(s.upgrades))
	}
	if *updateDocs {
		require.NoError(t, section.Write(endpointsDoc, "endpoints", b.String()))
	}
	doc, err := os.ReadFile(endpointsDoc)
	require.NoError(t, err)
	got, err := section.Text(string(doc), "endpoints")
	require.NoError(t, err)
	assert.Equal(t, b.String(), got, "docs/endpoints.md is not what the table says: run go generate .")
}

func modelWords(s *surface) string {
	switch {
	case s.model == modelInRequests:
		return "each request's"
	case s.model == modelInQuery:
		return "query"
	case s.model != modelInBody:
		return ""
	case s.form:
		return "JSON, form"
	}
	return "JSON"
}

func stateWords(s *surface) string {
	kind := "a " + s.kind.String()
	if s.kind == ids.Upload {
		kind = "an " + s.kind.String()
	}
	switch {
	case s.state == stateLists && strings.Contains(s.allow(), get):
		return "makes " + kind + ", lists them"
	case s.state == stateMakes, s.state == stateLists:
		return "makes " + kind
	case s.state == stateMember:
		return "of " + kind
	}
	return ""
}

func yes(is bool) string {
	if is {
		return "yes"
	}
	return ""
}

// A path is read by its end, and a longer end comes before a shorter one.
func TestFindSurface(t *testing.T) {
	m := newSurfaces()
	for path, want := range map[string]string{
		"/v1/chat/completions": "chat/completions", "/v1/responses": "responses", "responses/resp_1": "responses/{id}", "/v1/responses/resp_1/": "responses/{id}",
		"/files/v1/chat/completions": "chat/completions", "/v1/responses/compact": "responses/compact", "/v1/responses/input_tokens": "responses/input_tokens",
		"/v1/files/file-1/content": "files/{id}/content", "/v1/vector_stores/vs/files/f/content": "vector_stores/{id}/files/{item}/content",
		"/v1/containers/c/files/f": "containers/{id}/files/{item}", "/v1/vector_stores/vs/files": "vector_stores/{id}/files", "/files/batches": "batches",
		"/v1/messages/batches": "messages/batches", "/v1/messages/batches/b": "messages/batches/{id}", "/v1/messages/batches/b/results": "messages/batches/{id}/results",
		"/v1/batches/b/cancel": "batches/{id}/cancel", "/videos/responses": "responses", "/v1/files//content": "", "/v1/files/{id}": "",
		"/v1/vector_stores/vs/file_batches/b/files": "vector_stores/{id}/file_batches/{item}/files", "/v1/unknown/x": "", "/v1/images/x": "images/*",
	} {
		s, end := m.find(path)
		if want == "" {
			assert.Nil(t, s, path)
			continue
		}
		if assert.NotNil(t, s, path) {
			assert.Equal(t, want, s.path, path)
			assert.True(t, strings.HasSuffix(strings.TrimSuffix(path, "/"), end), end)
			assert.Equal(t, strings.Count(want, "/"), strings.Count(end, "/"), end)
		}
	}
}
