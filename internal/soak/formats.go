package main

import (
	"fmt"
	"strings"
)

// format is how an endpoint writes answers. Their texts are plain: words and filler.
type format struct {
	whole   func(text string) string
	opening string
	piece   func(text string) string
	// finish says that the model has ended. end ends the stream.
	finish, end string
	failure     func(message string) string
	failed      func(message string) string // as an event
}

// formats are the endpoints that clients ask.
var formats = map[string]format{
	"/v1/chat/completions":     chat,
	"/v1/messages":             messages,
	"/v1/audio/transcriptions": transcription,
}

var chat = format{
	whole: func(text string) string {
		return fmt.Sprintf(`{"id":"1","object":"chat.completion","choices":[{"index":0,"message":{"role":"assistant","content":"%s"},"finish_reason":"stop"}],`+
			`"usage":{"prompt_tokens":9,"completion_tokens":3,"total_tokens":12}}`, text)
	},
	opening: "data: {\"choices\":[{\"index\":0,\"delta\":{\"role\":\"assistant\"}}]}\n\n",
	piece: func(text string) string {
		return fmt.Sprintf("data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"%s\"}}]}\n\n", text)
	},
	finish: "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n",
	end:    "data: [DONE]\n\n",
	failure: func(message string) string {
		return fmt.Sprintf(`{"error":{"message":%q,"type":"x","code":"x"}}`, message)
	},
	failed: func(message string) string {
		return fmt.Sprintf("data: {\"error\":{\"message\":%q}}\n\n", message)
	},
}

var messages = format{
	whole: func(text string) string {
		return fmt.Sprintf(`{"id":"1","type":"message","role":"assistant","model":"m","content":[{"type":"text","text":"%s"}],"stop_reason":"end_turn",`+
			`"usage":{"input_tokens":9,"output_tokens":3}}`, text)
	},
	opening: named("message_start", `"message":{"id":"1","type":"message","role":"assistant","model":"m","content":[],"usage":{"input_tokens":9,"output_tokens":1}}`) +
		named("content_block_start", `"index":0,"content_block":{"type":"text","text":""}`),
	piece: func(text string) string {
		return named("content_block_delta", fmt.Sprintf(`"index":0,"delta":{"type":"text_delta","text":"%s"}`, text))
	},
	finish: named("content_block_stop", `"index":0`) + named("message_delta", `"delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":3}`),
	end:    named("message_stop", `"x":0`),
	failure: func(message string) string {
		return fmt.Sprintf(`{"type":"error","error":{"type":"x","message":%q}}`, message)
	},
	failed: func(message string) string {
		return named("error", fmt.Sprintf(`"error":{"type":"overloaded_error","message":%q}`, message))
	},
}

// named is an event of the messages endpoint.
func named(name, fields string) string {
	return fmt.Sprintf("event: %s\ndata: {\"type\":%q,%s}\n\n", name, name, fields)
}

// transcription is never streamed here.
var transcription = func() format {
	f := chat
	f.whole = func(text string) string { return fmt.Sprintf(`{"text":"%s"}`, text) }
	return f
}()

// stream is a whole stream.
func (f format) stream(words []string) string {
	var b strings.Builder
	b.WriteString(f.opening)
	for _, w := range words {
		b.WriteString(f.piece(w))
	}
	return b.String() + f.finish + f.end
}
