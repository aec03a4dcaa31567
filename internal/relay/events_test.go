package relay

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// split feeds the pieces and returns each event as name|data.
func split(s *splitter, pieces ...string) []string {
	var got []string
	for _, p := range pieces {
		// A copy that is destroyed afterwards: what outlives a piece must be kept.
		b := []byte(p)
		rest := b
		for {
			n, ok := s.next(rest)
			if !ok {
				break
			}
			rest = rest[n:]
			got = append(got, fmt.Sprintf("%s|%s", s.name(), s.data))
		}
		clear(b)
	}
	return got
}

var splitterCases = []struct {
	name string
	in   string
	want []string
	open bool // the end is not a boundary
}{
	{"LF", "event: a\ndata: 1\n\ndata: 2\n\n", []string{"a|1", "|2"}, false},
	{"CRLF", "event: a\r\ndata: 1\r\n\r\ndata: 2\r\n\r\n", []string{"a|1", "|2"}, false},
	{"CR", "event: a\rdata: 1\r\rdata: 2\r\r", []string{"a|1", "|2"}, false},
	{"mixed", "event: a\r\ndata: 1\n\r\ndata: 2\r\n\n", []string{"a|1", "|2"}, false},
	{"byte order mark", "\ufeffdata: 1\n\n\ufeffdata: 2\n\n", []string{"|1"}, false},
	{"no space", "event:a\ndata:1\n\n", []string{"a|1"}, false},
	{"one space is taken", "data:  1 \n\n", []string{"| 1 "}, false},
	{"several lines", "data: a\ndata:b\ndata: c\n\n", []string{"|a\nb\nc"}, false},
	{"empty data lines", "data\ndata:\n\n", []string{"|\n"}, false},
	{"comments", ": hi\n\n:\ndata: 1\n: between\ndata: 2\n\n:x\n", []string{"|1\n2"}, false},
	{"other fields", "id: 7\nretry: 10\ndata: 1\nfoo\nbar: x\n\n", []string{"|1"}, false},
	{"name without data", "event: a\n\ndata: 1\n\n", []string{"|1"}, false},
	{"last name counts", "event: a\nevent: b\ndata: 1\n\n", []string{"b|1"}, false},
	{"colon in data", "data: a:b: c\n\n", []string{"|a:b: c"}, false},
	{"blank lines", "\n\n\r\n\ndata: 1\n\n\n\n", []string{"|1"}, false},
	{"long name", "event: " + strings.Repeat("n", 300) + "\ndata: 1\n\n", []string{strings.Repeat("n", 64) + "|1"}, false},
	{"open line", "data: 1\n\ndata: 2", []string{"|1"}, true},
	{"open event", "data: 1\n\ndata: 2\n", []string{"|1"}, true},
	{"open name", "data: 1\n\nevent: x\n", []string{"|1"}, true},
	{"open comment", "data: 1\n\n: x", []string{"|1"}, true},
	{"empty", "", nil, false},
}

func TestSplitter(t *testing.T) {
	for _, c := range splitterCases {
		t.Run(c.name, func(t *testing.T) {
			var s splitter
			assert.Equal(t, c.want, split(&s, c.in))
			assert.Equal(t, !c.open, s.boundary())
			for at := range len(c.in) {
				s = splitter{}
				assert.Equal(t, c.want, split(&s, c.in[:at], c.in[at:]), "split at %d", at)
				assert.Equal(t, !c.open, s.boundary(), "split at %d", at)
			}
			s = splitter{}
			assert.Equal(t, c.want, split(&s, strings.Split(c.in, "")...), "single bytes")
		})
	}
}

func TestSplitterLargeEvents(t *testing.T) {
	pieces := func(s string) []string {
		var out []string
		for len(s) > 1000 {
			out, s = append(out, s[:1000]), s[1000:]
		}
		return append(out, s)
	}
	big := strings.Repeat("0123456789", 200_000)
	var s splitter
	got := split(&s, pieces("data: "+big+"\nevent: big\ndata: "+big+"\n\ndata: 2\n\n")...)
	assert.Len(t, got, 2)
	assert.True(t, got[0] == "big|"+big+"\n"+big)
	assert.Equal(t, "|2", got[1])
	assert.LessOrEqual(t, cap(s.own)+cap(s.line), 2*keepCarry, "memory of a large event is given back")

	// Beyond the bound the front is seen, and what follows is read as before.
	s = splitter{}
	var cut []bool
	for _, p := range pieces("event: e\ndata: " + big + big + big + "\n\ndata: 2\n\n") {
		rest := []byte(p)
		for {
			n, ok := s.next(rest)
			if !ok {
				break
			}
			rest = rest[n:]
			cut = append(cut, s.cut)
			assert.LessOrEqual(t, len(s.data), maxEvent)
			assert.True(t, len(s.data) == 1 || string(s.name()) == "e")
		}
	}
	assert.Equal(t, []bool{true, false}, cut)

	// A comment without an end is not kept at all.
	s = splitter{}
	split(&s, ":")
	for range 100 {
		split(&s, big[:1000])
	}
	assert.Less(t, cap(s.line), 2000)
}

func FuzzSplitter(f *testing.F) {
	for _, c := range splitterCases {
		f.Add(c.in, uint8(3))
	}
	f.Fuzz(func(t *testing.T, in string, step uint8) {
		var one, many splitter
		want := split(&one, in)
		var pieces []string
		for rest, n := in, int(step); rest != ""; n = n*7%13 + 1 {
			n = min(n, len(rest))
			pieces, rest = append(pieces, rest[:n]), rest[n:]
		}
		assert.Equal(t, want, split(&many, pieces...))
		assert.Equal(t, one.boundary(), many.boundary())
		assert.Equal(t, one.finish(), many.finish())
		assert.Equal(t, string(one.data), string(many.data))
		assert.Equal(t, string(one.name()), string(many.name()))
	})
}

func BenchmarkSplitter(b *testing.B) {
	event := "data: " + dialectTables[0].cases[0].data + "\n\n"
	in := []byte(strings.Repeat(event, 50))
	var s splitter
	b.ReportAllocs()
	b.SetBytes(int64(len(in)))
	for b.Loop() {
		rest := in
		for {
			n, ok := s.next(rest)
			if !ok {
				break
			}
			rest = rest[n:]
		}
	}
}
