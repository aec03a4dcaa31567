package suite_test

import (
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

const (
	fieldSpeech      = "/v1/audio/speech"
	fieldTranscribed = "/v1/audio/transcriptions"
	fieldImages      = "/v1/images/generations"
	fieldRerank      = "/v1/rerank"
)

// fieldData are events of data alone.
func fieldData(data ...string) string {
	return "data: " + strings.Join(data, "\n\ndata: ") + "\n\n"
}

// TestFieldForms: answers in the forms of single servers, which are relayed as they are.
func TestFieldForms(t *testing.T) {
	const stream, plain = `{"model":"m","stream":true}`, `{"model":"m"}`
	sound := `{"id":"s","object":"audio.speech.chunk","index":0,"audio":{"data":"AAAA","format":"wav"},"finish_reason":null}`
	for _, tt := range []struct {
		name, path, request string
		answer              http.HandlerFunc
	}{
		{"a bare list of scores (litellm#29156)", fieldRerank, plain, gatewaytest.JSON(200, `[{"score":0.95,"index":0,"document":"x"}]`)},
		{"an empty list of scores", fieldRerank, plain, gatewaytest.JSON(200, `[]`)},
		{"a transcript as a JSON string (whisperx-api-server#4)", fieldTranscribed, plain, gatewaytest.JSON(200, `"Hello World!"`)},
		{"a transcript that is a number (aiperf#1404)", fieldTranscribed, plain, gatewaytest.Content("text/plain", `42`)},
		{"sound without a type (sglang-omni#157)", fieldSpeech, stream, gatewaytest.Stream(fieldData(sound, `{"id":"s","object":"audio.speech.chunk","index":1,"audio":null,"finish_reason":"stop"}`, "[DONE]"))},
		{"sound without a type or [DONE]", fieldSpeech, stream, gatewaytest.Stream(fieldData(sound, `{"id":"s","object":"audio.speech.chunk","index":1,"audio":null,"finish_reason":"stop"}`))},
		{"segments of a transcript (WhisperLive#452)", fieldTranscribed, stream, gatewaytest.Stream(fieldData(`{"text":" Hello","start":0.0,"end":1.2}`, `{"text":" world","start":1.2,"end":2.0}`, "[DONE]"))},
		{"segments of a transcript without [DONE]", fieldTranscribed, stream, gatewaytest.Stream(fieldData(`{"text":" Hello"}`, `{"text":" world"}`))},
		{"an image as an event", fieldImages, stream, gatewaytest.Stream(fieldData(`{"created":1,"data":[{"b64_json":"AAAA"}]}`, "[DONE]"))},
		{"an image by its address (astrbot_plugin_image_generation#55)", fieldImages, stream, gatewaytest.Stream(fieldData(`{"type":"image_generation.completed","url":"https://example.com/x.png"}`, "[DONE]"))},
		{"blanks before a stream (OmniRoute#11036)", fieldChat, stream, gatewaytest.Stream("   \n\n \t\n" + gatewaytest.ChatDelta("hi") + gatewaytest.ChatStop + gatewaytest.ChatDone)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
				s.Set("a1", tt.answer)
				got := s.Post(tt.path, tt.request)
				require.NoError(t, got.Err)
				assert.Equal(t, []string{"a1"}, s.Routes())
				assert.Equal(t, aigateway.StatusSuccess, s.Result().Status, got.Body)
			})
		})
	}
}

// TestFieldFormsCutOff: a server that tells where its sound ends has broken off without
// that end.
func TestFieldFormsCutOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
		s.Set("a1", gatewaytest.Stream(fieldData(`{"object":"audio.speech.chunk","audio":{"data":"AAAA"},"finish_reason":null}`)))
		got := s.Post(fieldSpeech, testbed.StreamRequest)
		assert.Error(t, got.Err)
		assert.Equal(t, aigateway.CodeStreamBroken, s.Result().Error.Code)
	})
}

// TestFieldFormsOfErrors: errors in the forms of single servers. At the front of an answer
// they fail the attempt, and behind a part of it they break the stream.
func TestFieldFormsOfErrors(t *testing.T) {
	spoken := fieldData(`{"type":"speech.audio.delta","audio":"AAAA"}`)
	drawn := fieldData(`{"type":"image_generation.partial_image","b64_json":"AAAA"}`)
	for _, tt := range []struct{ name, path, front, events, says string }{
		{"an error of speech (vllm-omni#4490)", fieldSpeech, spoken, fieldData(`{"type":"speech.audio.error","message":"boom"}`, `{"type":"speech.audio.done"}`), "boom"},
		{"an error of speech before [DONE]", fieldSpeech, spoken, fieldData(`{"type":"speech.audio.error","message":"boom"}`, "[DONE]"), "boom"},
		{"an image that failed", fieldImages, drawn, "event: image_generation.failed\n" + fieldData(`{"type":"image_generation.failed","message":"boom"}`, "[DONE]"), "boom"},
		{"an error on a line of its own (js-genai#1973)", fieldChat, gatewaytest.ChatDelta("half"), gatewaytest.ChatRole + `{"error":{"code":503,"message":"boom","status":"UNAVAILABLE"}}` + "\n\n" + gatewaytest.ChatDone, "boom"},
		{"a provider's own finish reason (pi#8511)", fieldChat, gatewaytest.ChatDelta("half"),
			fieldData(`{"choices":[{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":"stop","native_finish_reason":"network_error"}]}`, "[DONE]"), ""},
		{"a provider's own finish reason, before the other (hax#15)", fieldChat, gatewaytest.ChatDelta("half"),
			fieldData(`{"choices":[{"index":0,"native_finish_reason":"error","finish_reason":"stop","delta":{"content":""}}]}`, "[DONE]"), ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
				s.Set("a1", gatewaytest.Stream(tt.events))
				got := s.Post(tt.path, testbed.StreamRequest)
				require.NoError(t, got.Err)
				assert.Equal(t, []string{"a1", "b1"}, s.Routes())
				assert.Contains(t, s.Result().ModelsTried[0].RequestsMade[0].Error, tt.says)
			})
			synctest.Test(t, func(t *testing.T) {
				s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
				s.Set("a1", gatewaytest.Stream(tt.front+tt.events))
				got := s.Post(tt.path, testbed.StreamRequest)
				require.Error(t, got.Err, got.Body)
				assert.NotContains(t, got.Body, "[DONE]")
				require.NotNil(t, s.Result().Error)
				assert.Equal(t, aigateway.CodeStreamBroken, s.Result().Error.Code)
			})
		})
	}
	t.Run("whole answers", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
			s.Set("a1", gatewaytest.JSON(200, `{"choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"stop","native_finish_reason":"network_error"}]}`))
			assert.Contains(t, testbed.Ask(s.Harness).Body, "from b1")
			assert.Contains(t, s.Result().ModelsTried[0].RequestsMade[0].Error, "network_error")
		})
	})
}

// TestFieldKeepaliveOfIDs: openai-python takes each blank line behind an id: or retry:
// field for an event without data, and fails at it (llmgateway#2334, openai-python#2722 and
// #3833). Behind such a field the gateway's comments have no blank line.
func TestFieldKeepaliveOfIDs(t *testing.T) {
	const pause = 2500 * time.Millisecond
	rest := gatewaytest.ChatDelta("answer") + gatewaytest.ChatStop + gatewaytest.ChatDone
	for name, tt := range map[string]struct{ first, comment string }{
		"neither":            {gatewaytest.ChatDelta("the "), keepAlive},
		"id":                 {"id: 1\n" + gatewaytest.ChatDelta("the "), ": keep-alive\n"},
		"id behind the data": {strings.TrimSuffix(gatewaytest.ChatDelta("the "), "\n") + "id: 1\n\n", ": keep-alive\n"},
		"id with CRLF":       {strings.ReplaceAll("id: 1\n"+gatewaytest.ChatDelta("the "), "\n", "\r\n"), ": keep-alive\n"},
		"retry":              {"retry: 3000\n\n" + gatewaytest.ChatDelta("the "), ": keep-alive\n"},
		"an id in the text":  {gatewaytest.ChatDelta("my id: 1, retry: 2 "), keepAlive},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := testbed.NewScripts(t, keepaliveConfig("a"))
				s.Set("a1", gatewaytest.Steps(tt.first, pause, rest))
				got := testbed.AskStream(s.Harness)
				require.NoError(t, got.Err)
				assert.Equal(t, tt.first+tt.comment+tt.comment+rest, got.Body)
			})
		})
	}
}
