package reqbody_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/reqbody"
)

var factsCases = []struct {
	name, body string
	want       reqbody.Facts
}{
	{"nothing", `{}`, reqbody.Facts{}},
	{"chat", `{"model":"m","stream":true,"max_tokens":100,"max_completion_tokens":50,"user":"u\u0031","service_tier":"flex","reasoning_effort":"low",
		"tools":[{"type":"function","function":{"name":"f","parameters":{"type":"image"}}},{"type":"web_search"}],
		"response_format":{"type":"json_schema","json_schema":{"schema":{}}},
		"messages":[{"role":"system","content":"type: image_url"},{"role":"user","content":[{"type":"text","text":"\"type\":\"image_url\""},{"type":"image_url","image_url":{"url":"data:"}},{"type":"input_audio","input_audio":{}},{"type":"file","file":{}}]}]}`,
		reqbody.Facts{Stream: true, MaxOutputTokens: 50, Tools: 2, Images: 1, Audio: 1, Documents: 1, JSONSchema: true, Reasoning: true, ServiceTier: "flex", User: "u1"}},
	{"chat, no schema", `{"response_format":{"type":"json_object"},"reasoning_effort":"none","max_tokens":null,"stream":"no","tools":[],"service_tier":null}`, reqbody.Facts{}},
	{"responses", `{"input":[{"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_image","image_url":"x"},{"type":"input_file","file_id":"f"}]},
		{"type":"function_call","arguments":"{\"type\":\"input_image\"}"},{"type":"function_call_output","output":[{"type":"input_image"}]}],
		"text":{"verbosity":"low","format":{"type":"json_schema","name":"n"}},"reasoning":{"effort":"high"},"max_output_tokens":7.0,"previous_response_id":"resp_1","safety_identifier":"s","tools":[{"type":"web_search"}]}`,
		reqbody.Facts{MaxOutputTokens: 7, Tools: 1, Images: 2, Documents: 1, JSONSchema: true, Reasoning: true, PreviousResponseID: "resp_1", User: "s"}},
	{"responses, text alone", `{"input":"hello","text":{"format":{"type":"text"}},"reasoning":{"effort":"none"}}`, reqbody.Facts{}},
	{"messages", `{"max_tokens":1024,"system":[{"type":"text","text":"s"}],"metadata":{"user_id":"user_9"},"thinking":{"type":"enabled","budget_tokens":1000},
		"tools":[{"name":"f","input_schema":{"type":"document"}}],
		"messages":[{"role":"user","content":[{"type":"image","source":{"type":"base64","data":"aa"}},{"type":"document","source":{"type":"text"}}]},
		{"role":"assistant","content":[{"type":"tool_use","input":{"type":"image"}}]},
		{"role":"user","content":[{"type":"tool_result","content":[{"type":"image","source":{}}]}]}]}`,
		reqbody.Facts{MaxOutputTokens: 1024, Tools: 1, Images: 2, Documents: 1, Reasoning: true, User: "user_9"}},
	{"messages, a schema", `{"output_config":{"format":{"type":"json_schema"},"effort":"high"},"thinking":{"type":"disabled"}}`, reqbody.Facts{JSONSchema: true, Reasoning: true}},
	{"embeddings", `{"input":["a","b"],"user":"u"}`, reqbody.Facts{User: "u"}},
	{"tools in the input", `{"input":[{"type":"additional_tools","tools":[{"type":"namespace","tools":[{"type":"image"}]},{"type":"custom"}]},{"type":"x","tools":{"type":"image"}}],"tools":[1]}`, reqbody.Facts{Tools: 3}},
	{"the last of a repeated field", `{"user":"a","user":"b","tools":[1,2],"tools":[1]}`, reqbody.Facts{User: "b", Tools: 1}},
	{"reasoning switched off", `{"reasoning":{"max_tokens":1, "enabled" : false}, "reasoning_effort": null}`, reqbody.Facts{}},
	{"odd types", `{"messages":7,"tools":{"a":1},"user":1,"metadata":[],"thinking":true,"reasoning":"x","max_tokens":-1,"text":[],"input":null,"response_format":"json_schema"}`, reqbody.Facts{}},
	{"too deep", `{"messages":` + strings.Repeat(`[`, 500) + strings.Repeat(`]`, 500) + `}`, reqbody.Facts{}},
}

func TestFacts(t *testing.T) {
	for _, c := range factsCases {
		assert.Equal(t, c.want, scan(t, c.body).Facts(), c.name)
	}
}

// The texts of a prompt are not copied.
func TestFactsDoNotAllocate(t *testing.T) {
	d := scan(t, string(chatBody(64<<10, 300)))
	assert.LessOrEqual(t, testing.AllocsPerRun(10, func() { _ = d.Facts() }), 1.0)
}

func TestFormFacts(t *testing.T) {
	var form reqbody.Form
	body := "--b\r\nContent-Disposition: form-data; name=\"image[]\"; filename=\"a.png\"\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name=\"image[]\"; filename=\"b.png\"\r\n\r\nx\r\n" +
		"--b\r\nContent-Disposition: form-data; name=\"file\"; filename=\"a.mp3\"\r\n\r\nx\r\n--b\r\nContent-Disposition: form-data; name=\"stream\"\r\n\r\ntrue\r\n--b\r\nContent-Disposition: form-data; name=\"user\"\r\n\r\nu\r\n--b--\r\n"
	require.NoError(t, reqbody.ScanForm([]byte(body), "multipart/form-data; boundary=b", &form))
	assert.Equal(t, reqbody.Facts{Stream: true, Images: 2, Audio: 1, User: "u"}, form.Facts())
}

func TestSession(t *testing.T) {
	const turn = `"messages":[{"role":"system","content":"s"},{"role":"user","content":"first"}`
	for _, c := range []struct {
		name, a, b string
		source     reqbody.SessionSource
		same       bool
	}{
		{"cache key", `{"prompt_cache_key":"k","messages":[]}`, `{"model":"x","prompt_cache_key":"\u006b"}`, reqbody.SessionCacheKey, true},
		{"conversation", `{"conversation":"c"}`, `{"conversation":{"id":"c"}}`, reqbody.SessionConverse, true},
		{"user", `{"metadata":{"user_id":"u"},"messages":[1]}`, `{"messages":[2],"metadata":{"user_id":"u"}}`, reqbody.SessionUserID, true},
		{"another user", `{"metadata":{"user_id":"u"}}`, `{"metadata":{"user_id":"v"}}`, reqbody.SessionUserID, false},
		{"later turns", `{` + turn + `]}`, `{` + turn + `,{"role":"assistant","content":"a"},{"role":"user","content":"second"}],"temperature":1}`, reqbody.SessionFirstTurn, true},
		{"another first turn", `{` + turn + `]}`, `{` + strings.ReplaceAll(turn, "first", "other") + `]}`, reqbody.SessionFirstTurn, false},
		{"another system prompt", `{"system":"a",` + turn + `]}`, `{"system":"b",` + turn + `]}`, reqbody.SessionFirstTurn, false},
		{"other tools", `{"tools":[1],` + turn + `]}`, `{"tools":[2],` + turn + `]}`, reqbody.SessionFirstTurn, false},
		{"input", `{"instructions":"i","input":"hello"}`, `{"input":"hello","instructions":"i"}`, reqbody.SessionFirstTurn, true},
		{"a cache mark moves on", `{"messages":[{"role":"user","content":[{"type":"text","text":"first","cache_control":{"type":"ephemeral"}}]}]}`,
			`{"messages":[{"role":"user","content":"first"},{"role":"user","content":[{"cache_control":{"type":"ephemeral"},"text":"second","type":"text"}]}]}`, reqbody.SessionFirstTurn, true},
		{"of an image", `{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","source":{"url":"u"},"cache_control":{}}]}]}`,
			`{"messages":[{"content":[{"type":"text","text":"a"},{"type":"image","source":{"url":"u"}}],"role":"user"}]}`, reqbody.SessionFirstTurn, false}, // the order of members counts
		{"of an image in its order", `{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","source":{"url":"u"},"cache_control":{}}]}]}`,
			`{"messages":[{"role":"user","content":[{"type":"text","text":"a"},{"type":"image","source":{"url":"u"}}]}]}`, reqbody.SessionFirstTurn, true},
		{"of a message, of the system prompt and of a tool", `{"system":[{"type":"text","text":"s","cache_control":{}}],"tools":[{"name":"f","cache_control":{}}],"messages":[{"role":"user","content":"a","cache_control":{}}]}`,
			`{"system":"s","tools":[{"name":"f"}],"messages":[{"role":"user","content":"a"}]}`, reqbody.SessionFirstTurn, true},
		{"of input", `{"input":[{"role":"user","content":[{"type":"input_text","text":"a"}]}]}`, `{"input":[{"role":"user","content":"a"}]}`, reqbody.SessionFirstTurn, true},
		{"two texts are not one", `{"messages":[{"role":"user","content":["a","b"]}]}`, `{"messages":[{"role":"user","content":["ab"]}]}`, reqbody.SessionFirstTurn, false},
		{"texts end at their message", `{"messages":[{"role":"x","content":[{"type":"text","text":"a"}]},{"role":"user","content":[{"type":"text","text":"b"}]}]}`,
			`{"messages":[{"role":"x","content":[{"type":"text","text":"a"},{"type":"text","text":"b"}]},{"role":"user","content":[]}]}`, reqbody.SessionFirstTurn, false},
		{"nothing", `{"model":"m"}`, `{}`, reqbody.NoSession, true},
		{"empty key", `{"prompt_cache_key":"","input":""}`, `{"prompt_cache_key":null,"input":""}`, reqbody.SessionFirstTurn, true},
	} {
		sourceA, a := scan(t, c.a).Session()
		sourceB, b := scan(t, c.b).Session()
		assert.Equal(t, c.source, sourceA, c.name)
		assert.Equal(t, c.source, sourceB, c.name)
		assert.Equal(t, c.same, a == b, c.name)
		if c.source != reqbody.NoSession {
			assert.Regexp(t, "^[0-9a-f]{32}$", a, c.name)
		} else {
			assert.Empty(t, a)
		}
	}
	// Stable over versions and machines.
	_, key := scan(t, `{"prompt_cache_key":"k"}`).Session()
	assert.Equal(t, "8254c329a92850f6d539dd376f4816ee", key)
}

func FuzzFacts(f *testing.F) {
	for _, c := range factsCases {
		f.Add([]byte(c.body))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		var d reqbody.Document
		if reqbody.Scan(body, &d) != nil {
			return
		}
		facts := d.Facts()
		assert.LessOrEqual(t, facts.Images+facts.Audio+facts.Documents+facts.Tools, len(body))
		assert.GreaterOrEqual(t, facts.MaxOutputTokens, int64(0))
		source, key := d.Session()
		assert.Equal(t, source == reqbody.NoSession, key == "")
	})
}

func BenchmarkFacts(b *testing.B) {
	src := chatBody(215<<10, 1000)
	d := scan(b, string(src))
	b.Run("facts", func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		b.ReportAllocs()
		for b.Loop() {
			_ = d.Facts()
		}
	})
	b.Run("session", func(b *testing.B) {
		b.SetBytes(int64(len(src)))
		b.ReportAllocs()
		for b.Loop() {
			_, _ = d.Session()
		}
	})
}
