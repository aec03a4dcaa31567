package dialect_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway/internal/dialect"
)

const prose = "The quick brown fox jumps over the lazy dog, and then \"sits down\" to think about it.\n" +
	"Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich; it was a bright cold day in April.\n\n"

// bigRequest is a request of about 215 KB.
func bigRequest(f dialect.Format) []byte {
	s := &scene{system: prose, maxTokens: 1000, stream: true}
	for i := 0; i < 215<<10; i += 4000 {
		who := "user"
		if len(s.turns)%2 == 1 {
			who = "assistant"
		}
		s.turns = append(s.turns, sceneTurn{who, []scenePart{{kind: "text", text: strings.Repeat(prose, 4000/len(prose))}}})
	}
	return []byte(compact(s.write(f)))
}

func BenchmarkRequest(b *testing.B) {
	pairs(func(client, upstream dialect.Format) {
		body := bigRequest(client)
		b.Run(client.String()+"-to-"+upstream.String(), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				tr, _ := dialect.For(client, upstream)
				if _, _, err := tr.Request(body, dialect.Options{}); err != nil {
					b.Fatal(err)
				}
			}
		})
	})
	body := bigRequest(dialect.Chat)
	b.Run("copy", func(b *testing.B) {
		b.SetBytes(int64(len(body)))
		b.ReportAllocs()
		for b.Loop() {
			_ = append(make([]byte, 0, len(body)), body...)
		}
	})
}

// stream41 is a stream of 41 events of text, in the form of an upstream.
func stream41(f dialect.Format) [][]byte {
	a := &answer{text: strings.Repeat("a word or so, ", 37), stop: "end", in: 9, out: 50}
	all := a.stream(f, rand.New(rand.NewPCG(1, 1)), false)
	one := "a word or so, "
	// The pieces are cut at random; make them even.
	var events [][]byte
	for _, e := range strings.SplitAfter(all, "\n\n") {
		if e != "" && !strings.Contains(e, "delta\":\"") && !strings.Contains(e, "\"content\":\"a") && !strings.Contains(e, "text_delta") {
			events = append(events, []byte(e))
			continue
		}
	}
	piece := map[dialect.Format]string{
		dialect.Chat:      `data: {"id":"chatcmpl-1","object":"chat.completion.chunk","created":7,"model":"served","choices":[{"index":0,"delta":{"content":"` + one + `"},"finish_reason":null}]}` + "\n\n",
		dialect.Responses: "event: response.output_text.delta\n" + `data: {"type":"response.output_text.delta","sequence_number":4,"item_id":"msg_1","output_index":0,"content_index":0,"delta":"` + one + `","logprobs":[]}` + "\n\n",
		dialect.Messages:  "event: content_block_delta\n" + `data: {"type":"content_block_delta","index":0,"delta":{"type":"text_delta","text":"` + one + `"}}` + "\n\n",
	}[f]
	at := 1
	if f != dialect.Chat {
		at = 3
	}
	head, tail := events[:at], events[at:]
	out := append([][]byte{}, head...)
	for len(out)+len(tail) < 41 {
		out = append(out, []byte(piece))
	}
	return append(out, tail...)
}

func BenchmarkStream(b *testing.B) {
	pairs(func(client, upstream dialect.Format) {
		events := stream41(upstream)
		request := []byte(request(client, true))
		b.Run(client.String()+"-to-"+upstream.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				tr, _ := dialect.For(client, upstream)
				if _, _, err := tr.Request(request, dialect.Options{}); err != nil {
					b.Fatal(err)
				}
				s := tr.Stream()
				for _, e := range events {
					s.Write(e)
				}
				if _, whole := s.Close(); !whole {
					b.Fatal(s.Err())
				}
			}
		})
	})
	events := stream41(dialect.Chat)
	b.Run("copy", func(b *testing.B) {
		b.ReportAllocs()
		var out []byte
		for b.Loop() {
			for _, e := range events {
				out = append(out[:0], e...)
			}
		}
	})
}
