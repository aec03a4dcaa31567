package apierror

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// message makes a message that a row's fragment matches.
func message(fragment []string) string {
	if len(fragment) == 0 {
		return "something went wrong"
	}
	return strings.TrimSuffix(strings.Join(fragment, " some words "), "$")
}

// obj is a JSON object of alternating names and values; empty values are left out.
func obj(pairs ...any) map[string]any {
	o := map[string]any{}
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			o[pairs[i].(string)] = pairs[i+1]
		}
	}
	return o
}

// bodies are the shapes in which a row's words come: value at its place, and the text.
func bodies(place, value, text string) (out []any) {
	switch place {
	case "code":
		out = append(out, obj("error", obj("code", value, "message", text)), obj("error", obj("message", text, "innererror", obj("code", value))),
			obj("code", value, "message", text), obj("code", value, "error", text), obj("type", "error", "code", value, "message", text),
			obj("type", "response.failed", "response", obj("status", "failed", "error", obj("code", value, "message", text))))
	case "type":
		out = append(out, obj("type", "error", "error", obj("type", value, "message", text)), obj("error", obj("type", value, "message", text, "code", "invalid_request")),
			obj("object", "error", "type", value, "message", text))
	case "status":
		value = strings.ToUpper(value)
		out = append(out, []any{obj("error", obj("status", value, "message", text))}, obj("error", obj("code", json.Number("429"), "status", value, "message", text)))
	case "reason":
		out = append(out, []any{obj("error", obj("message", text, "details", []any{obj("reason", value)}))})
	case "error_type":
		out = append(out, obj("error", obj("message", text, "metadata", obj("error_type", value))))
	case "word":
		for _, p := range []string{"code", "type", "status", "reason", "error_type"} {
			out = append(out, bodies(p, value, text)...)
		}
	case "base_resp":
		out = append(out, obj("choices", nil, "base_resp", obj("status_code", json.Number(value), "status_msg", text)),
			obj("id", "", "base_resp", obj("status_code", value, "status_msg", text)))
	case "reasons", "patterns":
		out = append(out, obj("error", obj("code", json.Number("403"), "message", text, "metadata", obj(place, []any{"harassment"}, "provider_name", "x"))))
	case "quota":
		out = append(out, []any{obj("error", obj("message", text, "details", []any{obj("violations", []any{obj("quotaId", "Requests"+value+"-FreeTier")})}))})
	case "role+code":
		role, code, _ := strings.Cut(value, ":")
		out = append(out, obj("contentFilter", []any{obj("level", json.Number("1"), "role", role)}, "error", obj("code", code, "message", text)))
	case "finish":
		out = append(out, obj("choices", []any{obj("finish_reason", value, "message", obj("content", ""))}), obj("choices", []any{obj("finish_reason", value, "delta", obj())}),
			obj("type", "message", "stop_reason", value), obj("type", "message_delta", "delta", obj("stop_reason", value)), obj("candidates", []any{obj("finishReason", value)}))
	case "incomplete":
		out = append(out, obj("status", "incomplete", "incomplete_details", obj("reason", value)), obj("type", "response.incomplete", "response", obj("incomplete_details", obj("reason", value))))
	case "block":
		out = append(out, obj("promptFeedback", obj("blockReason", value)))
	case "refusal":
		out = append(out, obj("choices", []any{obj("message", obj("refusal", "I can't help with that"))}),
			obj("output", []any{obj("content", []any{obj("type", "refusal", "refusal", "no")})}))
	case "content":
		out = append(out, obj("choices", []any{obj("message", obj("content", text))}), obj("choices", []any{obj("delta", obj("content", text))}))
	case "message":
		out = append(out, obj("error", obj("message", text, "type", "x")), obj("error", text), obj("message", text), obj("detail", text), obj("id", "1", "message", text), obj("detail", obj("error", text)),
			obj("detail", []any{obj("msg", text)}), obj("type", "error", "message", text), obj("error", obj("error", obj("message", text))),
			[]any{obj("error", obj("message", text))}, obj("success", false, "errors", []any{obj("message", text)}), obj("object", "error", "message", text),
			obj("choices", []any{obj("finish_reason", "error", "error", obj("message", text))}), obj("error", obj("message", `{"error":{"message":`+marshal(text)+`}}`)))
	}
	return out
}

func marshal(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return string(b)
}

// TestEveryDialect says each row's words in each shape that they come in, as a JSON answer and as events of a stream.
func TestEveryDialect(t *testing.T) {
	answers := 0
	for i, d := range dialects {
		fragments := d.fragments
		if len(fragments) == 0 {
			fragments = [][]string{nil}
		}
		values := d.values
		if len(values) == 0 {
			values = []string{""}
		}
		name := fmt.Sprintf("%d %s %s %s", i, d.provider, kindNames[d.class], d.place)
		for _, value := range values {
			value = strings.TrimPrefix(value, "~")
			for _, fragment := range fragments {
				for _, status := range d.status {
					check := func(status int, h http.Header, body string) {
						t.Helper()
						answers++
						r := Read([]byte(body))
						r.prepare()
						if d.veto {
							assert.NotEqual(t, d.class, Classify(status, h, r).Kind, "%s: %s", name, body)
							return
						}
						require.True(t, d.matches(status, h, &r), "%s: %s", name, body)
						got := Classify(status, h, r)
						assert.Equal(t, d.class, got.Kind, "%s: %d %s", name, status, body)
						if d.class == DeadKey {
							assert.NotZero(t, got.Cause, name)
							assert.NotZero(t, got.Reach, name)
						}
						if d.class == Refusal {
							assert.NotZero(t, got.Part, name)
						}
					}
					if d.place == "header" {
						check(status.low, http.Header{d.header: {value}}, `{"message":"no"}`)
						continue
					}
					text := message(fragment)
					for _, body := range bodies(d.place, value, text) {
						raw := marshal(body)
						check(status.low, nil, raw)
						check(200, nil, raw)
						check(200, nil, "data: "+raw)
						check(200, nil, "event: error\ndata: "+raw+"\n\n")
						check(200, nil, "error: "+raw+"\n\ndata: [DONE]\n\n")
					}
					if d.place == "message" {
						check(status.low, nil, text+"\n")
						check(200, nil, "data: "+text)
						check(status.low, nil, marshal(text))
					}
				}
			}
		}
	}
	t.Logf("%d rows, %d answers", len(dialects), answers)
	assert.Greater(t, answers, 3000)
}

// TestDialectTable holds the table to its own rules.
func TestDialectTable(t *testing.T) {
	for _, d := range dialects {
		switch d.place {
		case "message", "content":
			assert.NotEmpty(t, d.fragments, "a message is told by a fragment: %+v", d)
		case "reasons", "patterns", "refusal":
		default:
			assert.NotEmpty(t, d.values, "%+v", d)
		}
		for _, f := range d.fragments {
			assert.Equal(t, strings.Join(f, "…"), unquoted(strings.Join(f, "…")), "quoted text never matches")
		}
		assert.NotEmpty(t, d.source)
		if d.class == DeadKey && !d.veto {
			assert.NotZero(t, d.cause)
			assert.NotZero(t, d.reach)
		}
	}
	assert.Panics(t, func() { parseDialects("class\tsource\nrefusal\t\n") }, "a row without a source")
	assert.Panics(t, func() { rows("a\tsource\nx\n") }, "a row without a cell")
}

func TestUnquoted(t *testing.T) {
	for text, want := range map[string]string{
		"The model `gpt-9` does not exist":    "the model does not exist",
		`a "b" c 'd' e “f” g «h» i 「j」 k`:     "a c e g i k",
		"You didn't pay, it's over":           "you didn't pay, it's over",
		"the users' key":                      "the users' key",
		`quoted "to the end`:                  "quoted",
		`'it's' here`:                         "here",
		"模型「gpt」不存在":                          "模型不存在",
		`模型"gpt"不存在`:                          "模型不存在",
		"two\nlines\t and   spaces":           "two lines and spaces",
		strings.Repeat("x", maxMessage) + "y": strings.Repeat("x", maxMessage),
		"":                                    "",
	} {
		assert.Equal(t, want, unquoted(text), text)
	}
}

func TestUnwrapped(t *testing.T) {
	for text, want := range map[string]string{
		"litellm.authenticationerror: openaiexception - incorrect key": "incorrect key",
		"error code: 400 - bad":                "bad",
		"http 401: bad":                        "bad",
		"[400 error] bad":                      "bad",
		"could not parse: bad":                 "could not parse: bad",
		"bad":                                  "bad",
		strings.Repeat("error ", 20) + ": bad": strings.Repeat("error ", 20) + ": bad",
	} {
		got := text
		for rest, ok := unwrapped(got); ok; rest, ok = unwrapped(got) {
			got = rest
		}
		assert.Equal(t, want, got)
	}
}
