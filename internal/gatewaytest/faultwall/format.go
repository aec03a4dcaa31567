package faultwall

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
)

// Format is an API, as both ends of the wall speak it: provider and client.
type Format interface {
	// Name is the name of format and surface: "openai chat".
	Name() string
	// Path is the path of its requests.
	Path() string
	// Answer is a complete answer.
	Answer(model, text string) string
	// Opening is the start of a stream, without content. Piece is an event with
	// content. Finish gives the finish reason and the tokens. End is the last
	// event.
	Opening(model string) string
	Piece(model, text string) string
	Finish(model string) string
	End() string
	// Error is an error body, and ErrorEvent the same error in a stream.
	Error(status int, code, message string) string
	ErrorEvent(code, message string) string

	// answer, event and failure read the above, and the gateway's own errors.
	answer(data []byte, r *Reply) error
	event(name string, data []byte, r *Reply) error
	failure(data []byte, r *Reply) error
}

// Formats are the formats, in the order of the tables.
func Formats() []Format { return []Format{chatFormat{}, responsesFormat{}, anthropicFormat{}} }

// FormatOf returns the format of a path, and nil for any other path.
func FormatOf(path string) Format {
	for _, f := range Formats() {
		if strings.HasSuffix(path, f.Path()) {
			return f
		}
	}
	return nil
}

// Every complete answer reports these.
const (
	inputTokens  = 11
	outputTokens = 7
)

type chatFormat struct{}

func (chatFormat) Name() string { return "openai chat" }
func (chatFormat) Path() string { return "/v1/chat/completions" }

func (chatFormat) Answer(model, text string) string {
	return fmt.Sprintf(`{"id":"chatcmpl-1","object":"chat.completion","created":1,"model":%q,"choices":[{"index":0,`+
		`"message":{"role":"assistant","content":%q},"finish_reason":"stop"}],"usage":%s}`, model, text, chatUsage())
}

func chatUsage() string {
	return fmt.Sprintf(`{"prompt_tokens":%d,"completion_tokens":%d,"total_tokens":%d}`,
		inputTokens, outputTokens, inputTokens+outputTokens)
}

func chatChunk(model, choices, rest string) string {
	return fmt.Sprintf(`data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":1,"model":%q,"choices":[%s]%s}`+"\n\n",
		model, choices, rest)
}

func (chatFormat) Opening(model string) string {
	return chatChunk(model, `{"index":0,"delta":{"role":"assistant","content":""},"finish_reason":null}`, "")
}

func (chatFormat) Piece(model, text string) string {
	return chatChunk(model, fmt.Sprintf(`{"index":0,"delta":{"content":%q},"finish_reason":null}`, text), "")
}

func (chatFormat) Finish(model string) string {
	return chatChunk(model, `{"index":0,"delta":{},"finish_reason":"stop"}`, "") +
		chatChunk(model, "", `,"usage":`+chatUsage())
}

func (chatFormat) End() string { return "data: [DONE]\n\n" }

func (chatFormat) Error(_ int, code, message string) string {
	return fmt.Sprintf(`{"error":{"message":%q,"type":"some_error","param":null,"code":%q}}`, message, code)
}

func (f chatFormat) ErrorEvent(code, message string) string {
	return "data: " + f.Error(0, code, message) + "\n\n"
}

func (chatFormat) answer(data []byte, r *Reply) error {
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

func (f chatFormat) event(_ string, data []byte, r *Reply) error {
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

func (chatFormat) failure(data []byte, r *Reply) error {
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

// responsesFormat has the errors of chatFormat, and events of its own.
type responsesFormat struct{ chatFormat }

func (responsesFormat) Name() string { return "openai responses" }
func (responsesFormat) Path() string { return "/v1/responses" }

func (responsesFormat) Answer(model, text string) string {
	return fmt.Sprintf(`{"id":"resp_1","object":"response","status":"completed","model":%q,"error":null,"output":[{"type":"message",`+
		`"role":"assistant","content":[{"type":"output_text","text":%q}]}],"usage":{"input_tokens":%d,"output_tokens":%d}}`,
		model, text, inputTokens, outputTokens)
}

func (responsesFormat) Opening(model string) string {
	return namedEvent("response.created", `{"type":"response.created","response":{"id":"resp_1","model":%q,"status":"in_progress"}}`, model) +
		namedEvent("response.output_item.added", `{"type":"response.output_item.added","item":{"type":"message","content":[]}}`)
}

func (responsesFormat) Piece(_, text string) string {
	return namedEvent("response.output_text.delta", `{"type":"response.output_text.delta","delta":%q}`, text)
}

func (responsesFormat) Finish(string) string { return "" }

// End leaves out the text: the client has it already.
func (f responsesFormat) End() string {
	return namedEvent("response.completed", `{"type":"response.completed","response":%s}`, f.Answer("", ""))
}

func (f responsesFormat) ErrorEvent(code, message string) string {
	return namedEvent("error", `{"type":"error","error":{"message":%q,"type":"some_error","param":null,"code":%q}}`, message, code)
}

func (responsesFormat) answer(data []byte, r *Reply) error {
	var b struct {
		Model  string
		Status string
		Output []struct{ Content []struct{ Text string } }
		Usage  struct {
			Input  int `json:"input_tokens"`
			Output int `json:"output_tokens"`
		}
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	r.Model, r.Ended = b.Model, b.Status == "completed"
	for _, item := range b.Output {
		for _, part := range item.Content {
			r.Text += part.Text
		}
	}
	r.Usage = b.Usage.Input == inputTokens && b.Usage.Output == outputTokens
	return nil
}

// event distinguishes events by the type in their data, as the OpenAI SDKs do.
func (f responsesFormat) event(_ string, data []byte, r *Reply) error {
	var b struct {
		Type     string
		Delta    string
		Response struct{ Model string }
	}
	if err := json.Unmarshal(data, &b); err != nil {
		return err
	}
	switch b.Type {
	case "response.created":
		r.Model = b.Response.Model
	case "response.output_text.delta":
		r.Text += b.Delta
	case "response.completed":
		r.Ended, r.Usage = true, true
	case "error":
		r.InBand = true
		return f.failure(data, r)
	}
	return nil
}

type anthropicFormat struct{}

func (anthropicFormat) Name() string { return "anthropic messages" }
func (anthropicFormat) Path() string { return "/v1/messages" }

func (anthropicFormat) Answer(model, text string) string {
	return fmt.Sprintf(`{"id":"msg_1","type":"message","role":"assistant","model":%q,"content":[{"type":"text","text":%q}],`+
		`"stop_reason":"end_turn","usage":{"input_tokens":%d,"output_tokens":%d}}`, model, text, inputTokens, outputTokens)
}

func namedEvent(name, format string, args ...any) string {
	return "event: " + name + "\ndata: " + fmt.Sprintf(format, args...) + "\n\n"
}

func (anthropicFormat) Opening(model string) string {
	return namedEvent("message_start", `{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant",`+
		`"model":%q,"content":[],"usage":{"input_tokens":%d,"output_tokens":1}}}`, model, inputTokens) +
		namedEvent("content_block_start", `{"type":"content_block_start","index":0,"content_block":{"type":"text","text":""}}`) +
		namedEvent("ping", `{"type":"ping"}`)
}

func (anthropicFormat) Piece(_, text string) string {
	return namedEvent("content_block_delta",
		`{"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":%q}}`, text)
}

func (anthropicFormat) Finish(string) string {
	return namedEvent("content_block_stop", `{"type":"content_block_stop","index":0}`) +
		namedEvent("message_delta", `{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":%d}}`, outputTokens)
}

func (anthropicFormat) End() string { return namedEvent("message_stop", `{"type":"message_stop"}`) }

func (anthropicFormat) Error(_ int, code, message string) string {
	return fmt.Sprintf(`{"type":"error","error":{"type":%q,"message":%q}}`, code, message)
}

func (f anthropicFormat) ErrorEvent(code, message string) string {
	return namedEvent("error", "%s", f.Error(0, code, message))
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

// event distinguishes events by their name, as the Anthropic SDKs do.
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

func isOpenAI(f Format) bool { return strings.HasPrefix(f.Name(), "openai") }

// errorCode is a provider's name for an error. The Anthropic format has types
// instead of codes.
func errorCode(f Format, status int, code string) string {
	if isOpenAI(f) {
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
