package dialect_test

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

// expected is the answer that a client of a format must get.
func (a *answer) expected(client dialect.Format, upstream dialect.Format) any {
	b := *a
	if upstream == dialect.Messages && b.refusal != "" {
		b.text, b.refusal, b.stop = b.text+b.refusal, "", "filter"
	}
	whole := b.whole(client)
	if client == dialect.Messages {
		whole["model"] = "m" // as the client named it
	}
	return plain(decode(compact(whole)))
}

func request(client dialect.Format, stream bool) string {
	m := object{"model": "m", "stream": stream}
	switch client {
	case dialect.Responses:
		m["input"] = "hi"
		m["tools"] = list{object{"type": "function", "name": "tool", "parameters": object{}}}
	case dialect.Chat:
		m["stream_options"] = object{"include_usage": true}
		fallthrough
	default:
		m["max_tokens"] = 10
		m["messages"] = list{object{"role": "user", "content": "hi"}}
	}
	b, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		panic(err)
	}
	return string(b)
}

func begun(t testing.TB, client, upstream dialect.Format, stream bool) *dialect.Translator {
	tr := translator(t, client, upstream)
	_, _, err := tr.Request([]byte(request(client, stream)), dialect.Options{Now: 7})
	require.NoError(t, err)
	return tr
}

// TestAnswersOfTheSharedSubset translates answers, whole, streamed, and from whole to
// streamed, and
// compares them with the ones that the client's own provider would have sent.
func TestAnswersOfTheSharedSubset(t *testing.T) {
	pairs(func(client, upstream dialect.Format) {
		t.Run(client.String()+"-to-"+upstream.String(), func(t *testing.T) {
			for seed := range uint64(150) {
				r := rand.New(rand.NewPCG(seed, 2))
				a := newAnswer(r)
				want := a.expected(client, upstream)

				tr := begun(t, client, upstream, false)
				in := compact(a.whole(upstream))
				out, err := tr.Answer([]byte(in))
				require.NoError(t, err, in)
				require.Equal(t, want, plain(decode(string(out))), "seed %d: %s", seed, in)
				require.Equal(t, int64(a.in), tr.Usage().Input)
				require.Equal(t, int64(a.cached), tr.Usage().Cached)
				require.Equal(t, int64(a.out), tr.Usage().Output)

				tr = begun(t, client, upstream, true)
				out, err = tr.AnswerStream([]byte(in))
				require.NoError(t, err, in)
				require.Equal(t, want, plain(collect(t, client, string(out))), "seed %d: %s\n%s", seed, in, out)

				tr = begun(t, client, upstream, true)
				in = a.stream(upstream, r, seed%2 == 0)
				s := tr.Stream()
				var got bytes.Buffer
				for rest := in; rest != ""; {
					n := 1 + r.IntN(min(len(rest), 200))
					got.Write(s.Write([]byte(rest[:n])))
					rest = rest[n:]
				}
				last, whole := s.Close()
				got.Write(last)
				require.True(t, whole, "seed %d", seed)
				require.NoError(t, s.Err())
				require.Equal(t, want, plain(collect(t, client, got.String())), "seed %d: %s\n%s", seed, in, got.String())
				require.Equal(t, int64(a.in), tr.Usage().Input)
			}
		})
	})
}

// endings are the marks of a whole answer in a client's stream.
func looksWhole(f dialect.Format, stream string) bool {
	switch f {
	case dialect.Chat:
		return strings.Contains(stream, "[DONE]") || strings.Contains(stream, `"finish_reason":"`)
	case dialect.Responses:
		return strings.Contains(stream, "event: response.completed") || strings.Contains(stream, "event: response.incomplete")
	}
	return strings.Contains(stream, "event: message_stop") || strings.Contains(stream, "event: message_delta")
}

func looksBroken(f dialect.Format, stream string) bool {
	if f == dialect.Chat {
		return strings.Contains(stream, `data: {"error":{`)
	}
	return strings.Contains(stream, "event: error\n")
}

// TestStreamsThatEndEarly cuts streams at every byte. The client never gets an
// answer that looks whole, but for a chat that lacks nothing but [DONE].
func TestStreamsThatEndEarly(t *testing.T) {
	pairs(func(client, upstream dialect.Format) {
		t.Run(client.String()+"-to-"+upstream.String(), func(t *testing.T) {
			r := rand.New(rand.NewPCG(3, 3))
			a := &answer{reasoning: "thought", signature: "c2ln", text: "some text", stop: "tool", in: 9, out: 3,
				calls: []scenePart{{id: "call_0", name: "tool", args: `{"q":"}\""}`}, {id: "call_1", name: "tool", args: `{}`}}}
			in := a.stream(upstream, r, true)
			for n := range len(in) {
				s := begun(t, client, upstream, true).Stream()
				got := string(s.Write([]byte(in[:n])))
				last, whole := s.Close()
				got += string(last)
				ended := strings.Contains(in[:n], "event: message_stop\ndata: {\"type\":\"message_stop\"}") ||
					strings.Contains(in[:n], `"type":"response.completed"}`)
				if upstream == dialect.Chat && strings.Contains(in[:n], `"finish_reason":"tool_calls"`) {
					continue // whole with the chunk's last brace, cut off behind it
				}
				if whole != ended || looksWhole(client, got) != ended || looksBroken(client, got) == ended {
					require.Failf(t, "wrong end", "cut at %d behind %q: whole %v\n%s", n, in[max(0, n-80):n], whole, got)
				}
			}
		})
	})
}

// TestEveryBoundary translates streams that are cut in two at every byte.
func TestEveryBoundary(t *testing.T) {
	pairs(func(client, upstream dialect.Format) {
		a := &answer{reasoning: "thöught", signature: "c2ln", text: "some 😀 text", stop: "tool", in: 9, out: 3,
			calls: []scenePart{{id: "call_0", name: "tool", args: `{"q":"}\""}`}}}
		in := a.stream(upstream, rand.New(rand.NewPCG(4, 4)), false)
		for i, in := range []string{in, strings.ReplaceAll(in, "\n", "\r\n"), strings.ReplaceAll(in, "\n", "\r")} {
			step := 1 + 6*i
			s := begun(t, client, upstream, true).Stream()
			want := string(s.Write([]byte(in)))
			last, whole := s.Close()
			require.True(t, whole)
			want += string(last)
			for n := 0; n < len(in); n += step {
				s := begun(t, client, upstream, true).Stream()
				got := string(s.Write([]byte(in[:n])))
				got += string(s.Write([]byte(in[n:])))
				last, _ := s.Close()
				got += string(last)
				if got != want {
					require.Equal(t, want, got, "cut at %d", n)
				}
			}
		}
	})
}
