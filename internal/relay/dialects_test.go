package relay

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

type dialectCase struct {
	name  string
	event string
	data  string
	want  Kind
}

// The events are those of the providers' own streams, shortened.
var dialectTables = []struct {
	name    string
	dialect Dialect
	cases   []dialectCase
}{
	{"chat", Chat, []dialectCase{
		{"role", "", `{"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":"gpt-4o","service_tier":"default","system_fingerprint":"fp","choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}],"usage":null,"obfuscation":"XyZ"}`, Other},
		{"content", "", `{"id":"chatcmpl-1","object":"chat.completion.chunk","choices":[{"index":0,"delta":{"content":"Hello"},"logprobs":null,"finish_reason":null}],"usage":null}`, Content},
		{"content parts", "", `{"choices":[{"index":0,"delta":{"content":[{"type":"thinking","thinking":[]}]},"finish_reason":null}]}`, Content},
		{"white space is content", "", `{"choices":[{"delta":{"content":"\n"}}]}`, Content},
		{"pretty-printed", "", "{\n  \"choices\" : [ {\n \"delta\" : { \"content\" : \"x\" } } ] }", Content},
		{"reasoning", "", `{"choices":[{"index":0,"delta":{"role":"assistant","content":"","reasoning":"Hm"}}]}`, Content},
		{"reasoning_content", "", `{"choices":[{"index":0,"delta":{"content":null,"reasoning_content":"Hm"}}]}`, Content},
		{"refusal", "", `{"choices":[{"index":0,"delta":{"refusal":"No"}}]}`, Content},
		{"tool call", "", `{"choices":[{"index":0,"delta":{"role":"assistant","content":null,"tool_calls":[{"index":0,"id":"call_1","type":"function","function":{"name":"f","arguments":""}}]}}]}`, Content},
		{"no tool calls", "", `{"choices":[{"index":0,"delta":{"role":"assistant","tool_calls":[]}}]}`, Other},
		{"function call", "", `{"choices":[{"delta":{"function_call":{"name":"f","arguments":""}}}]}`, Content},
		{"audio", "", `{"choices":[{"delta":{"audio":{"id":"a","data":"UklG"}}}]}`, Content},
		{"second choice", "", `{"choices":[{"index":0,"delta":{}},{"index":1,"delta":{"content":"b"}}]}`, Content},
		{"finish", "", `{"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}`, Finish},
		{"finish before delta", "", `{"choices":[{"finish_reason":"length","delta":{"content":"x"}}]}`, Finish},
		{"empty finish", "", `{"choices":[{"delta":{"content":""},"finish_reason":""}]}`, Other},
		{"usage", "", `{"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`, Other},
		{"azure filter results", "", `{"choices":[],"created":0,"id":"","model":"","object":"","prompt_filter_results":[{"prompt_index":0,"content_filter_results":{"hate":{"filtered":false,"severity":"safe"}}}]}`, Other},
		{"done", "", `[DONE]`, End},
		{"done with space", "", ` [DONE] `, End},
		{"error", "", `{"error":{"message":"overloaded","type":"server_error","param":null,"code":null}}`, Error},
		{"error text", "", `{"error":"boom"}`, Error},
		{"error with choices", "", `{"id":"gen-1","error":{"code":502,"message":"Provider disconnected"},"choices":[{"index":0,"delta":{"content":""},"finish_reason":"error"}]}`, Error},
		{"error by name", "error", `whatever`, Error},
		{"vllm error", "", `{"object":"error","message":"boom","type":"BadRequestError","param":null,"code":400}`, Error},
		{"null error", "", `{"error":null,"choices":[{"delta":{"content":"x"}}]}`, Content},
		{"text that looks like keys", "", `{"choices":[{"index":0,"delta":{"role":"","content":""},"finish_reason":null,"note":"\"finish_reason\":\"stop\",\"error\":{\"x\":1},\"content\":\"y\""}]}`, Other},
		{"value that equals a key", "", `{"choices":[{"delta":{"role":"finish_reason"},"finish_reason":null}],"x":"error"}`, Other},
		{"keys at another depth", "", `{"meta":{"error":{"a":1},"choices":[{"finish_reason":"stop"}]},"choices":[]}`, Other},
		{"backslashes before the quote", "", `{"a":"\\\\","b":"\\\"","choices":[{"delta":{"content":"\\"}}]}`, Content},
		{"plain text", "", `hello`, Suspect},
		{"a page", "", `<html></html>`, Suspect},
		{"error of a gateway", "", `{"code":500,"message":"boom"}`, Error},
		{"error of a relay", "", `{"type":"error","message":"boom"}`, Error},
		{"error of FastAPI", "", `{"detail":"Not Found"}`, Suspect},
		{"error of Envoy", "", `{"message":"no healthy upstream"}`, Suspect},
		{"error of MiniMax", "", `{"choices":null,"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}`, Error},
		{"answer of MiniMax", "", `{"choices":[{"delta":{"content":"x"}}],"base_resp":{"status_code":0,"status_msg":""}}`, Content},
		{"error of Google", "", `[{"error":{"code":400,"message":"API key not valid"}}]`, Error},
		{"error in a choice", "", `{"choices":[{"delta":{},"error":{"code":502}}]}`, Error},
		{"finish by an error", "", `{"choices":[{"delta":{"content":""},"finish_reason":"network_error"}]}`, Error},
		{"finish by an error of its provider", "", `{"choices":[{"delta":{"content":""},"finish_reason":"stop","native_finish_reason":"network_error"}]}`, Error},
		{"finish by another word of its provider", "", `{"choices":[{"delta":{"content":""},"finish_reason":"stop","native_finish_reason":"STOP"}]}`, Finish},
		{"finish by no resources", "", `{"choices":[{"delta":{},"finish_reason":"insufficient_system_resource"}]}`, Error},
		{"code beside content", "", `{"code":500,"choices":[{"delta":{"content":"x"}}]}`, Content},
		{"half", "", `{"choices":[{"delta":{"content":"x"}`, Other},
		{"odd shapes", "", `{"choices":[1,"x",null,{"delta":"x","message":[1]}],"error":false,"object":1}`, Other},
		{"choices of another type", "", `{"choices":{"finish_reason":"stop"}}`, Other},
		{"no colon", "", `{"choices"[{"finish_reason":"stop"}]}`, Other},
		{"no value", "", `{"error":}`, Other},
		{"nothing but an opening", "", `{"choices":[`, Other},
		{"deep", "", `{"x":` + strings.Repeat("[", 100_000) + strings.Repeat("]", 100_000) + `,"choices":[{"finish_reason":"stop"}]}`, Finish},
		{"array", "", `[1,2]`, Other},
		{"number", "", `1`, Other},
		{"empty", "", ``, Other},
	}},
	{"completions", Completions, []dialectCase{
		{"text", "", `{"id":"cmpl-1","object":"text_completion","choices":[{"text":"Hi","index":0,"logprobs":null,"finish_reason":null}]}`, Content},
		{"no text", "", `{"choices":[{"text":"","index":0,"finish_reason":null}]}`, Other},
		{"finish", "", `{"choices":[{"text":"","index":0,"finish_reason":"length"}]}`, Finish},
		{"done", "", `[DONE]`, End},
		{"error", "", `{"error":{"message":"x"}}`, Error},
	}},
	{"responses", Responses, []dialectCase{
		{"created", "response.created", `{"type":"response.created","sequence_number":0,"response":{"id":"resp_1","object":"response","status":"in_progress","error":null,"output":[]}}`, Other},
		{"queued", "response.queued", `{"type":"response.queued","response":{"status":"queued"}}`, Other},
		{"in progress", "response.in_progress", `{"type":"response.in_progress","response":{"error":null}}`, Other},
		{"message item", "response.output_item.added", `{"type":"response.output_item.added","output_index":0,"item":{"id":"msg_1","type":"message","status":"in_progress","content":[],"role":"assistant"}}`, Other},
		{"reasoning item", "response.output_item.added", `{"type":"response.output_item.added","output_index":0,"item":{"id":"rs_1","type":"reasoning","summary":[]}}`, Other},
		{"call item", "response.output_item.added", `{"type":"response.output_item.added","output_index":0,"item":{"id":"fc_1","type":"function_call","status":"in_progress","arguments":"","call_id":"call_1","name":"f"}}`, Content},
		{"part", "response.content_part.added", `{"type":"response.content_part.added","part":{"type":"output_text","text":"","annotations":[]}}`, Other},
		{"delta", "response.output_text.delta", `{"type":"response.output_text.delta","item_id":"msg_1","output_index":0,"content_index":0,"delta":"Hi","logprobs":[]}`, Content},
		{"delta before type", "", `{"delta":"Hi","type":"response.output_text.delta"}`, Content},
		{"type by name alone", "response.output_text.delta", `{"delta":"Hi"}`, Content},
		{"empty delta", "", `{"type":"response.output_text.delta","delta":""}`, Other},
		{"arguments", "", `{"type":"response.function_call_arguments.delta","delta":"{\"a\""}`, Content},
		{"reasoning", "", `{"type":"response.reasoning_summary_text.delta","delta":"**Hm"}`, Content},
		{"refusal", "", `{"type":"response.refusal.delta","delta":"No"}`, Content},
		{"text done", "", `{"type":"response.output_text.done","text":"Hi"}`, Content},
		{"partial image", "", `{"type":"response.image_generation_call.partial_image","partial_image_b64":"aaaa"}`, Content},
		{"completed", "response.completed", `{"type":"response.completed","response":{"id":"resp_1","status":"completed","usage":{"input_tokens":1}}}`, End},
		{"completed, type last", "", `{"response":{"type":"x","error":null},"type":"response.completed"}`, End},
		{"incomplete", "", `{"type":"response.incomplete","response":{"incomplete_details":{"reason":"max_output_tokens"}}}`, End},
		{"failed", "", `{"type":"response.failed","response":{"error":{"code":"server_error","message":"x"}}}`, Failed},
		{"error", "error", `{"type":"error","code":"ERR","message":"x","param":null,"sequence_number":1}`, Error},
		{"chat-style error", "", `{"error":{"message":"x"}}`, Error},
		{"done is no end", "", `[DONE]`, Other},
		{"type in text", "", `{"type":"response.created","x":"{\"type\":\"response.completed\"}"}`, Other},
		{"unknown", "", `{"type":"response.shiny.new"}`, Other},
		{"half of completed", "response.completed", `{"response":{"id":"r`, Other},
		{"name alone", "response.completed", ``, End},
		{"not JSON", "response.completed", `oops`, Suspect},
		{"error of FastAPI", "", `{"detail":"Not Found"}`, Suspect},
		{"error of a gateway", "", `{"code":502,"message":"boom"}`, Error},
	}},
	{"messages", Messages, []dialectCase{
		{"start", "message_start", `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"claude","content":[],"stop_reason":null,"stop_sequence":null,"usage":{"input_tokens":25,"output_tokens":1}}}`, Other},
		{"ping", "ping", `{"type": "ping"}`, Other},
		{"text block", "content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`, Other},
		{"thinking block", "content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"thinking","thinking":"","signature":""}}`, Other},
		{"redacted thinking", "", `{"type":"content_block_start","index":0,"content_block":{"type":"redacted_thinking","data":"Emw"}}`, Content},
		{"tool block", "content_block_start", `{"type":"content_block_start","index":1,"content_block":{"type":"tool_use","id":"toolu_1","name":"f","input":{}}}`, Content},
		{"text", "content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"Hi"}}`, Content},
		{"no text", "content_block_delta", `{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":""}}`, Other},
		{"thinking", "", `{"type":"content_block_delta","index":0,"delta":{"type":"thinking_delta","thinking":"Hm"}}`, Content},
		{"signature", "", `{"type":"content_block_delta","index":0,"delta":{"type":"signature_delta","signature":"Eq"}}`, Content},
		{"no json yet", "", `{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":""}}`, Other},
		{"json", "", `{"type":"content_block_delta","index":1,"delta":{"type":"input_json_delta","partial_json":"{\"a"}}`, Content},
		{"citation", "", `{"type":"content_block_delta","index":0,"delta":{"type":"citations_delta","citation":{"type":"char_location"}}}`, Content},
		{"block stop", "content_block_stop", `{"type":"content_block_stop","index":0}`, Other},
		{"stop reason", "message_delta", `{"type":"message_delta","delta":{"stop_reason":"end_turn","stop_sequence":null},"usage":{"output_tokens":15}}`, Content},
		{"usage alone", "message_delta", `{"type":"message_delta","delta":{"stop_reason":null},"usage":{"output_tokens":15}}`, Other},
		{"stop", "message_stop", `{"type":"message_stop"}`, End},
		{"stop without name", "", `{"type":"message_stop"}`, End},
		{"error", "error", `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, Error},
		{"bare error", "", `{"error":{"message":"x"}}`, Error},
		{"stop in text", "", `{"type":"ping","t":"\"type\":\"message_stop\""}`, Other},
		{"done is no end", "", `[DONE]`, Other},
		{"finish by an error", "message_delta", `{"type":"message_delta","delta":{"stop_reason":"error"}}`, Error},
		{"error of a gateway", "", `{"code":502,"message":"boom"}`, Error},
		{"name alone", "message_stop", ``, End},
	}},
	{"events", Events, []dialectCase{
		{"transcript", "", `{"type":"transcript.text.delta","delta":"I see"}`, Content},
		{"transcript done", "", `{"type":"transcript.text.done","text":"I see","usage":{"type":"tokens","input_tokens":14}}`, Finish},
		{"speech", "", `{"type":"speech.audio.delta","audio":"AAAA"}`, Content},
		{"partial", "image_generation.partial_image", `{"type":"image_generation.partial_image","b64_json":"aa","partial_image_index":0}`, Content},
		{"completed", "", `{"b64_json":"aa","type":"image_edit.completed"}`, Finish},
		{"by name", "image_generation.completed", ``, Finish},
		{"done", "", `[DONE]`, End},
		{"error", "error", `{"type":"error","error":{"message":"x"}}`, Error},
		{"error by its last word", "", `{"type":"speech.audio.error","message":"boom"}`, Error},
		{"failed", "", `{"type":"image_generation.failed","message":"boom"}`, Error},
		{"sound without a type", "", `{"object":"audio.speech.chunk","audio":{"data":"AAAA"},"finish_reason":null}`, Content},
		{"its end", "", `{"object":"audio.speech.chunk","audio":null,"finish_reason":"stop"}`, Finish},
		{"its error", "", `{"object":"audio.speech.chunk","audio":null,"finish_reason":"error"}`, Error},
		{"text without a type", "", `{"text":" Hello","start":0.0,"end":1.5}`, Finish},
		{"no text without a type", "", `{"text":""}`, Other},
		{"an answer as an event", "", `{"created":1,"data":[{"b64_json":"AAAA"}]}`, Finish},
		{"an error with data", "", `{"code":500,"message":"boom","data":{"answer":"x"}}`, Error},
		{"a message without data", "", `{"message":"boom","data":null}`, Suspect},
		{"chunk of chat", "", `{"object":"transcription.chunk","choices":[{"delta":{"content":"Hi"}}]}`, Content},
		{"usage alone", "", `{"choices":[],"usage":{"prompt_tokens":1}}`, Other},
		{"other", "", `{"type":"x.started"}`, Other},
		{"not JSON", "", `x`, Suspect},
	}},
}

func TestDialects(t *testing.T) {
	for _, table := range dialectTables {
		for _, c := range table.cases {
			t.Run(table.name+"/"+c.name, func(t *testing.T) {
				var name []byte
				if c.event != "" {
					name = []byte(c.event)
				}
				var e Event
				table.dialect(name, []byte(c.data), &e)
				assert.Equal(t, c.want, e.Kind)
			})
		}
	}
}

func TestDialectsDoNotAllocate(t *testing.T) {
	for _, table := range dialectTables {
		for _, c := range table.cases {
			name, data := []byte(c.event), []byte(c.data)
			e := Event{Choices: make([]Choice, 0, 8)}
			assert.Zero(t, testing.AllocsPerRun(5, func() { table.dialect(name, data, &e) }), "%s/%s", table.name, c.name)
		}
	}
}

// A dialect must hold against any bytes. That half of an event cannot pass for
// the end is not its concern: TestStreamCutAnywhere is for that.
func FuzzDialects(f *testing.F) {
	for _, table := range dialectTables {
		for _, c := range table.cases {
			f.Add(c.event, c.data)
		}
	}
	f.Add("", strings.Repeat("[", 1000))
	f.Fuzz(func(t *testing.T, name, data string) {
		for _, table := range dialectTables {
			e := Event{Kind: Failed, Usage: true}
			table.dialect([]byte(name), []byte(data), &e)
			assert.LessOrEqual(t, e.Kind, Failed)
			if e.Hidden {
				assert.Contains(t, []Kind{Error, Suspect}, e.Kind)
			}
		}
	})
}

func BenchmarkDialect(b *testing.B) {
	for _, row := range []struct {
		name    string
		dialect Dialect
		data    string
	}{
		{"chat", Chat, dialectTables[0].cases[0].data},
		{"responses", Responses, dialectTables[2].cases[7].data},
		{"messages", Messages, dialectTables[3].cases[6].data},
		{"completed-1MB", Responses, `{"type":"response.completed","response":{"x":"` + strings.Repeat("x", 1<<20) + `"}}`},
	} {
		data := []byte(row.data)
		b.Run(row.name, func(b *testing.B) {
			b.ReportAllocs()
			var e Event
			for b.Loop() {
				row.dialect(nil, data, &e)
			}
		})
	}
}
