package route_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/route"
)

// A path is read by its end, and a longer end comes before a shorter one.
func TestFind(t *testing.T) {
	patterns := []string{
		"completions", "chat/completions", "images/edits", "images/*", "files", "files/{id}", "files/{id}/content",
		"stores/{id}/files", "stores/{id}/files/{item}", "responses", "responses/compact", "responses/{id}", "responses",
	}
	tests := []struct{ path, pattern, end string }{
		{"/v1/completions", "completions", "completions"},
		{"completions", "completions", "completions"},
		{"/v1/chat/completions", "chat/completions", "chat/completions"},
		{"/files/v1/chat/completions", "chat/completions", "chat/completions"},
		{"/v1/images/edits", "images/edits", "images/edits"},
		{"/v1/images/remix", "images/*", "images/remix"},
		{"/v1/images/*", "", ""},
		{"/v1/images/Re%20mix", "", ""},
		{"/v1/files/", "files", "files"},
		{"/v1/files/f-1", "files/{id}", "files/f-1"},
		{"files/f-1", "files/{id}", "files/f-1"},
		{"/v1/files/f-1/content/", "files/{id}/content", "files/f-1/content"},
		{"/v1/files//content", "", ""},
		{"/v1/files/content", "", ""},
		{"/v1//files//f-1///content//", "files/{id}/content", "files/f-1/content"},
		{"//v1//chat//completions", "chat/completions", "chat/completions"},
		{"/v1/stores//files", "", ""},
		{"/v1/stores/files", "", ""},
		{"/v1/stores//files/f-1", "", ""},
		{"/v1/stores/files/f-1", "", ""},
		{"/v1/stores//files/f-1/content", "", ""},
		{"/v1/stores/s/files/f", "stores/{id}/files/{item}", "stores/s/files/f"},
		{"/v1/stores/s/files", "stores/{id}/files", "stores/s/files"},
		{"/v1/responses/compact", "responses/compact", "responses/compact"},
		{"/v1/responses/r", "responses/{id}", "responses/r"},
		{"/files/responses", "responses", "responses"},
		{"/v1/files/{id}", "", ""},
		{"/v1/other", "", ""},
		{"", "", ""},
		{"/", "", ""},
	}
	paths := route.New(patterns)
	for _, tt := range tests {
		pattern, end := paths.Find(tt.path)
		assert.Equal(t, tt.pattern, pattern, tt.path)
		assert.Equal(t, tt.end, end, tt.path)
	}
	long := "/v1/images/" + strings.Repeat("x", 100)
	assert.Zero(t, testing.AllocsPerRun(100, func() { paths.Find("/v1/chat/completions") }))
	pattern, _ := paths.Find(long)
	assert.Equal(t, "images/*", pattern)
}

func TestIDs(t *testing.T) {
	for _, tt := range []struct {
		pattern, end string
		ids          []string
	}{
		{"files", "files", nil},
		{"files/{id}", "files", nil},
		{"files/{id}/content", "files/file-abc/content", []string{"file-abc"}},
		{"stores/{id}/files/{item}", "stores/s%2F1/files/f", []string{"s%2F1", "f"}},
	} {
		assert.Equal(t, tt.ids, route.IDs(tt.pattern, tt.end), tt.end)
	}
}

func TestModelBefore(t *testing.T) {
	for path, want := range map[string]string{
		"/openai/deployments/gpt-4o/chat/completions":  "gpt-4o",
		"/openai/deployments/gpt-4o/chat/completions/": "gpt-4o",
		"/v1/engines/gpt-4o/chat/completions":          "gpt-4o",
		"/v1/chat/completions":                         "",
		"chat/completions":                             "",
		"/deployments/chat/completions":                "",
		"/v1/engines/gpt-4o/completions":               "",
	} {
		assert.Equal(t, want, route.ModelBefore(path, "chat/completions"), path)
	}
}

func TestModels(t *testing.T) {
	for path, want := range map[string]string{
		"/v1/models": "", "/v1/models/": "", "models": "", "/v1/models/gpt-4o": "gpt-4o", "/v1/models/meta/llama": "meta/llama",
		"/ai/models/a": "a", "/models/v1/models/a": "a", "/v1/modelsx": "none", "/v1/chat/completions": "none",
	} {
		id, ok := route.Models(path)
		assert.Equal(t, want != "none", ok, path)
		if ok {
			assert.Equal(t, want, id, path)
		}
	}
}
