package gatewaytest

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Format is an API as both ends of the wall speak it: what a provider sends,
// and what a client reads out of it.
type Format interface {
	// Name is "openai" or "anthropic".
	Name() string
	// Path is where requests go.
	Path() string
	// Answer is a whole answer.
	Answer(model, text string) string
	// Opening is the events of a stream that carry no content yet, Piece is one
	// that carries some, Finish says why the model stopped and counts tokens,
	// and End is the last.
	Opening(model string) string
	Piece(model, text string) string
	Finish(model string) string
	End() string
	// Error is an error body, and ErrorEvent the same in a stream.
	Error(status int, code, message string) string
	ErrorEvent(code, message string) string

	// answer, event and failure read the above, and the gateway's own errors.
	answer(data []byte, r *Reply) error
	event(name string, data []byte, r *Reply) error
	failure(data []byte, r *Reply) error
}

// Formats are the formats, in the order of the tables.
func Formats() []Format { return []Format{openaiFormat{}, anthropicFormat{}} }

// FormatOf is the format of requests to a path; nil if it is none of the wall's.
func FormatOf(path string) Format {
	for _, f := range Formats() {
		if strings.HasSuffix(path, f.Path()) {
			return f
		}
	}
	return nil
}

// What every whole answer reports.
const (
	inputTokens  = 11
	outputTokens = 7
)

type openaiFormat struct{}

func (openaiFormat) Name() string { return "openai" }
func (openaiFormat) Path() string { return "/v1/chat/completions" }

func (openaiFormat) Answer(model, text string) string {
	return fmt.Sprintf(`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":%q,"choices":[{"index":0,`+
		`"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":%s}`, model, text, openaiUsage())
}

func openaiUsage() string {
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`,
		inputTokens, outputTokens, inputTokens+outputTokens)
}

func openaiChunk(model, choices, rest string) string {
	return fmt.Sprintf(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":%q,"choices":[%s]%s}`+"\n\n",
		model, choices, rest)
}

func (openaiFormat) Opening(model string) string {
	return openaiChunk(model, `{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}`, "")
}

func (openaiFormat) Piece(model, text string) string {
	return openaiChunk(model, fmt.Sprintf(`{"index":0,"delta":{"content":%q},"finish_reason":null}`, text), "")
}

func (openaiFormat) Finish(model string) string {
	return openaiChunk(model, `{"index":0,"delta":{},"finish_reason":"stop"}`, "") +
		openaiChunk(model, "", `,"usage":`+openaiUsage())
}

func (openaiFormat) End() string { return "data: [DONE]\n\n" }

func (openaiFormat) Error(_ int, code, message string) string {
	return fmt.Sprintf(`{"error":{"message":%q,"type":"some_error","param":null,"code":%q}}`, message, code)
}

func (f openaiFormat) ErrorEvent(code, message string) string {
	return "data: " + f.Error(0, code, message) + "\n\n"
}

func (openaiFormat) answer(data []byte, r *Reply) error {
	var b struct {
		Model   string
		Choices []struct {
			Message      struct{ Content string }
			FinishReason string `json:"finish_reason"`
		}
		Usage *struct {
			Prompt     int `json:"prompt_tokens"`
			Completion int `json:"completion_tokens"`
		}
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	r.Model = b.Model
	for _, c := range b.Choices {
		r.Text += c.Message.Content
		r.Ended = r.Ended || c.FinishReason != ""
	}
	r.Usage = b.Usage != nil && b.Usage.Prompt == inputTokens && b.Usage.Completion == outputTokens
	return nil
}

func (f openaiFormat) event(_ string, data []byte, r *Reply) error {
	if string(data) == "[DONE]" {
		r.Ended = true
		return nil
	}
	var b struct {
		Model   string
		Error   json.RawMessage
		Choices []struct {
			Delta        struct{ Content string }
			FinishReason string `json:"finish_reason"`
		}
		Usage json.RawMessage
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	if b.Error != nil {
		r.InBand = true
		return f.failure(data, r)
	}
	r.Model = b.Model
	for _, c := range b.Choices {
		r.Text += c.Delta.Content
		r.Ended = r.Ended || c.FinishReason != ""
	}
	r.Usage = r.Usage || b.Usage != nil
	return nil
}

func (openaiFormat) failure(data []byte, r *Reply) error {
	var b struct {
		Error struct{ Message, Type, Code *string }
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	if b.Error.Message == nil || b.Error.Type == nil || b.Error.Code == nil {
		return fmt.Errorf("an SDK cannot read this error: %s", data)
	}
	r.Code, r.Message = *b.Error.Code, *b.Error.Message
	return nil
}

type anthropicFormat struct{}

func (anthropicFormat) Name() string { return "anthropic" }
func (anthropicFormat) Path() string { return "/v1/messages" }

func (anthropicFormat) Answer(model, text string) string {
	return fmt.Sprintf(`{"id":"msg_1","type":"message","role":"assistant","model":%q,"content":[{"type":"text","text":%q}],`+
		`"stop_reason":"end_turn","usage":{"input_tokens":%d,"output_tokens":%d}}`, model, text, inputTokens, outputTokens)
}

func anthropicEvent(name, format string, args ...any) string {
	return "event: " + name + "\ndata: " + fmt.Sprintf(format, args...) + "\n\n"
}

func (anthropicFormat) Opening(model string) string {
	return anthropicEvent("message_start", `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",`+
		`"model":%q,"content":[],"usage":{"input_tokens":%d,"output_tokens":1}}}`, model, inputTokens) +
		anthropicEvent("content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`) +
		anthropicEvent("ping", `{"type":"ping"}`)
}

func (anthropicFormat) Piece(_, text string) string {
	return anthropicEvent("content_block_delta",
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%q}}`, text)
}

func (anthropicFormat) Finish(string) string {
	return anthropicEvent("content_block_stop", `{"type":"content_block_stop","index":0}`) +
		anthropicEvent("message_delta", `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":%d}}`, outputTokens)
}

func (anthropicFormat) End() string { return anthropicEvent("message_stop", `{"type":"message_stop"}`) }

func (anthropicFormat) Error(_ int, code, message string) string {
	return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q}}`, code, message)
}

func (f anthropicFormat) ErrorEvent(code, message string) string {
	return anthropicEvent("error", "%s", f.Error(0, code, message))
}

func (anthropicFormat) answer(data []byte, r *Reply) error {
	var b struct {
		Model      string
		Content    []struct{ Text string }
		StopReason string `json:"stop_reason"`
		Usage      struct {
			Input  int `json:"input_tokens"`
			Output int `json:"output_tokens"`
		}
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	r.Model, r.Ended = b.Model, b.StopReason != ""
	for _, c := range b.Content {
		r.Text += c.Text
	}
	r.Usage = b.Usage.Input == inputTokens && b.Usage.Output == outputTokens
	return nil
}

// event sorts events by their name, as the Anthropic SDKs do.
func (f anthropicFormat) event(name string, data []byte, r *Reply) error {
	var b struct {
		Type    string
		Message struct{ Model string }
		Delta   struct{ Text string }
		Usage   json.RawMessage
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	switch name {
	case "message_start":
		r.Model = b.Message.Model
	case "content_block_delta":
		r.Text += b.Delta.Text
	case "message_delta":
		r.Usage = b.Usage != nil
	case "message_stop":
		r.Ended = true
	case "error":
		r.InBand = true
		return f.failure(data, r)
	}
	return nil
}

func (anthropicFormat) failure(data []byte, r *Reply) error {
	var b struct {
		Type  string
		Error struct {
			Type, Message *string
			Details       struct {
				ErrorCode string `json:"error_code"`
			}
		}
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	if b.Type != "error" || b.Error.Type == nil || b.Error.Message == nil {
		return fmt.Errorf("an SDK cannot read this error: %s", data)
	}
	r.Code, r.Message = *b.Error.Type, *b.Error.Message
	if b.Error.Details.ErrorCode != "" {
		r.Code = b.Error.Details.ErrorCode
	}
	return nil
}

// errorCode is how a provider of the format names an error: the Anthropic
// format has types and no codes.
func errorCode(f Format, status int, code string) string {
	if f.Name() == "openai" {
		return code
	}
	switch status {
	case http.StatusUnauthorized:
		return "authentication_error"
	case http.StatusForbidden:
		return "permission_error"
	case http.StatusNotFound:
		return "not_found_error"
	case http.StatusTooManyRequests:
		return "rate_limit_error"
	case 529:
		return "overloaded_error"
	}
	if status >= 500 {
		return "api_error"
	}
	return "invalid_request_error"
}
