package dialect_test

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

type (
	object = map[string]any
	list   = []any
)

// scene is a conversation in the subset that the three formats share. It is the
// reference: it writes itself in each format, apart from the code under test.
type scene struct {
	system      string
	turns       []sceneTurn
	tools       []sceneTool
	choice      string // "", auto, none, any, or the name of a tool
	single      bool   // one call at a time
	maxTokens   int
	temperature any
	topP        any
	stop        []string
	schema      object
	effort      string
	stream      bool
}

type sceneTurn struct {
	who   string // user, assistant, tool
	parts []scenePart
}

type scenePart struct {
	kind           string // text, image, imageURL, pdf, call, result
	text, id, name string
	args           string
}

type sceneTool struct {
	name, description string
	schema            object
	strict            bool
}

var words = []string{"alpha", "β-γ", "line\nbreak", `"quoted"`, "\\back", "emoji 😀", "tab\there", "<html>&amp;", "end."}

func phrase(r *rand.Rand) string {
	var s []string
	for range 1 + r.IntN(6) {
		s = append(s, words[r.IntN(len(words))])
	}
	return strings.Join(s, " ")
}

func compact(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// newScene makes a scene for a pair of formats.
func newScene(r *rand.Rand, a, b dialect.Format) *scene {
	with := func(f dialect.Format) bool { return a == f || b == f }
	s := &scene{maxTokens: 16 + r.IntN(4000), stream: r.IntN(2) == 0}
	if r.IntN(2) == 0 {
		s.system = phrase(r)
	}
	for range r.IntN(3) {
		name := fmt.Sprintf("tool_%d", len(s.tools))
		t := sceneTool{name: name, schema: object{"type": "object", "properties": object{"q": object{"type": "string", "description": phrase(r)}}}}
		if r.IntN(2) == 0 {
			t.description = phrase(r)
		}
		if t.strict = r.IntN(3) == 0; t.strict {
			t.schema["required"], t.schema["additionalProperties"] = list{"q"}, false
		}
		s.tools = append(s.tools, t)
	}
	if len(s.tools) > 0 {
		s.choice = []string{"", "auto", "none", "any", s.tools[0].name}[r.IntN(5)]
		s.single = s.choice != "" && s.choice != "none" && r.IntN(2) == 0
	}
	if r.IntN(2) == 0 {
		s.temperature = []any{0.0, 0.5, 1.0}[r.IntN(3)]
	}
	if r.IntN(3) == 0 {
		s.topP = 0.9
	}
	if !with(dialect.Responses) && r.IntN(2) == 0 {
		s.stop = []string{phrase(r), "END"}
	}
	if r.IntN(3) == 0 {
		s.schema = object{"type": "object", "properties": object{"a": object{"type": "integer"}}, "required": list{"a"}, "additionalProperties": false}
	}
	if !with(dialect.Messages) && r.IntN(3) == 0 {
		s.effort = []string{"low", "medium", "high"}[r.IntN(3)]
	}
	calls := 0
	for range 1 + r.IntN(4) {
		s.turns = append(s.turns, sceneTurn{"user", userParts(r, with(dialect.Chat))})
		t := sceneTurn{who: "assistant"}
		if r.IntN(3) > 0 {
			t.parts = append(t.parts, scenePart{kind: "text", text: phrase(r)})
		}
		results := sceneTurn{who: "tool"}
		for range r.IntN(3) {
			calls++
			id := fmt.Sprintf("call_%d", calls)
			t.parts = append(t.parts, scenePart{kind: "call", id: id, name: "tool_0", args: compact(object{"q": phrase(r), "n": calls})})
			results.parts = append(results.parts, scenePart{kind: "result", id: id, text: phrase(r)})
		}
		if len(t.parts) == 0 {
			t.parts = append(t.parts, scenePart{kind: "text", text: phrase(r)})
		}
		s.turns = append(s.turns, t)
		if len(results.parts) > 0 {
			s.turns = append(s.turns, results)
			if r.IntN(2) == 0 { // the model says something about the results
				s.turns = append(s.turns, sceneTurn{"assistant", []scenePart{{kind: "text", text: phrase(r)}}})
			}
		}
	}
	if calls > 0 && s.tools == nil {
		s.tools = []sceneTool{{name: "tool_0", schema: object{"type": "object", "properties": object{}}}}
	}
	if last := s.turns[len(s.turns)-1]; last.who == "assistant" {
		s.turns = append(s.turns, sceneTurn{"user", userParts(r, with(dialect.Chat))})
	}
	return s
}

func userParts(r *rand.Rand, chat bool) []scenePart {
	var parts []scenePart
	for range 1 + r.IntN(3) {
		switch n := r.IntN(6); {
		case n == 0:
			parts = append(parts, scenePart{kind: "image", text: base64.StdEncoding.EncodeToString([]byte(phrase(r)))})
		case n == 1:
			parts = append(parts, scenePart{kind: "imageURL", text: "https://example.com/a.png?b=1&c=2"})
		case n == 2:
			parts = append(parts, scenePart{kind: "pdf", name: "report.pdf", text: base64.StdEncoding.EncodeToString([]byte(phrase(r)))})
		case n == 3 && !chat:
			parts = append(parts, scenePart{kind: "pdfURL", name: "other.pdf", text: "https://example.com/a.pdf"})
		default:
			parts = append(parts, scenePart{kind: "text", text: phrase(r)})
		}
	}
	return parts
}

// set puts a value that is there.
func (s *scene) common(m object) object {
	m["model"] = "some-model"
	if s.temperature != nil {
		m["temperature"] = s.temperature
	}
	if s.topP != nil {
		m["top_p"] = s.topP
	}
	if s.stream {
		m["stream"] = true
	}
	return m
}

func (s *scene) write(f dialect.Format) object {
	switch f {
	case dialect.Chat:
		return s.chat()
	case dialect.Responses:
		return s.responses()
	}
	return s.messages()
}

func (s *scene) chat() object {
	m := s.common(object{"max_tokens": s.maxTokens})
	var messages list
	if s.system != "" {
		messages = append(messages, object{"role": "system", "content": s.system})
	}
	for _, t := range s.turns {
		switch t.who {
		case "user":
			messages = append(messages, object{"role": "user", "content": content(t.parts, func(p scenePart) object {
				switch p.kind {
				case "image":
					return object{"type": "image_url", "image_url": object{"url": "data:image/png;base64," + p.text}}
				case "imageURL":
					return object{"type": "image_url", "image_url": object{"url": p.text}}
				case "pdf":
					return object{"type": "file", "file": object{"filename": p.name, "file_data": "data:application/pdf;base64," + p.text}}
				}
				return object{"type": "text", "text": p.text}
			})})
		case "assistant":
			one := object{"role": "assistant", "content": nil}
			var calls list
			for _, p := range t.parts {
				if p.kind == "text" {
					one["content"] = p.text
				} else {
					calls = append(calls, object{"id": p.id, "type": "function", "function": object{"name": p.name, "arguments": p.args}})
				}
			}
			if calls != nil {
				one["tool_calls"] = calls
			}
			messages = append(messages, one)
		case "tool":
			for _, p := range t.parts {
				messages = append(messages, object{"role": "tool", "tool_call_id": p.id, "content": p.text})
			}
		}
	}
	m["messages"] = messages
	if s.stop != nil {
		m["stop"] = toList(s.stop)
	}
	if s.stream {
		m["stream_options"] = object{"include_usage": true}
	}
	var tools list
	for _, t := range s.tools {
		f := object{"name": t.name, "parameters": t.schema}
		t.describe(f, false)
		tools = append(tools, object{"type": "function", "function": f})
	}
	if tools != nil {
		m["tools"] = tools
	}
	switch s.choice {
	case "":
	case "auto", "none":
		m["tool_choice"] = s.choice
	case "any":
		m["tool_choice"] = "required"
	default:
		m["tool_choice"] = object{"type": "function", "function": object{"name": s.choice}}
	}
	if s.single {
		m["parallel_tool_calls"] = false
	}
	if s.schema != nil {
		m["response_format"] = object{"type": "json_schema", "json_schema": object{"name": "response", "schema": s.schema, "strict": true}}
	}
	if s.effort != "" {
		m["reasoning_effort"] = s.effort
	}
	return m
}

func (t *sceneTool) describe(m object, strictAlways bool) {
	if t.description != "" {
		m["description"] = t.description
	}
	if t.strict || strictAlways {
		m["strict"] = t.strict
	}
}

func (s *scene) responses() object {
	m := s.common(object{"max_output_tokens": s.maxTokens, "store": false})
	if s.system != "" {
		m["instructions"] = s.system
	}
	var input list
	for _, t := range s.turns {
		switch t.who {
		case "user":
			input = append(input, object{"role": "user", "content": content(t.parts, func(p scenePart) object {
				switch p.kind {
				case "image":
					return object{"type": "input_image", "detail": "auto", "image_url": "data:image/png;base64," + p.text}
				case "imageURL":
					return object{"type": "input_image", "detail": "auto", "image_url": p.text}
				case "pdf":
					return object{"type": "input_file", "filename": p.name, "file_data": "data:application/pdf;base64," + p.text}
				case "pdfURL":
					return object{"type": "input_file", "filename": p.name, "file_url": p.text}
				}
				return object{"type": "input_text", "text": p.text}
			})})
		case "assistant":
			for _, p := range t.parts {
				if p.kind == "text" {
					input = append(input, object{"role": "assistant", "content": p.text})
				} else {
					input = append(input, object{"type": "function_call", "call_id": p.id, "name": p.name, "arguments": p.args})
				}
			}
		case "tool":
			for _, p := range t.parts {
				input = append(input, object{"type": "function_call_output", "call_id": p.id, "output": p.text})
			}
		}
	}
	m["input"] = input
	var tools list
	for _, t := range s.tools {
		f := object{"type": "function", "name": t.name, "parameters": t.schema}
		t.describe(f, true)
		tools = append(tools, f)
	}
	if tools != nil {
		m["tools"] = tools
	}
	switch s.choice {
	case "":
	case "auto", "none":
		m["tool_choice"] = s.choice
	case "any":
		m["tool_choice"] = "required"
	default:
		m["tool_choice"] = object{"type": "function", "name": s.choice}
	}
	if s.single {
		m["parallel_tool_calls"] = false
	}
	if s.schema != nil {
		m["text"] = object{"format": object{"type": "json_schema", "name": "response", "schema": s.schema, "strict": true}}
	}
	if s.effort != "" {
		m["reasoning"] = object{"effort": s.effort}
		m["include"] = list{"reasoning.encrypted_content"}
	}
	return m
}

func (s *scene) messages() object {
	m := s.common(object{"max_tokens": s.maxTokens})
	if s.system != "" {
		m["system"] = s.system
	}
	block := func(p scenePart) object {
		switch p.kind {
		case "image":
			return object{"type": "image", "source": object{"type": "base64", "media_type": "image/png", "data": p.text}}
		case "imageURL":
			return object{"type": "image", "source": object{"type": "url", "url": p.text}}
		case "pdf":
			return object{"type": "document", "title": p.name, "source": object{"type": "base64", "media_type": "application/pdf", "data": p.text}}
		case "pdfURL":
			return object{"type": "document", "title": p.name, "source": object{"type": "url", "url": p.text}}
		}
		return object{"type": "text", "text": p.text}
	}
	var messages list
	for i := 0; i < len(s.turns); i++ {
		t := s.turns[i]
		switch t.who {
		case "user":
			messages = append(messages, object{"role": "user", "content": content(t.parts, block)})
		case "assistant":
			if len(t.parts) == 1 && t.parts[0].kind == "text" {
				messages = append(messages, object{"role": "assistant", "content": t.parts[0].text})
				continue
			}
			var blocks list
			for _, p := range t.parts {
				if p.kind == "text" {
					blocks = append(blocks, block(p))
				} else {
					blocks = append(blocks, object{"type": "tool_use", "id": p.id, "name": p.name, "input": decode(p.args)})
				}
			}
			messages = append(messages, object{"role": "assistant", "content": blocks})
		case "tool":
			var blocks list
			for _, p := range t.parts {
				blocks = append(blocks, object{"type": "tool_result", "tool_use_id": p.id, "content": p.text})
			}
			if i+1 < len(s.turns) && s.turns[i+1].who == "user" {
				i++
				for _, p := range s.turns[i].parts {
					blocks = append(blocks, block(p))
				}
			}
			messages = append(messages, object{"role": "user", "content": blocks})
		}
	}
	m["messages"] = messages
	if s.stop != nil {
		m["stop_sequences"] = toList(s.stop)
	}
	var tools list
	for _, t := range s.tools {
		f := object{"name": t.name, "input_schema": t.schema}
		t.describe(f, false)
		tools = append(tools, f)
	}
	if tools != nil {
		m["tools"] = tools
	}
	choice := object{}
	switch s.choice {
	case "":
	case "auto", "none", "any":
		choice["type"] = s.choice
	default:
		choice["type"], choice["name"] = "tool", s.choice
	}
	if s.single {
		choice["disable_parallel_tool_use"] = true
	}
	if len(choice) > 0 {
		m["tool_choice"] = choice
	}
	if s.schema != nil {
		m["output_config"] = object{"format": object{"type": "json_schema", "schema": s.schema}}
	}
	return m
}

func content(parts []scenePart, part func(scenePart) object) any {
	if len(parts) == 1 && parts[0].kind == "text" {
		return parts[0].text
	}
	var l list
	for _, p := range parts {
		l = append(l, part(p))
	}
	return l
}

func toList(s []string) (l list) {
	for _, v := range s {
		l = append(l, v)
	}
	return l
}

func decode(s string) (v any) {
	if err := json.Unmarshal([]byte(s), &v); err != nil {
		panic(fmt.Sprintf("%v: %s", err, s))
	}
	return v
}

// pairs are all pairs of formats.
func pairs(visit func(client, upstream dialect.Format)) {
	for client := range dialect.Format(3) {
		for upstream := range dialect.Format(3) {
			if client != upstream {
				visit(client, upstream)
			}
		}
	}
}

func translator(t testing.TB, client, upstream dialect.Format) *dialect.Translator {
	tr, ok := dialect.For(client, upstream)
	require.True(t, ok)
	tr.CountIDs()
	return tr
}

// TestRequestsOfTheSharedSubset translates scenes to each format and back. Both
// requests must be the ones that the scene writes itself, and nothing is lost.
func TestRequestsOfTheSharedSubset(t *testing.T) {
	pairs(func(a, b dialect.Format) {
		t.Run(a.String()+"-to-"+b.String(), func(t *testing.T) {
			for seed := range uint64(300) {
				s := newScene(rand.New(rand.NewPCG(seed, 1)), a, b)
				in := compact(s.write(a))
				there, report, err := translator(t, a, b).Request([]byte(in), dialect.Options{})
				require.NoError(t, err)
				require.Equal(t, dialect.Report{Dropped: report.Dropped}, report, "%s", in)
				require.JSONEq(t, compact(s.write(b)), string(there), "seed %d: %s", seed, in)
				back, report, err := translator(t, b, a).Request(there, dialect.Options{})
				require.NoError(t, err)
				require.Empty(t, report.Lost)
				require.JSONEq(t, in, string(back), "seed %d", seed)
			}
		})
	})
}
