package discover_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/discover"
)

// stand is a server by its answers: of the list at /v1/models, and of its own
// paths. A missing path answers 404.
type stand map[string]string

// ask asks the stand-in, and notes the questions.
func (s stand) ask(asked *[]string) discover.Ask {
	return func(_ context.Context, q discover.Question) (*http.Response, error) {
		path := "/v1/" + q.Path
		if q.Root {
			path = "/" + q.Path
		}
		if q.Query != "" {
			path += "?" + q.Query
		}
		if q.Body != nil {
			path += " " + string(q.Body)
		}
		*asked = append(*asked, path)
		w := httptest.NewRecorder()
		answer, ok := s[path]
		switch {
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		case strings.HasPrefix(answer, "status "):
			var status int
			fmt.Sscanf(answer, "status %d", &status)
			w.WriteHeader(status)
		default:
			io.WriteString(w, answer)
		}
		return w.Result(), nil
	}
}

func usd(v float64) *float64 { return &v }

var (
	text      = []string{"text"}
	withImage = []string{"image", "text"}
)

// The list forms of servers, as their documentation and sources give them.
var stands = []struct {
	name  string
	stand stand
	want  []discover.Model
	asked []string // after the list
}{
	{
		name: "openai",
		stand: stand{"/v1/models": `{"object":"list","data":[
			{"id":"gpt-b","object":"model","created":1686935002,"owned_by":"openai"},
			{"id":"gpt-a","object":"model","created":1686935002,"owned_by":"openai"}]}`},
		want:  []discover.Model{{ID: "gpt-a"}, {ID: "gpt-b"}},
		asked: []string{"/api/tags", "/api/v0/models"},
	},
	{
		name: "vllm",
		stand: stand{"/v1/models": `{"object":"list","data":[{"id":"meta-llama/Llama-3.1-8B","object":"model","created":1,"owned_by":"vllm",
			"root":"meta-llama/Llama-3.1-8B","parent":null,"max_model_len":131072,"permission":[{"id":"p"}]}]}`},
		want: []discover.Model{{ID: "meta-llama/Llama-3.1-8B", ContextWindow: 131072}},
	},
	{
		name: "llama.cpp",
		stand: stand{"/v1/models": `{"models":[{"name":"x"}],"object":"list","data":[{"id":"qwen.gguf","object":"model","created":1,"owned_by":"llamacpp",
			"meta":{"vocab_type":1,"n_vocab":32000,"n_ctx_train":32768,"n_embd":4096,"n_params":8030261312,"size":1}}]}`},
		want: []discover.Model{{ID: "qwen.gguf", ContextWindow: 32768, ParameterCount: 8030261312}},
	},
	{
		name:  "llama.cpp with the window in use",
		stand: stand{"/v1/models": `{"data":[{"id":"qwen.gguf","meta":{"n_ctx":8192,"n_ctx_train":32768}}]}`},
		want:  []discover.Model{{ID: "qwen.gguf", ContextWindow: 8192}},
	},
	{
		name: "ollama",
		stand: stand{
			"/v1/models": `{"object":"list","data":[{"id":"llama3.2:1b","object":"model","created":1,"owned_by":"library"},
				{"id":"llava:latest","object":"model"},{"id":"nomic-embed-text:latest","object":"model"},{"id":"gone","object":"model"}]}`,
			"/api/tags": `{"models":[{"name":"llama3.2:1b","digest":"d1","details":{"quantization_level":"Q8_0"}},
				{"name":"llava:latest","digest":"d2","details":{}},{"name":"nomic-embed-text:latest","digest":"d3"},{"name":"gone:latest","digest":"d4"}]}`,
			`/api/show {"model":"llama3.2:1b"}`: `{"parameters":"stop \"<x>\"\nnum_ctx                        16384\n","model_info":{"general.architecture":"llama",
				"general.parameter_count":1235814400,"llama.context_length":131072},"capabilities":["completion","tools"]}`,
			`/api/show {"model":"llava:latest"}`:            `{"model_info":{"general.architecture":"llava","llava.context_length":4096},"capabilities":["completion","vision","thinking"]}`,
			`/api/show {"model":"nomic-embed-text:latest"}`: `{"model_info":{"general.architecture":"bert","bert.context_length":2048},"capabilities":["embedding"]}`,
		},
		want: []discover.Model{
			{ID: "gone"},
			{ID: "llama3.2:1b", ContextWindow: 16384, ParameterCount: 1235814400, Quantization: "Q8_0", InputModalities: text, OutputModalities: text,
				Features: []string{"structured-output", "tool-calling"}},
			{ID: "llava:latest", Alias: "llava", ContextWindow: 4096, InputModalities: withImage, OutputModalities: text, Features: []string{"reasoning", "structured-output", "vision"}},
			{ID: "nomic-embed-text:latest", Alias: "nomic-embed-text", ContextWindow: 2048, InputModalities: text, OutputModalities: []string{"embedding"}},
		},
		asked: []string{"/api/tags", `/api/show {"model":"llama3.2:1b"}`, `/api/show {"model":"llava:latest"}`,
			`/api/show {"model":"nomic-embed-text:latest"}`, `/api/show {"model":"gone"}`, "/api/ps"},
	},
	{
		name:  "ollama without a model (openhuman#4121)",
		stand: stand{"/v1/models": `{"object":"list","data":null}`, "/api/tags": `{"models":[]}`, "/api/ps": `{"models":[]}`},
		want:  []discover.Model{},
		asked: []string{"/api/tags", "/api/ps"},
	},
	{
		name: "ollama, with what fits into memory (agentty#49)",
		stand: stand{
			"/v1/models":                         `{"object":"list","data":[{"id":"qwen3:latest","object":"model"},{"id":"Qwen3:8B","object":"model"},{"id":"bare"}]}`,
			"/api/tags":                          `{"models":[{"name":"qwen3:latest","digest":"d1"}]}`,
			"/api/ps":                            `{"models":[{"name":"qwen3:latest","model":"qwen3:latest","context_length":4096},{"name":"qwen3:8b","context_length":8192},{"name":"bare:latest","context_length":2048}]}`,
			`/api/show {"model":"qwen3:latest"}`: `{"model_info":{"general.architecture":"qwen3","qwen3.context_length":40960},"capabilities":["completion"]}`,
		},
		want: []discover.Model{
			{ID: "Qwen3:8B", ContextWindow: 8192}, {ID: "bare", ContextWindow: 2048},
			{ID: "qwen3:latest", Alias: "qwen3", ContextWindow: 4096, InputModalities: text, OutputModalities: text, Features: []string{"structured-output"}},
		},
		asked: []string{"/api/tags", `/api/show {"model":"qwen3:latest"}`, "/api/ps"},
	},
	{
		name: "llama.cpp as a router (opencode-local-provider#20, pi-llama-cpp#19, bifrost#969)",
		stand: stand{"/v1/models": `{"object":"list","data":[
			{"id":"a","owned_by":"llamacpp","status":{"value":"unloaded","args":["/app/llama-server","--port","0","--alias","default","--ctx-size","16384"],"preset":"[default]"}},
			{"id":"b","status":{"value":"unloaded","args":["llama-server","-c","8192"]}},
			{"id":"c","status":{"value":"loaded","args":["llama-server","--ctx-size","0"]},"meta":{"n_ctx":4096}},
			{"id":"d","status":{"value":"unloaded","args":["llama-server","--ctx-size"]}},
			{"id":"e","status":"ok"}]}`},
		want: []discover.Model{{ID: "a", ContextWindow: 16384}, {ID: "b", ContextWindow: 8192}, {ID: "c", ContextWindow: 4096}, {ID: "d"}, {ID: "e"}},
	},
	{
		name: "infinity",
		stand: stand{"/v1/models": `{"object":"list","data":[{"id":"bge","stats":{"queue_fraction":0.0},"object":"model","owned_by":"infinity","backend":"torch","capabilities":["embed"]},
			{"id":"ranker","object":"model","owned_by":"infinity","capabilities":["rerank"]}]}`},
		want: []discover.Model{{ID: "bge", InputModalities: text, OutputModalities: []string{"embedding"}}, {ID: "ranker"}},
	},
	{
		name: "lm studio",
		stand: stand{
			"/v1/models": `{"data":[{"id":"qwen2-vl-7b","object":"model","owned_by":"organization_owner"},{"id":"nomic","object":"model"}],"object":"list"}`,
			"/api/v0/models": `{"object":"list","data":[{"id":"qwen2-vl-7b","object":"model","type":"vlm","publisher":"x","arch":"qwen2_vl","quantization":"4bit",
				"state":"loaded","max_context_length":32768,"loaded_context_length":4096,"capabilities":["tool_use"]},
				{"id":"nomic","type":"embeddings","quantization":"Q4_0","state":"not-loaded","max_context_length":2048}]}`,
		},
		want: []discover.Model{
			{ID: "nomic", ContextWindow: 2048, Quantization: "Q4_0", InputModalities: text, OutputModalities: []string{"embedding"}},
			{ID: "qwen2-vl-7b", ContextWindow: 4096, Quantization: "4bit", InputModalities: withImage, OutputModalities: text,
				Features: []string{"structured-output", "tool-calling", "vision"}},
		},
		asked: []string{"/api/tags", "/api/v0/models"},
	},
	{
		name: "openrouter",
		stand: stand{"/v1/models": `{"data":[{"id":"openai/gpt-5","canonical_slug":"openai/gpt-5-2025","name":"OpenAI: GPT-5","created":1,"description":"Large",
			"context_length":400000,"architecture":{"modality":"text+image->text","input_modalities":["text","image","file"],"output_modalities":["text"]},
			"pricing":{"prompt":"0.00000125","completion":"0.00001","request":"0","input_cache_read":"0.000000125"},
			"top_provider":{"context_length":272000,"max_completion_tokens":128000,"is_moderated":true},
			"supported_parameters":["max_tokens","reasoning","structured_outputs","tools","tool_choice"]},
			{"id":"openrouter/auto","context_length":2000000,"pricing":{"prompt":"-1","completion":"-1"},"top_provider":{"context_length":null}}]}`},
		want: []discover.Model{
			{ID: "openai/gpt-5", DisplayName: "OpenAI: GPT-5", Description: "Large", ContextWindow: 272000, MaxOutput: 128000,
				InputModalities: []string{"file", "image", "text"}, OutputModalities: text, Features: []string{"reasoning", "structured-output", "tool-calling"},
				Prices: discover.Prices{Input: usd(1.25), Output: usd(10), CacheRead: usd(0.125)}},
			{ID: "openrouter/auto", ContextWindow: 2000000},
		},
	},
	{
		name: "anthropic, in pages",
		stand: stand{
			"/v1/models":                   `{"data":[{"type":"model","id":"claude-b","display_name":"Claude B","created_at":"2026-01-01T00:00:00Z"}],"has_more":true,"first_id":"claude-b","last_id":"claude-b"}`,
			"/v1/models?after_id=claude-b": `{"data":[{"type":"model","id":"claude-a","display_name":"Claude A","max_input_tokens":200000,"max_tokens":64000}],"has_more":false,"last_id":"claude-a"}`,
		},
		want:  []discover.Model{{ID: "claude-a", DisplayName: "Claude A", ContextWindow: 200000, MaxOutput: 64000}, {ID: "claude-b", DisplayName: "Claude B"}},
		asked: []string{"/v1/models?after_id=claude-b"},
	},
	{
		name:  "groq",
		stand: stand{"/v1/models": `{"data":[{"id":"g","active":true,"context_window":131072,"max_completion_tokens":32768}]}`},
		want:  []discover.Model{{ID: "g", ContextWindow: 131072, MaxOutput: 32768}},
	},
	{
		name:  "mistral",
		stand: stand{"/v1/models": `{"data":[{"id":"m","max_context_length":32768,"capabilities":{"completion_chat":true,"function_calling":true,"vision":false}}]}`},
		want:  []discover.Model{{ID: "m", ContextWindow: 32768, InputModalities: text, OutputModalities: text, Features: []string{"structured-output", "tool-calling"}}},
	},
	{
		name:  "together, a bare array",
		stand: stand{"/v1/models": `[{"id":"t","type":"chat","context_length":8192,"pricing":{"input":0.18,"output":0.18,"hourly":0}}]`},
		want:  []discover.Model{{ID: "t", ContextWindow: 8192, Prices: discover.Prices{Input: usd(0.18), Output: usd(0.18)}}},
	},
	{
		name:  "google",
		stand: stand{"/v1/models": `{"data":[{"id":"models/gemini-x","owned_by":"google","display_name":"Gemini X"}]}`},
		want:  []discover.Model{{ID: "gemini-x", DisplayName: "Gemini X"}},
		asked: []string{"/api/tags", "/api/v0/models"},
	},
	{
		name: "a gateway of this library",
		stand: stand{"/v1/models": `{"object":"list","data":[{"id":"a","context_window":10,"max_output_tokens":5,"input_modalities":["text"],"output_modalities":["text"],
			"supported_features":["tool-calling","own-word"],"pricing":{"input":1,"output":2,"input_cache_read":0.1,"input_cache_write":3},"providers":["p"]}]}`},
		want: []discover.Model{{ID: "a", ContextWindow: 10, MaxOutput: 5, InputModalities: text, OutputModalities: text, Features: []string{"tool-calling"},
			Prices: discover.Prices{Input: usd(1), Output: usd(2), CacheRead: usd(0.1), CacheWrite: usd(3)}}},
	},
	{
		name: "odd fields and names",
		stand: stand{"/v1/models": `{"data":[{"id":"ok","max_model_len":"4096","display_name":7,"input_modalities":"text","pricing":"free","meta":[],"architecture":null},
			{"id":7},{"id":""},{"id":" a"},{"id":"a\nb"},{"id":"OK"},null,"text",{"id":"neg","max_model_len":-1,"context_length":1e300}]}`},
		want: []discover.Model{{ID: "neg"}, {ID: "ok", ContextWindow: 4096}},
	},
	{name: "empty", stand: stand{"/v1/models": `{"object":"list","data":[]}`}, want: []discover.Model{}, asked: []string{"/api/tags", "/api/v0/models"}},
}

func TestModels(t *testing.T) {
	for _, tt := range stands {
		t.Run(tt.name, func(t *testing.T) {
			var s discover.Server
			var asked []string
			got, err := s.Models(t.Context(), tt.stand.ask(&asked), true)
			require.NoError(t, err)
			assert.ElementsMatch(t, tt.want, got)
			for i := range tt.want {
				assert.Equal(t, tt.want[i].ID, got[i].ID, "sorted by id")
			}
			assert.Equal(t, append([]string{"/v1/models"}, tt.asked...), asked)
		})
	}
}

// The facts of a digest are asked for once, and a plain server is asked for its
// list only.
func TestRefreshAsksLess(t *testing.T) {
	for _, tt := range stands {
		t.Run(tt.name, func(t *testing.T) {
			var s discover.Server
			var asked []string
			first, err := s.Models(t.Context(), tt.stand.ask(&asked), true)
			require.NoError(t, err)
			asked = nil
			again, err := s.Models(t.Context(), tt.stand.ask(&asked), true)
			require.NoError(t, err)
			assert.Equal(t, first, again)
			switch tt.name {
			case "ollama": // one model failed before
				assert.Equal(t, []string{"/v1/models", "/api/tags", `/api/show {"model":"gone"}`, "/api/ps"}, asked)
			case "ollama without a model (openhuman#4121)", "ollama, with what fits into memory (agentty#49)":
				assert.Equal(t, []string{"/v1/models", "/api/tags", "/api/ps"}, asked)
			case "lm studio":
				assert.Equal(t, []string{"/v1/models", "/api/v0/models"}, asked)
			case "anthropic, in pages":
				assert.Len(t, asked, 2)
			default:
				assert.Equal(t, []string{"/v1/models"}, asked)
			}
			asked = nil
			_, err = new(discover.Server).Models(t.Context(), tt.stand.ask(&asked), false)
			require.NoError(t, err)
			for _, path := range asked {
				assert.True(t, strings.HasPrefix(path, "/v1/"), "without deep, only the list is asked for")
			}
		})
	}
}

// The window of a loaded model stays when Ollama unloads it.
func TestOllamaUnloads(t *testing.T) {
	s := stand{"/v1/models": `{"data":[{"id":"a:latest"}]}`, "/api/tags": `{"models":[]}`, "/api/ps": `{"models":[{"name":"a:latest","context_length":4096}]}`}
	var server discover.Server
	for _, running := range []string{s["/api/ps"], `{"models":[]}`, "status 500", `{"models":null}`} {
		s["/api/ps"] = running
		var asked []string
		models, err := server.Models(t.Context(), s.ask(&asked), true)
		require.NoError(t, err)
		assert.Equal(t, []discover.Model{{ID: "a:latest", Alias: "a", ContextWindow: 4096}}, models)
	}
}

// A failure of the questions for facts leaves the list, and is asked again.
func TestFactsThatFail(t *testing.T) {
	s := stand{"/v1/models": `{"data":[{"id":"a"}]}`, "/api/tags": "status 503"}
	var server discover.Server
	for range 2 {
		var asked []string
		models, err := server.Models(t.Context(), s.ask(&asked), true)
		require.NoError(t, err)
		assert.Equal(t, []discover.Model{{ID: "a"}}, models)
		assert.Equal(t, []string{"/v1/models", "/api/tags"}, asked)
	}
}

func TestNoList(t *testing.T) {
	for name, tt := range map[string]struct {
		answer string
		want   string
	}{
		"status":    {"status 401", "its list of models answers with status 401"},
		"page":      {"<html>sign in</html>", "its list of models cannot be read"},
		"error":     {`{"error":{"message":"no"}}`, "its list of models cannot be read"},
		"null":      {`{"data":null}`, "its list of models cannot be read"},
		"wrong":     {`{"data":{"id":"a"}}`, "its list of models cannot be read"},
		"cut":       {`{"data":[{"id":"a"}`, "its list of models cannot be read"},
		"empty":     {``, "its list of models cannot be read"},
		"too large": {`{"data":[{"id":"` + strings.Repeat("a", 9<<20) + `"}]}`, "its list of models cannot be read: it is over 8388608 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			var asked []string
			_, err := new(discover.Server).Models(t.Context(), stand{"/v1/models": tt.answer}.ask(&asked), true)
			assert.EqualError(t, err, tt.want)
			assert.Len(t, asked, 1)
		})
	}
	down := errors.New("down")
	_, err := new(discover.Server).Models(t.Context(), func(context.Context, discover.Question) (*http.Response, error) { return nil, down }, true)
	assert.ErrorIs(t, err, down)
}

// A list without an end, and one of too many models, are cut.
func TestBounds(t *testing.T) {
	n, asked := 0, 0
	endless := func(context.Context, discover.Question) (*http.Response, error) {
		asked++
		w := httptest.NewRecorder()
		w.WriteString(`{"has_more":true,"last_id":"x","data":[`)
		for range 1000 {
			n++
			fmt.Fprintf(w, `{"id":"m%d","max_model_len":1},`, n)
		}
		w.WriteString(`{}]}`)
		return w.Result(), nil
	}
	models, err := new(discover.Server).Models(t.Context(), endless, true)
	require.NoError(t, err)
	assert.Len(t, models, discover.MaxModels)
	assert.LessOrEqual(t, asked, 16)
}

// FuzzModels reads any bytes as the answers of a server. Its models have usable
// names, each once, and facts within their bounds.
func FuzzModels(f *testing.F) {
	for _, tt := range stands {
		show := ""
		for path, answer := range tt.stand {
			if strings.HasPrefix(path, "/api/show") {
				show = answer
			}
		}
		f.Add([]byte(tt.stand["/v1/models"]), []byte(tt.stand["/api/tags"]), []byte(show), []byte(tt.stand["/api/v0/models"]))
	}
	f.Fuzz(func(t *testing.T, models, tags, show, v0 []byte) {
		answers := map[string][]byte{"models": models, "api/tags": tags, "api/show": show, "api/v0/models": v0}
		ask := func(_ context.Context, q discover.Question) (*http.Response, error) {
			return &http.Response{StatusCode: http.StatusOK, Body: io.NopCloser(bytes.NewReader(answers[q.Path]))}, nil
		}
		var s discover.Server
		got, err := s.Models(t.Context(), ask, true)
		if err != nil {
			assert.Empty(t, got)
			return
		}
		seen := map[string]bool{}
		for _, m := range got {
			folded := strings.ToLower(m.ID)
			assert.False(t, m.ID == "" || seen[folded] || strings.ContainsAny(m.ID, "\r\n\x00"), "%q", m.ID)
			seen[folded] = true
			assert.True(t, m.ContextWindow >= 0 && m.MaxOutput >= 0 && m.ParameterCount >= 0)
			for _, p := range []*float64{m.Prices.Input, m.Prices.Output, m.Prices.CacheRead, m.Prices.CacheWrite} {
				assert.True(t, p == nil || *p >= 0)
			}
		}
		again, err := s.Models(t.Context(), ask, true)
		assert.NoError(t, err)
		assert.Len(t, again, len(got))
	})
}
