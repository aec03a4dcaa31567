package confdoc_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/confdoc"
)

// The settings stand at the top of a document, or under the config of one action.
func TestDecodeSettings(t *testing.T) {
	const action = "on_http_request: [{type: ai-gateway, config: {name: a}}]"
	tests := map[string]struct{ doc, name, path, reason string }{
		"plain":                {"name: a", "a", "", ""},
		"an action":            {action, "a", "", ""},
		"a rule":               {"on_http_request: [{name: r, actions: [{type: ai-gateway, config: {name: a}}]}]", "a", "", ""},
		"no settings":          {"on_http_request: [{type: ai-gateway}]", "", "", ""},
		"a list":               {"[a]", "", "", "must be a mapping"},
		"an unknown field":     {"nane: a", "", "nane", "unknown field"},
		"a config outside":     {"config: {name: a}", "", "config", "is not a field"},
		"a field beside":       {action + "\nname: b", "a", "name", "belongs under the config"},
		"another phase":        {action + "\non_tcp_connect: []", "a", "on_tcp_connect", "is not supported"},
		"no action":            {"on_http_request: []", "", "on_http_request", "must hold an action"},
		"another action":       {"on_http_request: [{type: deny}]", "", "on_http_request[0].type", "the only action here"},
		"a second action":      {"on_http_request: [{type: ai-gateway}, {type: ai-gateway}]", "", "on_http_request[1]", "a second ai-gateway action"},
		"a condition":          {"on_http_request: [{type: ai-gateway, expressions: [a]}]", "", "on_http_request[0].expressions", "serves every request"},
		"an action and a list": {"on_http_request: [{type: ai-gateway, actions: [{type: ai-gateway}]}]", "", "on_http_request[0]", "give one of them"},
		"settings in a list":   {"on_http_request: [{type: ai-gateway, config: [a]}]", "", "on_http_request[0].config", "must be a mapping"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			var got struct {
				Name string `json:"name"`
			}
			d, fault := confdoc.Parse([]byte(tt.doc), confdoc.Options{})
			require.Nil(t, fault)
			d.DecodeSettings(&got)
			assert.Equal(t, tt.name, got.Name)
			if tt.reason == "" {
				assert.Empty(t, d.Faults())
				return
			}
			require.NotEmpty(t, d.Faults())
			assert.Equal(t, tt.path, d.Faults()[0].Path)
			assert.Contains(t, d.Faults()[0].Reason, tt.reason)
		})
	}
}
