package modellist_test

import (
	"encoding/json"
	"errors"
	"net/url"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/modellist"
)

// TestEntry writes known facts in both formats, and leaves unknown ones out.
func TestEntry(t *testing.T) {
	for _, tt := range []struct {
		name              string
		entry             modellist.Entry
		openai, anthropic string
	}{
		{"bare", modellist.Entry{Name: "m", Facts: modellist.Facts{Providers: []string{"p"}}},
			`{"id":"m","object":"model","created":0,"owned_by":"","providers":["p"]}`,
			`{"type":"model","id":"m","display_name":"m","created_at":"1970-01-01T00:00:00Z","providers":["p"]}`},
		{"facts", modellist.Entry{Name: "m", Author: "a", DisplayName: "M", Facts: modellist.Facts{
			ContextWindow: 8, MaxOutputTokens: 4, InputModalities: []string{"text"}, OutputModalities: []string{"image"},
			SupportedFeatures: []string{"vision"}, Pricing: map[string]float64{"input": 0.5}, Providers: []string{"p", "q"}}},
			`{"id":"m","object":"model","created":0,"owned_by":"a","context_window":8,"max_output_tokens":4,"input_modalities":["text"],
				"output_modalities":["image"],"supported_features":["vision"],"pricing":{"input":0.5},"providers":["p","q"]}`,
			`{"type":"model","id":"m","display_name":"M","created_at":"1970-01-01T00:00:00Z","context_window":8,"max_output_tokens":4,
				"input_modalities":["text"],"output_modalities":["image"],"supported_features":["vision"],"pricing":{"input":0.5},"providers":["p","q"]}`},
	} {
		openai, err := json.Marshal(tt.entry.OpenAI())
		require.NoError(t, err)
		assert.JSONEq(t, tt.openai, string(openai), tt.name)
		anthropic, err := json.Marshal(tt.entry.Anthropic())
		require.NoError(t, err)
		assert.JSONEq(t, tt.anthropic, string(anthropic), tt.name)
	}
}

// TestLists writes lists without a model as lists.
func TestLists(t *testing.T) {
	openai, err := json.Marshal(modellist.OpenAI(nil))
	require.NoError(t, err)
	assert.JSONEq(t, `{"object":"list","data":[]}`, string(openai))
	page, err := modellist.Anthropic(nil, nil)
	require.NoError(t, err)
	anthropic, err := json.Marshal(page)
	require.NoError(t, err)
	assert.JSONEq(t, `{"data":[],"has_more":false,"first_id":null,"last_id":null}`, string(anthropic))
}

// TestPages asks for parts of a list of five.
func TestPages(t *testing.T) {
	var all []modellist.Entry
	for _, name := range []string{"a", "b", "C", "d", "e"} {
		all = append(all, modellist.Entry{Name: name})
	}
	for _, tt := range []struct {
		query, want string
		more        bool
		wrong       string
	}{
		{query: "", want: "abCde"},
		{query: "limit=2", want: "ab", more: true},
		{query: "limit=1000", want: "abCde"},
		{query: "after_id=c", want: "de"},
		{query: "after_id=a&limit=1", want: "b", more: true},
		{query: "after_id=e", want: ""},
		{query: "before_id=C", want: "ab"},
		{query: "before_id=e&limit=2", want: "Cd", more: true},
		{query: "limit=0", wrong: "limit must be a number from 1 to 1000"},
		{query: "limit=1001", wrong: "limit must be a number from 1 to 1000"},
		{query: "limit=x", wrong: "limit must be a number from 1 to 1000"},
		{query: "after_id=a&before_id=b", wrong: "the query has both after_id and before_id: ask for one direction"},
		{query: "after_id=x", wrong: `after_id or before_id: the list has no model "x"`},
	} {
		query, err := url.ParseQuery(tt.query)
		require.NoError(t, err)
		page, err := modellist.Anthropic(all, query)
		if tt.wrong != "" {
			require.EqualError(t, err, tt.wrong, tt.query)
			var unknown *modellist.UnknownError
			assert.Equal(t, tt.query == "after_id=x", errors.As(err, &unknown))
			continue
		}
		require.NoError(t, err, tt.query)
		got := ""
		for _, m := range page.Data {
			got += m.ID
		}
		assert.Equal(t, tt.want, got, tt.query)
		assert.Equal(t, tt.more, page.HasMore, tt.query)
		if got != "" {
			assert.Equal(t, got[:1], *page.FirstID, tt.query)
			assert.Equal(t, got[len(got)-1:], *page.LastID, tt.query)
		}
	}
}
