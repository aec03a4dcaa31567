package relay

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"reflect"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// used are answers after which streams were in all of their states.
func used(t *testing.T) map[string]func() *Stream {
	var zipped bytes.Buffer
	z := gzip.NewWriter(&zipped)
	_, err := io.WriteString(z, chatText+"data: [DONE]\n\n")
	require.NoError(t, err)
	require.NoError(t, z.Close())
	run := func(text string, o Options, w io.Writer) func() *Stream {
		return func() *Stream {
			o.Dialect = Chat
			o.Tap, o.Progress = func([]byte, bool) {}, func(Phase) {}
			s := NewStream(strings.NewReader(text), o)
			if s.Hold() == nil {
				s.Relay(w, func() error { return nil })
			}
			return s
		}
	}
	broken := failingWriter{}
	return map[string]func() *Stream{
		"never read":       func() *Stream { return NewStream(strings.NewReader("x"), Options{Dialect: Chat}) },
		"whole":            run(chatText+"data: [DONE]\n\n", Options{}, io.Discard),
		"edited":           run(chatText+"data: [DONE]\n\n", Options{HideUsage: true}, io.Discard),
		"cut":              run(chatText, Options{}, io.Discard),
		"cut within":       run(chatText+"event: x\r\ndata: {\"a", Options{UsageWanted: true}, io.Discard),
		"a comment":        run(chatText+": half of", Options{}, io.Discard),
		"several choices":  run(strings.ReplaceAll(chatText, "index\":0", "index\":3")+chatText, Options{Choices: 5}, io.Discard),
		"long":             run(chatText+"data: {\"choices\":[{\"delta\":{\"content\":\""+strings.Repeat("x", 200<<10)+"\"}}]}\n\n", Options{}, io.Discard),
		"an error":         run("data: {\"error\":{\"message\":\"no\"}}\n\n", Options{}, io.Discard),
		"a late error":     run(chatText+"error: no\n\ndata: [DONE]\n\n", Options{}, io.Discard),
		"a failing client": run(chatText+"data: [DONE]\n\n", Options{}, broken),
		"compressed":       run(zipped.String(), Options{Encoding: "gzip"}, io.Discard),
		"decoded":          run(zipped.String(), Options{Encoding: "gzip", Decode: true}, io.Discard),
		"half decoded":     run(zipped.String()[:zipped.Len()-10], Options{Encoding: "gzip", Decode: true}, io.Discard),
		"a failing gzip":   run(zipped.String(), Options{Encoding: "gzip"}, broken),
	}
}

const chatText = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"a\"}}],\"usage\":null}\n\n" +
	"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"b\"}}],\"usage\":null}\n\n" +
	"data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"c\"},\"finish_reason\":\"stop\"}]}\n\n" +
	"data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n"

type failingWriter struct{}

func (failingWriter) Write(p []byte) (int, error) { return len(p) / 2, errors.New("gone") }

// A recycled stream is a new one, whatever it has carried: all of its fields are those of
// the zero Stream, but for memory without content.
func TestRecycleLeavesNothing(t *testing.T) {
	for name, use := range used(t) {
		t.Run(name, func(t *testing.T) {
			for _, released := range []bool{false, true} {
				s := use()
				if released {
					s.Release() // as the gateway does, to read the figures behind it
				}
				s.Recycle()
				fields := reflect.ValueOf(s).Elem()
				assert.Empty(t, s.shape.text)
				s.shape.text = nil
				for i := range fields.NumField() {
					assert.True(t, fields.Field(i).IsZero(), "%s is left", fields.Type().Field(i).Name)
				}
			}
		})
	}
}

// Streams of every kind that follow each other in the same memory say what they say in
// memory of their own.
func TestRecycledStreamsRememberNothing(t *testing.T) {
	kinds := used(t)
	say := func(s *Stream) [8]any {
		return [8]any{s.Events(), s.Advances(), s.Phase(), s.Whole(), s.Finished(), s.Refused(), s.Empty(), s.SawError()}
	}
	for before, first := range kinds {
		for after, second := range kinds {
			alone := say(second()) // it is not given back
			used := first()
			used.Recycle()
			s := second()
			assert.Equal(t, alone, say(s), "%s after %s", after, before)
			s.Recycle()
		}
	}
}
