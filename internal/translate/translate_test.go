package translate_test

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
	"github.com/aigateway-go/aigateway/internal/translate"
)

var (
	chat     = translate.Side{Name: "chat-completions", Format: dialect.Chat}
	messages = translate.Side{Name: "messages", Format: dialect.Messages}
)

const request = `{"model":"m","max_tokens":9,"top_k":5,"messages":[{"role":"user","content":"hi"}]}`

func TestTranslate(t *testing.T) {
	all := func(string) bool { return true }
	for _, tt := range []struct {
		name, body string
		strict     bool
		passes     func(string) bool
		header     string
		cannot     string
	}{
		{"a loss", request, false, all, "messages-to-chat; lost=top_k", ""},
		{"a field that may not pass", request, false, func(name string) bool { return name != "max_tokens" }, "messages-to-chat; lost=top_k,max_tokens", ""},
		{"strict", request, true, all, "messages-to-chat; lost=top_k", "messages is translated to chat-completions only without loss, and would lose top_k"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			k := translate.New(messages, chat, false)
			err := k.Translate([]byte(tt.body), tt.strict, dialect.Options{Model: "other"}, tt.passes)
			if tt.cannot != "" {
				assert.Equal(t, translate.CannotError(tt.cannot), err)
			} else {
				require.NoError(t, err)
				model, _ := k.Request.Get("model")
				assert.Equal(t, `"other"`, string(model))
			}
			assert.Equal(t, tt.header, k.Header())
			assert.Equal(t, "translated "+tt.header, k.Line())
		})
	}
	k := translate.New(messages, chat, false)
	err := k.Translate([]byte(`{"messages":5}`), false, dialect.Options{}, all)
	require.Error(t, err)
	assert.NotErrorAs(t, err, new(translate.CannotError), "the body is wrong, not the pair")
}

func TestCounted(t *testing.T) {
	k := translate.New(messages, messages, true)
	body, header := k.Counted(7)
	assert.JSONEq(t, `{"input_tokens":7}`, string(body))
	assert.Equal(t, "application/json", header.Get("Content-Type"))
	assert.Equal(t, "messages-to-messages; estimated", k.Header())
}

// An error gets the client's form. Its header keeps nothing that spoke of the old bytes, and
// has the id of the request under both names.
func TestRefused(t *testing.T) {
	k := translate.New(messages, chat, false)
	h := http.Header{"Content-Encoding": {"gzip"}, "Etag": {"e"}, "X-Request-Id": {"r1"}}
	body := k.Refused(429, h, []byte(`{"error":{"message":"too many","type":"rate_limit_error"}}`))
	assert.Contains(t, string(body), `"type":"error"`)
	assert.Contains(t, string(body), "too many")
	assert.Equal(t, http.Header{"Content-Type": {"application/json"}, "X-Request-Id": {"r1"}, "Request-Id": {"r1"}}, h)
}
