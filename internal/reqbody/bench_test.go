package reqbody_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// prose is what chat messages are made of: a line break or a quoted word every
// hundred bytes or so, and some text beyond ASCII.
const prose = "The quick brown fox jumps over the lazy dog, and then \"sits down\" to think about it.\n" +
	"Zwölf Boxkämpfer jagen Viktor quer über den großen Sylter Deich, while nobody is looking at them at all; " +
	"it was a bright cold day in April, and the clocks were striking thirteen.\n\n"

// chatBody makes a chat completion request of about size bytes, whose messages
// have about perMessage bytes each.
func chatBody(size, perMessage int) []byte {
	type message struct {
		Role    string `json:"role"`
		Content string `json:"content"`
	}
	body := struct {
		Messages    []message `json:"messages"`
		Temperature float64   `json:"temperature"`
		MaxTokens   int       `json:"max_tokens"`
		Stream      bool      `json:"stream"`
		Model       string    `json:"model"`
	}{Temperature: 0.7, MaxTokens: 1024, Stream: true, Model: "gpt-4o-mini"}
	text := strings.Repeat(prose, perMessage/len(prose)+1)[:perMessage]
	text = strings.ToValidUTF8(text, "")
	for n := 0; n < size; n += perMessage + 40 {
		role := "user"
		if len(body.Messages)%2 == 1 {
			role = "assistant"
		}
		body.Messages = append(body.Messages, message{role, text})
	}
	encoded, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	return encoded
}

func BenchmarkScan(b *testing.B) {
	for _, size := range []int{1 << 10, 16 << 10, 215 << 10} {
		for _, shape := range []struct {
			name       string
			perMessage int
		}{{"long", size / 3}, {"short", 100}} {
			src := chatBody(size, shape.perMessage)
			run := func(name string, f func() error) {
				b.Run(fmt.Sprintf("%dKB/%s/%s", size>>10, shape.name, name), func(b *testing.B) {
					b.SetBytes(int64(len(src)))
					b.ReportAllocs()
					for b.Loop() {
						if err := f(); err != nil {
							b.Fatal(err)
						}
					}
				})
			}
			var d reqbody.Document
			run("scan", func() error { return reqbody.Scan(src, &d) })
			run("valid", func() error {
				if !json.Valid(src) {
					return fmt.Errorf("not valid")
				}
				return nil
			})
			run("unmarshal", func() error {
				var v struct {
					Model    string
					Models   []string
					Stream   bool
					Messages json.RawMessage
				}
				return json.Unmarshal(src, &v)
			})
		}
	}
}

func BenchmarkSplice(b *testing.B) {
	src := chatBody(215<<10, 1000)
	var d reqbody.Document
	if err := reqbody.Scan(src, &d); err != nil {
		b.Fatal(err)
	}
	edits := []reqbody.Edit{{Name: "model", Value: reqbody.Quote("llama3")}, {Name: "models"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := d.Splice(edits); err != nil {
			b.Fatal(err)
		}
	}
}
