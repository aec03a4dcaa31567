package dialect_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// TestCitations: the pages cited by an answer reach clients of chat and responses, with
// their places in the client's text (litellm#18378, openai-agents-python#4222,
// Switchyard#730). Places count code points.
func TestCitations(t *testing.T) {
	const (
		first, second = `S\u00fc\ud83d\ude00 `, `w😀\n\"r\".` // 4 and 7 code points
		flatA         = `{"type":"url_citation","url":"https://a.example/?q=1","title":"A \"one\"","start_index":0,"end_index":4}`
		flatB         = `{"type":"url_citation","url":"https://b.example","title":null,"start_index":4,"end_index":11}`
		fileCite      = `{"type":"file_citation","file_id":"f","index":0}`
		locA          = `{"type":"web_search_result_location","url":"https://a.example/?q=1","title":"A \"one\"","cited_text":"x","encrypted_index":"e"}`
		locB          = `{"type":"web_search_result_location","url":"https://b.example","title":null,"cited_text":"x","encrypted_index":"e"}`
		locDoc        = `{"type":"char_location","document_index":0,"cited_text":"x"}`
	)
	nested := func(flat string) string {
		return `{"type":"url_citation","url_citation":` + flat + `}`
	}
	event := func(data string) string { return "data: " + data + "\n\n" }
	block := func(n, text, cites string, told bool) string {
		out := event(`{"type":"content_block_start","index":` + n + `,"content_block":{"type":"text","text":"","citations":[]}}`)
		if told {
			out += event(`{"type":"content_block_delta","index":` + n + `,"delta":{"type":"citations_delta","citation":` + cites + `}}`)
			cites = ""
		}
		out += event(`{"type":"content_block_delta","index":` + n + `,"delta":{"type":"text_delta","text":"` + text + `"}}`)
		if cites != "" {
			out += event(`{"type":"content_block_delta","index":` + n + `,"delta":{"type":"citations_delta","citation":` + cites + `}}`)
		}
		return out + event(`{"type":"content_block_stop","index":`+n+`}`)
	}
	text := `{"type":"output_text","text":"` + first + second + `","annotations":[` + flatA + `,` + fileCite + `,` + flatB + `]}`
	item := `{"type":"message","id":"msg_1","role":"assistant","status":"completed","content":[` + text + `]}`
	respStart := event(`{"type":"response.created","response":{"id":"resp_1","model":"m","status":"in_progress"}}`) +
		event(`{"type":"response.output_item.added","output_index":0,"item":{"type":"message","id":"msg_1","role":"assistant","content":[]}}`) +
		event(`{"type":"response.content_part.added","output_index":0,"content_index":0,"part":{"type":"output_text","text":"","annotations":[]}}`) +
		event(`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"`+first+`"}`) +
		event(`{"type":"response.output_text.delta","output_index":0,"content_index":0,"delta":"`+second+`"}`)
	respEnd := event(`{"type":"response.output_item.done","output_index":0,"item":`+item+`}`) +
		event(`{"type":"response.completed","response":`+responsesReply("completed", item, "")+`}`)
	added := func(annotation string) string {
		return event(`{"type":"response.output_text.annotation.added","output_index":0,"content_index":0,"annotation_index":0,"annotation":` + annotation + `}`)
	}
	msgStart := event(`{"type":"message_start","message":{"id":"msg_1","type":"message","role":"assistant","model":"m","usage":{"input_tokens":1}}}`)
	msgEnd := event(`{"type":"message_delta","delta":{"stop_reason":"end_turn"},"usage":{"output_tokens":5}}`) + event(`{"type":"message_stop"}`)
	message := `"content":"` + first + second + `","annotations":[` + nested(flatA) + `,` + fileCite + `,` + nested(flatB) + `]`

	for _, c := range []struct {
		upstream dialect.Format
		whole    string
		streams  map[string]string
	}{
		{dialect.Chat, chatReply(message, "stop", ""), map[string]string{
			"one chunk": chunk(`{`+message+`}`) + finish("stop") + done,
			"behind":    chunk(`{"content":"`+first+`"}`) + chunk(`{"content":"`+second+`"}`) + chunk(`{"annotations":[`+nested(flatA)+`]}`) + chunk(`{"annotations":[`+nested(flatB)+`]}`) + finish("stop") + done,
		}},
		{dialect.Responses, responsesReply("completed", item, ""), map[string]string{
			"events": respStart + added(flatA) + added(fileCite) + added(flatB) + respEnd,
			"item":   respStart + respEnd,
			"last":   event(`{"type":"response.completed","response":` + responsesReply("completed", item, "") + `}`),
		}},
		{dialect.Messages, messagesReply(`{"type":"text","text":"`+first+`","citations":[`+locA+`]},{"type":"text","text":"`+second+`","citations":[`+locDoc+`,`+locB+`]}`, "end_turn"), map[string]string{
			"before": msgStart + block("0", first, locA, true) + block("1", second, locB, true) + msgEnd,
			"behind": msgStart + block("0", first, locA, false) + block("1", second, locB, false) + msgEnd,
		}},
	} {
		for _, client := range []dialect.Format{dialect.Chat, dialect.Responses, dialect.Messages} {
			if client == c.upstream {
				continue
			}
			answers := map[string]object{}
			whole, err := begun(t, client, c.upstream, false).Answer([]byte(c.whole))
			require.NoError(t, err)
			answers["whole"] = decode(string(whole)).(object)
			streamed, err := begun(t, client, c.upstream, true).AnswerStream([]byte(c.whole))
			require.NoError(t, err)
			raw := map[string]string{"whole to a stream": string(streamed)}
			for name, stream := range c.streams {
				s := begun(t, client, c.upstream, true).Stream()
				raw[name] = string(s.Write([]byte(stream)))
				require.True(t, s.Whole(), "%s to %s, %s: %v", c.upstream, client, name, s.Err())
			}
			for name, stream := range raw {
				if client != dialect.Chat {
					answers[name] = collect(t, client, stream)
					continue
				}
				var cites list
				content := ""
				for _, e := range events(t, stream) {
					if e.data == "[DONE]" {
						continue
					}
					for _, choice := range decode(e.data).(object)["choices"].(list) {
						delta := choice.(object)["delta"].(object)
						if a, ok := delta["annotations"]; ok {
							cites = append(cites, a.(list)...)
						}
						text, _ := delta["content"].(string)
						content += text
					}
				}
				answers[name] = object{"choices": list{object{"message": object{"content": content, "annotations": cites}}}}
			}
			for name, answer := range answers {
				what := c.upstream.String() + " to " + client.String() + ", " + name
				switch client {
				case dialect.Chat:
					m := answer["choices"].(list)[0].(object)["message"].(object)
					assert.Equal(t, "Sü😀 w😀\n\"r\".", m["content"], what)
					assert.JSONEq(t, `[{"type":"url_citation","url_citation":{"url":"https://a.example/?q=1","title":"A \"one\"","start_index":0,"end_index":4}},{"type":"url_citation","url_citation":{"url":"https://b.example","title":"","start_index":4,"end_index":11}}]`, compact(m["annotations"]), what)
				case dialect.Responses:
					var cites list
					at, text := 0.0, ""
					for _, p := range answer["output"].(list)[0].(object)["content"].(list) {
						for _, a := range p.(object)["annotations"].(list) {
							a := a.(object)
							a["start_index"], a["end_index"] = a["start_index"].(float64)+at, a["end_index"].(float64)+at
							cites = append(cites, a)
						}
						text += p.(object)["text"].(string)
						at = float64(len([]rune(text)))
					}
					assert.JSONEq(t, `[`+flatA+`,{"type":"url_citation","url":"https://b.example","title":"","start_index":4,"end_index":11}]`, compact(cites), what)
				case dialect.Messages:
					assert.NotContains(t, compact(answer), "a.example", what)
				}
			}
		}
	}
}

// TestOddCitations: a list of another form is none.
func TestOddCitations(t *testing.T) {
	for _, cites := range []string{`null`, `7`, `{}`, `[7,null,{}]`, `[{"type":"url_citation"}]`, `[{"type":"url_citation","url_citation":{"url_citation":{"url":"https://a.example"}}}]`, `[{"url":"https://a.example"}]`} {
		out, err := begun(t, dialect.Responses, dialect.Chat, false).Answer([]byte(chatReply(`"content":"hi","annotations":`+cites, "stop", "")))
		require.NoError(t, err)
		assert.Contains(t, string(out), `"annotations":[]`, cites)
		s := begun(t, dialect.Responses, dialect.Chat, true).Stream()
		got := string(s.Write([]byte(chunk(`{"content":"hi","annotations":`+cites+`}`) + finish("stop") + done)))
		require.True(t, s.Whole())
		assert.NotContains(t, got, "annotation.added", cites)
	}
}
