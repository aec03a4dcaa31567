package main

import (
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSoak runs it as short as it makes sense.
func TestSoak(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(&out, 3*time.Second, 32, 1, ""), out.String())
	assert.Contains(t, out.String(), "end      in flight 0, ")
	assert.GreaterOrEqual(t, len(faults), 22)
}

func TestFigures(t *testing.T) {
	begin := figures{goroutines: 10, connections: 0, heap: 4 << 20}
	require.NoError(t, begin.compare(begin))
	assert.EqualError(t, begin.compare(figures{inFlight: 1, busy: 2, goroutines: 20, connections: 3, heap: 40 << 20}),
		"requests are in flight, 1 in all loads of the debug page\n2 connections serve a request without a client\n10 goroutines are left\n3 connections are left\nthe heap has grown by 36.0 MiB")
}

// The samples go into the document, and the chart is drawn from there.
func TestSamples(t *testing.T) {
	docs := t.TempDir()
	for _, name := range []string{"performance.md", "selection.md", "faults.md", "replicas.md"} {
		require.NoError(t, os.WriteFile(filepath.Join(docs, name), []byte("<!-- soak:begin -->\n<!-- soak:end -->\n"), 0o600))
	}
	require.NoError(t, os.Mkdir(filepath.Join(docs, "images"), 0o700))
	s := &soak{connections: connections{open: map[net.Conn]http.ConnState{}}}
	stop := s.samples(10 * time.Millisecond)
	<-time.After(5 * time.Millisecond)
	list := stop()
	require.Greater(t, len(list), 1)
	file := filepath.Join(docs, "performance.md")
	require.NoError(t, writeSamples(file, 8, list))
	text, err := os.ReadFile(file)
	require.NoError(t, err)
	assert.Equal(t, len(list)+2, strings.Count(string(text), "\n| ")+strings.Count(string(text), "\n|-"))
	svg, err := os.ReadFile(filepath.Join(docs, "images", "soak-dark.svg"))
	require.NoError(t, err)
	assert.Contains(t, string(svg), "live heap")
}

// Each harm to an answer is seen.
func TestInspect(t *testing.T) {
	good := strings.Join(answerWords("c1-2", 4), "")
	for name, tt := range map[string]struct {
		answer, problem string
		whole           bool
	}{
		"whole":            {good, "", true},
		"in events":        {chat.stream(answerWords("c1-2", 4)), "", true},
		"empty":            {"", "", false},
		"cut":              {good[:len(good)-3], "", false},
		"another's":        {strings.Join(answerWords("c1-3", 4), ""), "the answer to c1-2 has words of c1-3", false},
		"another's piece":  {strings.Replace(good, "<c1-2:2>", "<c9-9:2>", 1), "the answer to c1-2 has words of c9-9", false},
		"a word is lost":   {strings.Replace(good, "<c1-2:2> ", "", 1), "word 3 stands in place 2", false},
		"a word is twice":  {strings.Replace(good, "<c1-2:2> ", "<c1-2:2> <c1-2:2> ", 1), "word 2 stands in place 3", false},
		"the last is lost": {strings.Replace(good, "<c1-2:3> ", "", 1), "the checksum is wrong", false},
		"two answers":      {good + good, "words follow the end mark", false},
	} {
		t.Run(name, func(t *testing.T) {
			whole, err := inspect([]byte(tt.answer), "c1-2")
			if tt.problem != "" {
				assert.EqualError(t, err, tt.problem)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tt.whole, whole)
		})
	}
	assert.Equal(t, "c3-4", foreign([]byte("no answer for <c3-4>"), "c1-2"))
	assert.Empty(t, foreign([]byte("no answer for <c1-2>"), "c1-2"))
}

// Foreign lines in an event stream are seen.
func TestFramed(t *testing.T) {
	stream := chat.stream(answerWords("c1-2", 4))
	for _, good := range []string{"", stream, "\ufeff" + stream, ": keep-alive\n\n" + messages.stream(answerWords("c1-2", 4))} {
		assert.NoError(t, framed([]byte(good)))
	}
	for name, bad := range map[string]string{
		"a mark behind a comment": ": keep-alive\n\n\ufeff" + stream,
		"JSON behind a comment":   ": keep-alive\n\n" + chat.whole("x"),
	} {
		assert.ErrorContains(t, framed([]byte(bad)), "foreign line", name)
	}
}
