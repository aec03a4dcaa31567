// Code generated from anthropic_go_v1_test.go by go generate. DO NOT EDIT.

package sdksuite

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/aigateway-go/aigateway/internal/sdksuite/standin"
	"github.com/anthropics/anthropic-sdk-go/v2"
	"github.com/anthropics/anthropic-sdk-go/v2/option"
)

func TestAnthropicGoV2(t *testing.T) {
	t.Parallel()
	compare(t, "anthropic-sdk-go-v2", driveAnthropicGoV2)
}

func TestAnthropicGoV2InProcess(t *testing.T) {
	t.Parallel()
	compareInProcess(t, driveAnthropicGoV2)
}

func driveAnthropicGoV2(t *testing.T, l leg) []outcome {
	p := anthropicV2{t.Context(), l.up, anthropic.NewClient(option.WithBaseURL(l.url), option.WithAPIKey(l.key), option.WithHTTPClient(l.http()))}
	return play(l.up, p.steps())
}

// anthropicV2 is what somebody's program does with the SDK.
type anthropicV2 struct {
	ctx    context.Context
	up     *standin.Server
	client anthropic.Client
}

func (p anthropicV2) steps() []step {
	steps := []step{
		{"messages", func() string { return p.message(p.ctx, "claude-standin", "Say hello.") }},
		{"messages-4MB", func() string { return p.message(p.ctx, "claude-standin", largePrompt()) }},
		{"messages-unknown-fields", p.unknownFields},
		{"messages-beta", p.beta},
		{"messages-stream", func() string { return p.stream("claude-standin") }},
		{"messages-stream-one-by-one", func() string { return p.stream("claude-standin-step") }},
		{"messages-stream-unknown-fields", func() string { return p.stream("claude-standin-vendor") }},
		{"messages-stream-error-first", func() string { return p.stream("claude-standin-errorfirst") }},
		{"messages-stream-error-midway", func() string { return p.stream("claude-standin-errormid") }},
		{"messages-stream-cut", func() string { return p.stream("claude-standin-cut") }},
		{"messages-stream-end", func() string { return p.stream("claude-standin-end") }},
		{"messages-stream-abort", p.abortStream},
		{"messages-abort", p.abort},
		{"messages-deadline", p.deadline},
		{"tools", p.tools},
		{"tools-stream", p.toolsStream},
		{"count-tokens", p.countTokens},
		{"models", p.models},
		{"model", p.model},
		{"unknown-model", func() string { return p.message(p.ctx, "claude-unheard-of", "Say hello.") }},
		{"reset", func() string { return p.message(p.ctx, "claude-standin-reset", "Say hello.") }},
		{"silent", p.silent},
	}
	for _, status := range standin.Statuses() {
		name := fmt.Sprintf("claude-standin-%d", status)
		steps = append(steps,
			step{fmt.Sprintf("status-%d", status), func() string { return p.message(p.ctx, name, "Say hello.") }},
			step{fmt.Sprintf("stream-status-%d", status), func() string { return p.stream(name) }})
	}
	return steps
}

func (anthropicV2) params(model, prompt string) anthropic.MessageNewParams {
	return anthropic.MessageNewParams{
		Model:     anthropic.Model(model),
		MaxTokens: 64,
		Messages:  []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock(prompt))},
	}
}

func (p anthropicV2) message(ctx context.Context, model, prompt string) string {
	m, err := p.client.Messages.New(ctx, p.params(model, prompt))
	if err != nil {
		return p.describe(err)
	}
	return fmt.Sprintf("%s %q %s, %d+%d tokens, raw %s", m.ID, m.Content[0].Text, m.StopReason,
		m.Usage.InputTokens, m.Usage.OutputTokens, digest(m.RawJSON()))
}

// unknownFields sends and receives what neither the SDK nor the gateway knows.
func (p anthropicV2) unknownFields() string {
	params := p.params("claude-standin-vendor", "Say hello.")
	params.SetExtraFields(map[string]any{"vendor": json.RawMessage(`{"enable_thinking":false,"number":0.70}`)})
	m, err := p.client.Messages.New(p.ctx, params)
	if err != nil {
		return p.describe(err)
	}
	return m.JSON.ExtraFields["vendor_score"].Raw() + " " + m.JSON.ExtraFields["vendor_big"].Raw() + ", raw " + digest(m.RawJSON())
}

// beta sends an anthropic-beta header, and a query.
func (p anthropicV2) beta() string {
	m, err := p.client.Beta.Messages.New(p.ctx, anthropic.BetaMessageNewParams{
		Model:     "claude-standin",
		MaxTokens: 64,
		Messages:  []anthropic.BetaMessageParam{anthropic.NewBetaUserMessage(anthropic.NewBetaTextBlock("Say hello."))},
		Betas:     []anthropic.AnthropicBeta{"standin-2026-11-01"},
	})
	if err != nil {
		return p.describe(err)
	}
	return m.Content[0].Text
}

func (p anthropicV2) stream(model string) string {
	s := p.client.Messages.NewStreaming(p.ctx, p.params(model, "Say hello."))
	defer s.Close()
	var text []string
	var raw strings.Builder
	var m anthropic.Message
	last := ""
	for s.Next() {
		e := s.Current()
		raw.WriteString(e.RawJSON())
		if err := m.Accumulate(e); err != nil {
			return "accumulate: " + err.Error()
		}
		last = e.Type
		if e.Type == "content_block_delta" {
			text = append(text, e.Delta.Text)
			p.up.Saw()
		}
	}
	return fmt.Sprintf("%q stop %q, last %s, %d tokens, %s, raw %s", text, m.StopReason, last, m.Usage.OutputTokens, p.describe(s.Err()), digest(raw.String()))
}

func (p anthropicV2) abortStream() string {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	s := p.client.Messages.NewStreaming(ctx, p.params("claude-standin-endless", "Say hello."))
	defer s.Close()
	for n := 0; n < 2 && s.Next(); {
		if s.Current().Type == "content_block_delta" {
			n++
			if n < 2 {
				p.up.Saw()
			}
		}
	}
	cancel()
	return fmt.Sprintf("the upstream saw it: %t", p.up.Left())
}

func (p anthropicV2) abort() string {
	ctx, cancel := context.WithCancel(p.ctx)
	defer cancel()
	go func() {
		p.up.Arrived()
		cancel()
	}()
	text := p.message(ctx, "claude-standin-hang", "Say hello.")
	return fmt.Sprintf("%s, the upstream saw it: %t", text, p.up.Left())
}

func (p anthropicV2) deadline() string {
	ctx, cancel := context.WithTimeout(p.ctx, 200*time.Millisecond)
	defer cancel()
	text := p.message(ctx, "claude-standin-hang", "Say hello.")
	return fmt.Sprintf("%s, the upstream saw it: %t", text, p.up.Left())
}

// silent waits for an answer that never comes, longer than the gateway does.
func (p anthropicV2) silent() string {
	ctx, cancel := context.WithTimeout(p.ctx, 2*time.Second)
	defer cancel()
	return p.message(ctx, "claude-standin-silent", "Say hello.")
}

func (p anthropicV2) toolParams() anthropic.MessageNewParams {
	params := p.params("claude-standin", "How is the weather in Paris?")
	params.Tools = []anthropic.ToolUnionParam{{OfTool: &anthropic.ToolParam{
		Name:        "weather",
		InputSchema: anthropic.ToolInputSchemaParam{Properties: weatherSchema()["properties"], Required: []string{"city"}},
	}}}
	return params
}

// tools plays both turns: the call, and the answer to its result.
func (p anthropicV2) tools() string {
	params := p.toolParams()
	m, err := p.client.Messages.New(p.ctx, params)
	if err != nil {
		return p.describe(err)
	}
	call := m.Content[0]
	params.Messages = append(params.Messages, m.ToParam(), anthropic.NewUserMessage(anthropic.NewToolResultBlock(call.ID, "sunny", false)))
	second, err := p.client.Messages.New(p.ctx, params)
	if err != nil {
		return p.describe(err)
	}
	return fmt.Sprintf("%s(%s) %s, then %q", call.Name, call.Input, m.StopReason, second.Content[0].Text)
}

func (p anthropicV2) toolsStream() string {
	s := p.client.Messages.NewStreaming(p.ctx, p.toolParams())
	defer s.Close()
	var m anthropic.Message
	for s.Next() {
		if err := m.Accumulate(s.Current()); err != nil {
			return "accumulate: " + err.Error()
		}
	}
	if s.Err() != nil {
		return p.describe(s.Err())
	}
	return fmt.Sprintf("%s(%s) %s", m.Content[0].Name, m.Content[0].Input, m.StopReason)
}

func (p anthropicV2) countTokens() string {
	c, err := p.client.Messages.CountTokens(p.ctx, anthropic.MessageCountTokensParams{
		Model:    "claude-standin",
		Messages: []anthropic.MessageParam{anthropic.NewUserMessage(anthropic.NewTextBlock("Say hello."))},
	})
	if err != nil {
		return p.describe(err)
	}
	return fmt.Sprint(c.InputTokens)
}

func (p anthropicV2) models() string {
	list := p.client.Models.ListAutoPaging(p.ctx, anthropic.ModelListParams{})
	var ids []string
	created := ""
	for list.Next() {
		ids, created = append(ids, list.Current().ID+" "+list.Current().DisplayName), list.Current().CreatedAt.Format(time.DateOnly)
	}
	slices.Sort(ids)
	return fmt.Sprintf("%d models %s, created %s, %s", len(ids), digest(strings.Join(ids, ",")), created, p.describe(list.Err()))
}

func (p anthropicV2) model() string {
	m, err := p.client.Models.Get(p.ctx, "claude-standin", anthropic.ModelGetParams{})
	if err != nil {
		return p.describe(err)
	}
	return fmt.Sprintf("%s %s, created %s", m.ID, m.DisplayName, m.CreatedAt.Format(time.DateOnly))
}

// describe is all that a program can tell an error by.
func (anthropicV2) describe(err error) string {
	var api *anthropic.Error
	if !errors.As(err, &api) {
		return describePlain(err)
	}
	var body struct {
		Error struct{ Message string }
	}
	if err := json.Unmarshal([]byte(api.RawJSON()), &body); err != nil {
		return fmt.Sprintf("anthropic.Error %d with %q", api.StatusCode, api.RawJSON())
	}
	return fmt.Sprintf("anthropic.Error %d type=%s request=%s %q %s", api.StatusCode, api.Type(), api.RequestID,
		said(body.Error.Message), describeHeader(api.Response.Header))
}
