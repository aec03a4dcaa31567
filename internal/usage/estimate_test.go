package usage_test

import (
	"bytes"
	"encoding/base64"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/usage"
)

// estimates are texts whose estimate follows from the rules by hand. Those of
// one line are the words of a plain text.
var estimates = []struct {
	name, body string
	want       int64
}{
	{"nothing", "", 0},
	{"blanks", "   ", 1},
	{"a word", "hello", 2}, // 1.2
	{"short words", "the cat sat on a mat", 6},
	{"an apostrophe is no sign", "we don't", 3}, // 1 + 1.2
	{"a long word", "internationalization", 6},  // 1 + 16*0.2 + 4*0.3
	{"words in a name", "maxRetryCount", 4},     // 1 + 1.2 + 1.2
	{"capitals", "HTTPServer", 4},               // 1.8 + 1.4
	{"one capital", "The", 1},
	{"accents", "für", 2}, // 1 + 0.55
	{"an accent first", "über", 2},
	{"digits", "1234567", 3},
	{"a number after a blank", "a 1", 3},
	{"two blanks", "a  b", 3},
	{"a sign with a word", "a.b", 3}, // 1 + 0.65 + 1
	{"a sign apart", "a .b", 3},
	{"signs", `"},{"`, 2},                   // 1 + 3*0.33
	{"a line end", "a\nb", 3},               // 1 + 0.6 + 1
	{"a line end after a sign", "a;\nb", 4}, // 1 + 0.7 + 0.6 + 1
	{"Cyrillic", "дорога", 2},               // 1.78
	{"Greek", "δρόμος", 3},                  // 2.5
	{"Hebrew", "ספרייה", 3},                 // 2.8
	{"Arabic", "المكتبة", 3},                // 2.75
	{"Hindi", "पुस्तकालय", 4},               // 1 + 7*0.35
	{"Korean", "도서관", 3},                    // 2.3
	{"Thai", "ห้องสมุด", 4},                 // 8*0.45
	{"Kana", "ありがとう", 4},                    // 5*0.75
	{"Han", "图书馆", 3},                       // 3*0.85
	{"Japanese", "図書館へ行く", 5},               // 3*0.85 + 0.75 + 0.85 + 0.75
	{"emoji", "🚀🚀", 5},                      // 2*2.1
	{"an emoji of several", "👩‍💻", 5},       // 2.1 + 0.5 + 2.1
	{"symbols", "→…", 2},
	{"a script that is hardly known", "ⴰⴱ", 4},
	{"no UTF-8", "\xff\xfe\xff", 3},

	{"a document", `{"a":"b"}`, 6},                        // {" 1, a 1, ":" 1.33, b 1, "} 1
	{"an escaped line end", `{"a":"b\nb"}`, 7},            // and 0.6 + 1
	{"an escaped quote", `["\"a\""]`, 4},                  // [" and \" 1.33, a 1, \" and "] 1.33
	{"an escaped character", `["\u56fe\u4e66\u9986"]`, 5}, // 1 + 2.55 + 1
	{"an escaped pair", `["\ud83d\ude80"]`, 5},            // 1 + 2.1 + 1
	{"half a pair", `["\ud83d x"]`, 5},                    // 1 + 2 + 1 + 1
	{"no escape", `["\uZZZZ"]`, 4},                        // 1 + 2 + 1
	{"the end within a string", `{"a":"b`, 5},
	{"the end within an escape", `["a\`, 3},
	{"the end within a character", `["\u5`, 3},
}

func TestEstimate(t *testing.T) {
	for _, tt := range estimates {
		t.Run(tt.name, func(t *testing.T) {
			assert.Equal(t, tt.want, usage.Estimate([]byte(tt.body)), tt.body)
		})
	}
}

// What JSON needs for its form makes no difference to the text in it.
func TestEstimateEscapes(t *testing.T) {
	plain := usage.Estimate([]byte(`["Grüße, 图书馆 🚀!"]`))
	assert.Equal(t, plain, usage.Estimate([]byte(`["Gr\u00fc\u00dfe, \u56fe\u4e66\u9986 \ud83d\ude80!"]`)))
	assert.Equal(t, plain, usage.Estimate([]byte("\r\n [\"Grüße, 图书馆 🚀!\"]")))
}

// A medium counts what it counts, however long it is, and only where the known
// APIs put one.
func TestEstimateMedia(t *testing.T) {
	short, long := estimateBase64(300), estimateBase64(100_000)
	for _, tt := range []struct {
		name, format string
		media        int64
	}{
		{"chat", `{"messages":[{"role":"user","content":[{"type":"image_url","image_url":{"url":"data:image/png;base64,%s"}}]}]}`, 1},
		{"chat, audio", `{"messages":[{"role":"user","content":[{"type":"input_audio","input_audio":{"data":"%s","format":"wav"}}]}]}`, 1},
		{"responses", `{"input":[{"role":"user","content":[{"type":"input_image","image_url":"data:image/webp;base64,%s"}]}]}`, 1},
		{"responses, file", `{"input":[{"content":[{"type":"input_file","file_data" : "data:application/pdf;name=a.pdf;base64,%s"}]}]}`, 1},
		{"messages", `{"messages":[{"content":[{"type":"image","source":{"type":"base64","media_type":"image/png","data":"%s"}}]}]}`, 1},
		{"two", `{"image":["%[1]s"],"audio":"%[1]s"}`, 2},
		{"in a prompt", `{"messages":[{"role":"user","content":"data:image/png;base64,%s"}]}`, 0},
		{"a text part", `{"messages":[{"role":"user","content":[{"type":"text","text":"%s"}]}]}`, 0},
		{"as a name", `{"url":{"%s":1}}`, 0},
		{"words", `{"url":"read this %s"}`, 0},
		{"another encoding", `{"url":"data:text/plain,%s"}`, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			few := usage.Estimate(fmt.Appendf(nil, tt.format, short))
			many := usage.Estimate(fmt.Appendf(nil, tt.format, long))
			if tt.media == 0 {
				assert.Greater(t, many, int64(20_000))
				return
			}
			assert.Equal(t, few, many)
			frame := usage.Estimate(fmt.Appendf(nil, tt.format, ""))
			assert.InDelta(t, frame+tt.media*usage.MediaTokens, many, 20)
		})
	}
	assert.Less(t, usage.Estimate([]byte(`{"data":"`+estimateBase64(200)+`"}`)), int64(usage.MediaTokens), "an id")
}

// In a form the fields count, and a file as a medium.
func TestEstimateForm(t *testing.T) {
	part := func(header, value string) string {
		return "--b\r\nContent-Disposition: form-data; " + header + "\r\n\r\n" + value + "\r\n"
	}
	text := strings.Repeat("the cat sat on a mat ", 100)
	form := part(`name="file"; filename="a.wav"`, strings.Repeat("\x00\xff binary \"", 10_000)) + part(`name="prompt"`, text) + "--b--\r\n"
	assert.InDelta(t, usage.MediaTokens+usage.Estimate([]byte(text)), usage.Estimate([]byte(form)), 10)
	assert.InDelta(t, usage.Estimate([]byte(text)), usage.Estimate([]byte(part(`name="prompt"`, text)+"--b--\r\n")), 10)
	assert.EqualValues(t, 2, usage.Estimate([]byte("--b")), "no form")
}

// The time follows the length: a long string full of escapes is read once, and not
// once for each escape.
func TestEstimateOfManyEscapes(t *testing.T) {
	body := []byte(`{"content":"` + strings.Repeat(`\n`, 1<<20) + `"}`)
	plain := []byte(`{"content":"` + strings.Repeat("1 ", 1<<20) + `"}`)
	least := func(body []byte) time.Duration {
		best := time.Hour
		for range 3 {
			begin := time.Now()
			usage.Estimate(body)
			best = min(best, time.Since(begin))
		}
		return best
	}
	assert.Less(t, least(body), 50*least(plain))
}

func TestEstimateDoesNotAllocate(t *testing.T) {
	body := estimateChat(1 << 10)
	assert.Zero(t, testing.AllocsPerRun(10, func() { usage.Estimate(body) }))
}

// No text, whatever it is, has more tokens than bytes, but for its media.
func FuzzEstimate(f *testing.F) {
	for _, tt := range estimates {
		f.Add([]byte(tt.body))
	}
	f.Add([]byte(`{"data":"` + estimateBase64(300) + `"}`))
	f.Add([]byte("--b\r\nContent-Disposition: form-data; name=f; filename=x\r\n\r\n\x00\r\n--b--\r\n"))
	f.Fuzz(func(t *testing.T, body []byte) {
		n := usage.Estimate(body)
		media := int64(bytes.Count(body, []byte("filename")) + len(body)/256)
		if n < 0 || n > int64(len(body))+media*usage.MediaTokens {
			t.Errorf("%d bytes have %d tokens", len(body), n)
		}
	})
}

func BenchmarkEstimate(b *testing.B) {
	for _, size := range []int{4 << 10, 4 << 20} {
		b.Run(fmt.Sprintf("%dKiB", size>>10), func(b *testing.B) {
			body := estimateChat(size)
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				usage.Estimate(body)
			}
		})
	}
}

// estimateChat is the body of a chat of about that size.
func estimateChat(size int) []byte {
	var b strings.Builder
	b.WriteString(`{"model":"m","messages":[{"role":"system","content":"Be brief."}`)
	for b.Len() < size {
		b.WriteString(`,{"role":"user","content":"What is the capital of Österreich?\nAnd \"why\"?"},{"role":"assistant","content":"Wien, 因为…"}`)
	}
	return []byte(b.String() + `]}`)
}

// estimateBase64 is base64 of n bytes that are much the same.
func estimateBase64(n int) string {
	raw := make([]byte, n/4*3)
	for i := range raw {
		raw[i] = byte(i * i >> 3)
	}
	return base64.StdEncoding.EncodeToString(raw)
}
