package sdksuite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aigateway-go/aigateway/internal/sdksuite/standin"
	"github.com/openai/openai-go/v3"
	"github.com/openai/openai-go/v3/option"
	"github.com/openai/openai-go/v3/packages/ssestream"
	"github.com/openai/openai-go/v3/responses"
	"github.com/openai/openai-go/v3/shared"
)

func TestOpenAIGo(t *testing.T) {
	t.Parallel()
	compare(t, "openai-go-v3", driveOpenAI)
}

func TestOpenAIGoInProcess(t *testing.T) {
	t.Parallel()
	compareInProcess(t, driveOpenAI)
}

func driveOpenAI(t *testing.T, l leg) []outcome {
	p := openaiProgram{t.Context(), l.up, openai.NewClient(option.WithBaseURL(l.url+"/v1"), option.WithAPIKey(l.key), option.WithHTTPClient(l.http()))}
	return play(l.up, p.steps())
}

// openaiProgram is what somebody's program does with openai-go.
type openaiProgram struct {
	ctx    context.Context
	up     *standin.Server
	client openai.Client
}

func (p openaiProgram) steps() []step {
	steps := []step{
		{"chat", func() string { return p.chat(p.ctx, "gpt-standin", "Say hello.") }},
		{"chat-4MB", func() string { return p.chat(p.ctx, "gpt-standin", largePrompt()) }},
		{"chat-unknown-fields", p.unknownFields},
		{"chat-stream", func() string { return p.stream(p.ctx, "gpt-standin") }},
		{"chat-stream-one-by-one", func() string { return p.stream(p.ctx, "gpt-standin-step") }},
		{"chat-stream-unknown-fields", func() string { return p.stream(p.ctx, "gpt-standin-vendor") }},
		{"chat-stream-error-first", func() string { return p.stream(p.ctx, "gpt-standin-errorfirst") }},
		{"chat-stream-error-midway", func() string { return p.stream(p.ctx, "gpt-standin-errormid") }},
		{"chat-stream-cut", func() string { return p.stream(p.ctx, "gpt-standin-cut") }},
		{"chat-stream-end", func() string { return p.stream(p.ctx, "gpt-standin-end") }},
		{"chat-stream-abort", p.abortStream},
		{"chat-abort", p.abort},
		{"chat-deadline", p.deadline},
		{"tools", p.tools},
		{"tools-stream", p.toolsStream},
		{"responses", func() string { return p.response("gpt-standin", nil) }},
		{"responses-unknown-fields", func() string { return p.response("gpt-standin-vendor", nil) }},
		{"responses-tools", func() string { return p.response("gpt-standin", weatherResponseTool()) }},
		{"responses-stream", func() string { return p.responseStream("gpt-standin", nil) }},
		{"responses-stream-one-by-one", func() string { return p.responseStream("gpt-standin-step", nil) }},
		{"responses-stream-tools", func() string { return p.responseStream("gpt-standin", weatherResponseTool()) }},
		{"responses-stream-error-first", func() string { return p.responseStream("gpt-standin-errorfirst", nil) }},
		{"responses-stream-error-midway", func() string { return p.responseStream("gpt-standin-errormid", nil) }},
		{"responses-stream-cut", func() string { return p.responseStream("gpt-standin-cut", nil) }},
		{"responses-stream-end", func() string { return p.responseStream("gpt-standin-end", nil) }},
		{"embeddings", p.embeddings},
		{"transcription", p.transcription},
		{"speech", p.speech},
		{"models", p.models},
		{"model", p.model},
		{"unknown-model", func() string { return p.chat(p.ctx, "gpt-unheard-of", "Say hello.") }},
		{"reset", func() string { return p.chat(p.ctx, "gpt-standin-reset", "Say hello.") }},
		{"silent", p.silent},
	}
	for _, status := range standin.Statuses() {
		name := fmt.Sprintf("gpt-standin-%d", status)
		steps = append(steps,
			step{fmt.Sprintf("status-%d", status), func() string { return p.chat(p.ctx, name, "Say hello.") }},
			step{fmt.Sprintf("stream-status-%d", status), func() string { return p.stream(p.ctx, name) }})
	}
	return steps
}

// largePrompt is 4 MB, with text in it that a second encoding would change.
func largePrompt() string { return strings.Repeat("<é&\u2028>0.70 ", 4<<20/13+1) }

func chatParams(model, prompt string) openai.ChatCompletionNewParams {
	return openai.ChatCompletionNewParams{
		Model:    model,
		Messages: []openai.ChatCompletionMessageParamUnion{openai.UserMessage(prompt)},
	}
}

func (p openaiProgram) chat(ctx context.Context, model, prompt string) string {
	c, err := p.client.Chat.Completions.New(ctx, chatParams(model, prompt))
	if err != nil {
		return describeOpenAI(err)
	}
	return fmt.Sprintf("%s %q %s, %d+%d tokens, raw %s", c.ID, c.Choices[0].Message.Content, c.Choices[0].FinishReason,
		c.Usage.PromptTokens, c.Usage.CompletionTokens, digest(c.RawJSON()))
}

// unknownFields sends and receives what neither the SDK nor the gateway knows.
func (p openaiProgram) unknownFields() string {
	params := chatParams("gpt-standin-vendor", "Say hello.")
	params.SetExtraFields(map[string]any{"vendor": json.RawMessage(`{"enable_thinking":false,"number":0.70}`)})
	c, err := p.client.Chat.Completions.New(p.ctx, params)
	if err != nil {
		return describeOpenAI(err)
	}
	return c.JSON.ExtraFields["vendor_score"].Raw() + " " + c.JSON.ExtraFields["vendor_big"].Raw() + ", raw " + digest(c.RawJSON())
}

func (p openaiProgram) stream(ctx context.Context, model string) string {
	params := chatParams(model, "Say hello.")
	params.StreamOptions.IncludeUsage = openai.Bool(true)
	s := p.client.Chat.Completions.NewStreaming(ctx, params)
	defer s.Close()
	var text []string
	var raw strings.Builder
	var finish string
	var tokens int64
	for s.Next() {
		c := s.Current()
		raw.WriteString(c.RawJSON())
		tokens += c.Usage.TotalTokens
		for _, choice := range c.Choices {
			finish += choice.FinishReason
			if choice.Delta.Content != "" {
				text = append(text, choice.Delta.Content)
				p.up.Saw()
			}
		}
	}
	return fmt.Sprintf("%q finish %q, %d tokens, %s, raw %s", text, finish, tokens, describeOpenAI(s.Err()), digest(raw.String()))
}

func (p openaiProgram) abortStream() string {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	s := p.client.Chat.Completions.NewStreaming(ctx, chatParams("gpt-standin-endless", "Say hello."))
	defer s.Close()
	for n := 0; n < 2 && s.Next(); {
		if c := s.Current(); len(c.Choices) > 0 && c.Choices[0].Delta.Content != "" {
			n++
			if n < 2 {
				p.up.Saw()
			}
		}
	}
	cancel()
	return fmt.Sprintf("the upstream saw it: %t", p.up.Left())
}

func (p openaiProgram) abort() string {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	go func() {
		p.up.Arrived()
		cancel()
	}()
	text := p.chat(ctx, "gpt-standin-hang", "Say hello.")
	return fmt.Sprintf("%s, the upstream saw it: %t", text, p.up.Left())
}

func (p openaiProgram) deadline() string {
	ctx, cancel := context.WithTimeout(p.ctx, 200*time.Millisecond)
	defer cancel()
	text := p.chat(ctx, "gpt-standin-hang", "Say hello.")
	return fmt.Sprintf("%s, the upstream saw it: %t", text, p.up.Left())
}

// silent waits for an answer that never comes, longer than the gateway does.
func (p openaiProgram) silent() string {
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Second)
	defer cancel()
	return p.chat(ctx, "gpt-standin-silent", "Say hello.")
}

func weatherSchema() map[string]any {
	return map[string]any{"type": "object", "properties": map[string]any{"city": map[string]any{"type": "string"}}, "required": []string{"city"}}
}

func weatherTool() []openai.ChatCompletionToolUnionParam {
	return []openai.ChatCompletionToolUnionParam{openai.ChatCompletionFunctionTool(shared.FunctionDefinitionParam{
		Name: "weather", Description: openai.String("The weather in a city."), Parameters: weatherSchema(),
	})}
}

// tools plays both turns: the call, and the answer to its result.
func (p openaiProgram) tools() string {
	params := chatParams("gpt-standin", "How is the weather in Paris?")
	params.Tools = weatherTool()
	c, err := p.client.Chat.Completions.New(p.ctx, params)
	if err != nil {
		return describeOpenAI(err)
	}
	call := c.Choices[0].Message.ToolCalls[0]
	params.Messages = append(params.Messages, c.Choices[0].Message.ToParam(), openai.ToolMessage("sunny", call.ID))
	second, err := p.client.Chat.Completions.New(p.ctx, params)
	if err != nil {
		return describeOpenAI(err)
	}
	return fmt.Sprintf("%s(%s) %s, then %q", call.Function.Name, call.Function.Arguments, c.Choices[0].FinishReason, second.Choices[0].Message.Content)
}

func (p openaiProgram) toolsStream() string {
	params := chatParams("gpt-standin", "How is the weather in Paris?")
	params.Tools = weatherTool()
	s := p.client.Chat.Completions.NewStreaming(p.ctx, params)
	defer s.Close()
	var acc openai.ChatCompletionAccumulator
	for s.Next() {
		acc.AddChunk(s.Current())
	}
	if s.Err() != nil {
		return describeOpenAI(s.Err())
	}
	call := acc.Choices[0].Message.ToolCalls[0]
	return fmt.Sprintf("%s(%s) %s", call.Function.Name, call.Function.Arguments, acc.Choices[0].FinishReason)
}

func weatherResponseTool() []responses.ToolUnionParam {
	return []responses.ToolUnionParam{responses.ToolParamOfFunction("weather", weatherSchema(), true)}
}

func responseParams(model string, tools []responses.ToolUnionParam) responses.ResponseNewParams {
	return responses.ResponseNewParams{Model: model, Tools: tools,
		Input: responses.ResponseNewParamsInputUnion{OfString: openai.String("Say hello.")}}
}

func (p openaiProgram) response(model string, tools []responses.ToolUnionParam) string {
	r, err := p.client.Responses.New(p.ctx, responseParams(model, tools))
	if err != nil {
		return describeOpenAI(err)
	}
	return fmt.Sprintf("%s %s %q %s, %d+%d tokens, raw %s", r.ID, r.Output[0].Type, r.OutputText(), r.Status,
		r.Usage.InputTokens, r.Usage.OutputTokens, digest(r.RawJSON()))
}

func (p openaiProgram) responseStream(model string, tools []responses.ToolUnionParam) string {
	s := p.client.Responses.NewStreaming(p.ctx, responseParams(model, tools))
	defer s.Close()
	var text []string
	var raw strings.Builder
	last := ""
	for s.Next() {
		e := s.Current()
		raw.WriteString(e.RawJSON())
		last = e.Type
		if e.Type == "response.output_text.delta" || e.Type == "response.function_call_arguments.delta" {
			text = append(text, e.Delta)
			p.up.Saw()
		}
	}
	return fmt.Sprintf("%q last %s, %s, raw %s", text, last, describeOpenAI(s.Err()), digest(raw.String()))
}

func (p openaiProgram) embeddings() string {
	e, err := p.client.Embeddings.New(p.ctx, openai.EmbeddingNewParams{
		Model: "embed-standin", Input: openai.EmbeddingNewParamsInputUnion{OfString: openai.String("hello")}})
	if err != nil {
		return describeOpenAI(err)
	}
	return fmt.Sprint(e.Data[0].Embedding, " ", e.Usage.TotalTokens)
}

func (p openaiProgram) transcription() string {
	r, err := p.client.Audio.Transcriptions.New(p.ctx, openai.AudioTranscriptionNewParams{
		Model: "transcribe-standin", File: openai.File(bytes.NewReader(standin.SpeechBytes()), "speech.mp3", "audio/mpeg")})
	if err != nil {
		return describeOpenAI(err)
	}
	return r.Text
}

func (p openaiProgram) speech() string {
	r, err := p.client.Audio.Speech.New(p.ctx, openai.AudioSpeechNewParams{
		Model: "speech-standin", Input: "hello", Voice: openai.AudioSpeechNewParamsVoiceUnion{OfString: openai.String("alloy")}})
	if err != nil {
		return describeOpenAI(err)
	}
	defer r.Body.Close()
	audio, err := io.ReadAll(r.Body)
	return fmt.Sprintf("%s, all bytes: %t, %v", r.Header.Get("Content-Type"), bytes.Equal(audio, standin.SpeechBytes()), err)
}

func (p openaiProgram) models() string {
	list := p.client.Models.ListAutoPaging(p.ctx)
	var ids []string
	var created int64
	for list.Next() {
		ids, created = append(ids, list.Current().ID+" by "+list.Current().OwnedBy), list.Current().Created
	}
	slices.Sort(ids)
	return fmt.Sprintf("%d models %s, created %d, %s", len(ids), digest(strings.Join(ids, ",")), created, describeOpenAI(list.Err()))
}

func (p openaiProgram) model() string {
	m, err := p.client.Models.Get(p.ctx, "gpt-standin")
	if err != nil {
		return describeOpenAI(err)
	}
	return fmt.Sprintf("%s by %s, created %d", m.ID, m.OwnedBy, m.Created)
}

// describeOpenAI is all that a program can tell an error by.
func describeOpenAI(err error) string {
	var api *openai.Error
	var stream *ssestream.StreamError
	switch {
	case errors.As(err, &api):
		return fmt.Sprintf("openai.Error %d type=%s code=%s %q %s", api.StatusCode, api.Type, api.Code, said(api.Message), describeHeader(api.Response.Header))
	case errors.As(err, &stream):
		var body struct {
			Error struct{ Type, Code, Message string }
		}
		if err := json.Unmarshal(stream.Event.Data, &body); err != nil {
			return fmt.Sprintf("ssestream.StreamError with %q", stream.Event.Data)
		}
		return fmt.Sprintf("ssestream.StreamError type=%s code=%s %q", body.Error.Type, body.Error.Code, said(body.Error.Message))
	}
	return describePlain(err)
}

// describePlain tells apart the errors that every HTTP client has.
func describePlain(err error) string {
	switch {
	case err == nil:
		return "no error"
	case errors.Is(err, context.Canceled):
		return "context canceled"
	case errors.Is(err, context.DeadlineExceeded):
		return "context deadline exceeded"
	case errors.Is(err, io.ErrUnexpectedEOF):
		return "unexpected EOF"
	case errors.Is(err, io.EOF):
		return "EOF"
	}
	return fmt.Sprintf("%T", err)
}

// describeHeader is what an SDK reads from the header of an error.
func describeHeader(h http.Header) string {
	var out []string
	for _, name := range []string{"X-Request-Id", "Request-Id", "Retry-After", "Retry-After-Ms", "X-Should-Retry",
		"X-Ratelimit-Remaining-Requests", "Anthropic-Ratelimit-Requests-Remaining"} {
		if v := h.Get(name); v != "" {
			out = append(out, strings.ToLower(name)+"="+v)
		}
	}
	return strings.Join(out, " ")
}

// said is a message of the upstream. What the gateway says in its own words is
// for its own tests.
func said(message string) string {
	if strings.HasPrefix(message, "the stand-in ") {
		return message
	}
	return "…"
}

func digest(s string) string { return fmt.Sprintf("%.4x", sha256.Sum256([]byte(s))) }
