package relay

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"

	"github.com/klauspost/compress/zstd"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

const (
	role    = "data: {\"choices\":[{\"delta\":{\"role\":\"assistant\",\"content\":\"\"},\"finish_reason\":null}]}\n\n"
	hello   = "data: {\"choices\":[{\"delta\":{\"content\":\"Hello\"},\"finish_reason\":null}]}\n\n"
	stop    = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n"
	tokens  = "data: {\"choices\":[],\"usage\":{\"prompt_tokens\":1}}\n\n"
	doneEv  = "data: [DONE]\n\n"
	errorEv = "data: {\"error\":{\"message\":\"boom\"}}\n\n"

	created   = "event: response.created\ndata: {\"type\":\"response.created\",\"response\":{}}\n\n"
	textDelta = "event: response.output_text.delta\ndata: {\"type\":\"response.output_text.delta\",\"delta\":\"Hi\"}\n\n"
	completed = "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"id\":\"r\"}}\n\n"
	failedEv  = "event: response.failed\ndata: {\"type\":\"response.failed\",\"response\":{}}\n\n"

	msgStart = "event: message_start\ndata: {\"type\":\"message_start\",\"message\":{}}\n\n"
	msgText  = "event: content_block_delta\ndata: {\"type\":\"content_block_delta\",\"delta\":{\"type\":\"text_delta\",\"text\":\"Hi\"}}\n\n"
	msgDelta = "event: message_delta\ndata: {\"type\":\"message_delta\",\"delta\":{\"stop_reason\":\"end_turn\"}}\n\n"
	msgStop  = "event: message_stop\ndata: {\"type\":\"message_stop\"}\n\n"
)

var errBroken = errors.New("connection reset")

// script is a body that gives one piece per read, then its error, io.EOF if nil.
type script struct {
	pieces []string
	err    error
}

func (r *script) Read(p []byte) (int, error) {
	if len(r.pieces) == 0 {
		if r.err != nil {
			return 0, r.err
		}
		return 0, io.EOF
	}
	n := copy(p, r.pieces[0])
	if r.pieces[0] = r.pieces[0][n:]; r.pieces[0] == "" {
		r.pieces = r.pieces[1:]
	}
	return n, nil
}

func TestStream(t *testing.T) {
	const (
		ok    = "ok"
		cut   = "cut"
		event = "event"
		reset = "reset"
		none  = "none"
	)
	outcome := func(err error) string {
		var ev *EventError
		switch {
		case err == nil:
			return ok
		case errors.As(err, &ev):
			return event
		case errors.Is(err, ErrCut):
			return cut
		case errors.Is(err, ErrNoAnswer):
			return none
		case errors.Is(err, errBroken):
			return reset
		}
		return err.Error()
	}
	for _, c := range []struct {
		name    string
		dialect Dialect
		in      []string
		err     error
		hold    string // what Hold says
		held    int    // pieces that were read by then
		whole   string // what HoldWhole says of the same answer
		relay   string
		saw     bool
	}{
		{"plain", Chat, []string{role, hello, stop, doneEv}, nil, ok, 2, ok, ok, false},
		{"comments first", Chat, []string{": a\n\n", ": b\n\n", role, hello, doneEv}, nil, ok, 4, ok, ok, false},
		{"no done", Chat, []string{hello, stop}, nil, ok, 1, ok, ok, false},
		{"no done, usage", Chat, []string{hello, stop, tokens}, nil, ok, 1, ok, ok, false},
		{"no finish", Chat, []string{hello, doneEv}, nil, ok, 1, ok, ok, false},
		{"done without blank line", Chat, []string{hello, "data: [DONE]\n"}, nil, ok, 1, ok, ok, false},
		{"done without line end", Chat, []string{hello, "data: [DONE]"}, nil, ok, 1, ok, ok, false},
		{"cut in content", Chat, []string{role, hello}, nil, ok, 2, cut, cut, false},
		{"cut before content", Chat, []string{role}, nil, cut, 1, cut, cut, false},
		{"empty", Chat, nil, nil, cut, 0, cut, cut, false},
		{"reset before content", Chat, []string{role}, errBroken, reset, 1, reset, reset, false},
		{"reset in content", Chat, []string{hello}, errBroken, ok, 1, reset, reset, false},
		{"reset after finish", Chat, []string{hello, stop}, errBroken, ok, 1, reset, reset, false},
		{"reset after end", Chat, []string{hello, doneEv}, errBroken, ok, 1, ok, ok, false},
		{"done without an answer", Chat, []string{role, doneEv}, nil, none, 2, none, none, false},
		{"nothing but done", Chat, []string{doneEv}, nil, none, 1, none, none, false},
		{"whole without content", Responses, []string{created, completed}, nil, ok, 2, ok, ok, false},
		{"finish commits", Chat, []string{role, stop}, nil, ok, 2, ok, ok, false},
		{"second choice goes on", Chat, []string{hello, stop, hello}, nil, ok, 1, cut, cut, false},
		{"error first", Chat, []string{role, errorEv}, nil, event, 2, event, event, true},
		{"error and content in a read", Chat, []string{errorEv + hello}, nil, event, 1, event, event, true},
		{"content and error in a read", Chat, []string{hello + errorEv}, nil, ok, 1, event, event, true},
		{"error later", Chat, []string{hello, errorEv}, nil, ok, 1, event, event, true},
		{"error later, then a reset", Chat, []string{hello, errorEv}, errBroken, ok, 1, event, reset, true},
		{"error later, then done", Chat, []string{hello, errorEv, doneEv}, nil, ok, 1, event, event, true},
		{"error after end", Chat, []string{hello, doneEv, errorEv}, nil, ok, 1, ok, ok, false},
		{"trailing bytes", Chat, []string{hello, doneEv + "xyz", ": more\n\n"}, nil, ok, 1, ok, ok, false},
		{"malformed is relayed", Chat, []string{"data: {oops\n\n", hello, "garbage\n\n", doneEv}, nil, ok, 2, ok, ok, false},

		{"responses", Responses, []string{created, textDelta, completed}, nil, ok, 2, ok, ok, false},
		{"responses cut", Responses, []string{created, textDelta, doneEv}, nil, ok, 2, cut, cut, false},
		{"responses failed first", Responses, []string{created, failedEv}, nil, event, 2, event, ok, true},
		{"responses failed later", Responses, []string{created, textDelta, failedEv}, nil, ok, 2, event, ok, true},
		{"responses, half of the end", Responses, []string{textDelta, completed[:len(completed)-5]}, nil, ok, 1, cut, cut, false},
		{"responses, end without blank line", Responses, []string{textDelta, completed[:len(completed)-2]}, nil, ok, 1, ok, ok, false},

		{"messages", Messages, []string{msgStart, msgText, msgDelta, msgStop}, nil, ok, 2, ok, ok, false},
		{"messages without stop", Messages, []string{msgStart, msgText, msgDelta}, nil, ok, 2, cut, cut, false},

		{"opaque", nil, []string{"abc", "def"}, nil, ok, 1, ok, ok, false},
		{"opaque empty", nil, nil, nil, cut, 0, cut, cut, false},
		{"opaque broken", nil, []string{"abc"}, errBroken, ok, 1, reset, reset, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := strings.Join(c.in, "")
			body := &script{pieces: append([]string(nil), c.in...), err: c.err}
			s := NewStream(body, Options{Dialect: c.dialect})
			assert.Equal(t, c.hold, outcome(s.Hold()))
			assert.Len(t, body.pieces, len(c.in)-c.held, "pieces left unread")
			var out bytes.Buffer
			assert.Equal(t, c.relay, outcome(s.Relay(&out, nil)))
			assert.Equal(t, all, out.String())
			assert.Equal(t, c.relay == ok, s.Whole())
			assert.Equal(t, c.saw, s.SawError())
			s.Release()

			s = NewStream(&script{pieces: append([]string(nil), c.in...), err: c.err}, Options{Dialect: c.dialect})
			err := s.HoldWhole()
			assert.Equal(t, c.whole, outcome(err))
			out.Reset()
			_ = s.Relay(&out, nil)
			assert.Equal(t, all, out.String(), "nothing that was held is lost")
			s.Release()

			// Byte by byte it means the same, but that errors count in order.
			s = NewStream(iotest.OneByteReader(&script{pieces: append([]string(nil), c.in...), err: c.err}), Options{Dialect: c.dialect})
			assert.Equal(t, c.hold, outcome(s.Hold()))
			out.Reset()
			assert.Equal(t, c.relay, outcome(s.Relay(&out, nil)))
			assert.Equal(t, all, out.String())
			s.Release()
		})
	}
}

// No front of a stream may pass for the whole.
func TestStreamCutAnywhere(t *testing.T) {
	for _, c := range []struct {
		name    string
		dialect Dialect
		in      string
		whole   int // the shortest front that is whole
	}{
		{"chat", Chat, role + hello + doneEv, len(role+hello+doneEv) - 2},
		{"chat finish", Chat, role + hello + stop + tokens, len(role+hello+stop) - 2},
		{"responses", Responses, created + textDelta + completed, len(created+textDelta+completed) - 2},
		{"messages", Messages, msgStart + msgText + msgDelta + msgStop, len(msgStart+msgText+msgDelta+msgStop) - 2},
		{"CRLF", Messages, strings.ReplaceAll(msgStart+msgText+msgStop, "\n", "\r\n"), len(msgStart+msgText+msgStop) + 9 - 4},
	} {
		t.Run(c.name, func(t *testing.T) {
			for at := range len(c.in) + 1 {
				s := NewStream(strings.NewReader(c.in[:at]), Options{Dialect: c.dialect})
				err := s.Relay(io.Discard, nil)
				assert.Equal(t, at >= c.whole, err == nil, "cut at %d", at)
				assert.Equal(t, at >= c.whole, s.Whole(), "cut at %d", at)
				s.Release()
			}
		})
	}
}

func TestStreamHoldBounds(t *testing.T) {
	for _, c := range []struct {
		name string
		o    Options
		in   []string
		held int
	}{
		{"events", Options{}, repeat(role, 40), 32},
		{"own events", Options{HoldEvents: 2}, repeat(role, 40), 2},
		{"comments count as bytes alone", Options{HoldBytes: 100, HoldEvents: 1}, repeat(": 890123\n\n", 40), 10},
		{"one large event", Options{HoldBytes: 1000}, append([]string{"data: "}, repeat("0123456789", 200)...), 101},
		{"bytes", Options{}, repeat(strings.Repeat(":", 1023)+"\n", 100), 64},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := strings.Join(c.in, "")
			body := &script{pieces: append([]string(nil), c.in...)}
			c.o.Dialect = Chat
			s := NewStream(body, c.o)
			defer s.Release()
			require.NoError(t, s.Hold())
			assert.Equal(t, c.held, len(c.in)-len(body.pieces))
			var out bytes.Buffer
			require.ErrorIs(t, s.Relay(&out, nil), ErrCut)
			assert.Equal(t, all, out.String())
		})
	}

	s := NewStream(&script{pieces: repeat(hello, 100)}, Options{Dialect: Chat, MaxWhole: 1000})
	require.NoError(t, s.HoldWhole())
	assert.False(t, s.Whole())
	var out bytes.Buffer
	require.ErrorIs(t, s.Relay(&out, nil), ErrCut)
	assert.Equal(t, strings.Repeat(hello, 100), out.String())
}

func repeat(s string, n int) []string {
	out := make([]string, n)
	for i := range out {
		out[i] = s
	}
	return out
}

// record notes what reached the client and when it was flushed.
type record struct {
	log []string
	err error
}

func (w *record) Write(p []byte) (int, error) {
	if w.err != nil {
		return 0, w.err
	}
	w.log = append(w.log, string(p))
	return len(p), nil
}

func (w *record) flush() error { w.log = append(w.log, "flush"); return nil }

func TestStreamWritesAsItReads(t *testing.T) {
	var w record
	var phases []Phase
	var tapped []string
	s := NewStream(&script{pieces: []string{role, ": x\n\n", hello, hello[:9], hello[9:], stop, doneEv, "\n"}}, Options{
		Dialect:  Chat,
		Tap:      func(data []byte, _ bool) { tapped = append(tapped, string(data)) },
		Progress: func(p Phase) { phases = append(phases, p) },
	})
	require.NoError(t, s.Hold())
	assert.True(t, s.AtBoundary(), "nothing was written")
	require.NoError(t, s.Relay(&w, w.flush))
	assert.True(t, s.AtBoundary())
	assert.Equal(t, []string{
		role + ": x\n\n" + hello, "flush", hello[:9], "flush", hello[9:], "flush", stop, "flush", doneEv, "flush", "\n", "flush",
	}, w.log)
	assert.Equal(t, []Phase{
		Waiting, Waiting, Streaming, Streaming, Streaming, Streaming, Finished, Ended, Ended,
	}, phases)
	assert.Len(t, tapped, 5)
	assert.Equal(t, 5, s.Events())
}

func TestStreamClientGone(t *testing.T) {
	gone := errors.New("broken pipe")
	var we *WriteError

	err := NewStream(&script{pieces: []string{hello, hello}}, Options{Dialect: Chat}).Relay(&record{err: gone}, nil)
	require.ErrorAs(t, err, &we)
	require.ErrorIs(t, err, gone)

	err = NewStream(&script{pieces: []string{hello, doneEv}}, Options{Dialect: Chat}).
		Relay(io.Discard, func() error { return gone })
	require.ErrorAs(t, err, &we)

	// A client that closes on reading the end has not aborted.
	var n int
	err = NewStream(&script{pieces: []string{hello, doneEv, "\n", "\n"}}, Options{Dialect: Chat}).
		Relay(io.Discard, func() error {
			if n++; n > 2 {
				return gone
			}
			return nil
		})
	require.NoError(t, err)

	// One that did not get the end has.
	n = 0
	err = NewStream(&script{pieces: []string{hello, doneEv, "\n"}}, Options{Dialect: Chat}).
		Relay(io.Discard, func() error {
			if n++; n > 1 {
				return gone
			}
			return nil
		})
	require.ErrorAs(t, err, &we)

	err = NewStream(&script{pieces: []string{hello}}, Options{Dialect: Chat}).Relay(shortWriter{}, nil)
	require.ErrorIs(t, err, io.ErrShortWrite)
}

type shortWriter struct{}

func (shortWriter) Write(p []byte) (int, error) { return len(p) - 1, nil }

func TestStreamAtBoundary(t *testing.T) {
	for in, want := range map[string]bool{
		"":                      true,
		hello:                   true,
		hello + ": x\n":         true,
		hello + "data: x":       false,
		hello + "data: x\n":     false,
		hello[:len(hello)-1]:    false,
		hello + "event: x\n":    false,
		hello + "\r\n\r\n\r":    true,
		hello + "data: 1\r\n\r": true,
	} {
		s := NewStream(&script{pieces: []string{in}, err: errBroken}, Options{Dialect: Chat})
		require.Error(t, s.Relay(io.Discard, nil))
		assert.Equal(t, want, s.AtBoundary(), "%q", in)
	}
}

func TestStreamBodiesThatMisbehave(t *testing.T) {
	s := NewStream(emptyReader{}, Options{Dialect: Chat})
	require.ErrorIs(t, s.Hold(), io.ErrNoProgress)

	// After the End, an upstream that never stops is left.
	body := io.MultiReader(strings.NewReader(hello+doneEv), endless{})
	s = NewStream(body, Options{Dialect: Chat})
	var out bytes.Buffer
	require.NoError(t, s.Relay(&out, nil))
	assert.Less(t, out.Len(), maxTrailing+2*bufferSize)

	// Data and error in one read.
	s = NewStream(iotest.DataErrReader(strings.NewReader(hello+doneEv)), Options{Dialect: Chat})
	require.NoError(t, s.Relay(io.Discard, nil))
}

type emptyReader struct{}

func (emptyReader) Read([]byte) (int, error) { return 0, nil }

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

func TestStreamLargeEvents(t *testing.T) {
	big := strings.Repeat("x", 2<<20)
	end := "event: response.completed\ndata: {\"type\":\"response.completed\",\"response\":{\"x\":\"" + big + "\"}}\n\n"
	late := "event: response.completed\ndata: {\"response\":{\"x\":\"" + big + big + big + "\"},\"type\":\"response.completed\"}\n\n"
	for _, in := range []string{created + textDelta + end, created + textDelta + late} {
		var taps int
		s := NewStream(strings.NewReader(in), Options{Dialect: Responses, Tap: func([]byte, bool) { taps++ }})
		require.NoError(t, s.Hold())
		var out bytes.Buffer
		require.NoError(t, s.Relay(&out, nil))
		assert.True(t, out.String() == in)
		if len(in) < maxEvent {
			assert.Equal(t, 3, taps)
		} else {
			assert.Equal(t, 2, taps, "what is not whole is not tapped")
		}
		s.Release()
	}
}

func compress(t testing.TB, encoding string, pieces []string, finish bool) []string {
	var buf bytes.Buffer
	var w interface {
		io.WriteCloser
		Flush() error
	}
	switch encoding {
	case "gzip":
		w = gzip.NewWriter(&buf)
	case "deflate":
		w = zlib.NewWriter(&buf)
	case "raw":
		w, _ = flate.NewWriter(&buf, 5)
	case "zstd":
		w, _ = zstd.NewWriter(&buf, zstd.WithEncoderConcurrency(1))
	}
	var out []string
	for _, p := range pieces {
		_, err := w.Write([]byte(p))
		require.NoError(t, err)
		require.NoError(t, w.Flush())
		out = append(out, buf.String())
		buf.Reset()
	}
	if finish {
		require.NoError(t, w.Close())
		out = append(out, buf.String())
	}
	return out
}

func TestStreamCompressed(t *testing.T) {
	for _, c := range []struct{ form, header string }{{"gzip", "gzip"}, {"gzip", "X-GZIP"}, {"deflate", "deflate"}, {"raw", "deflate"}, {"zstd", "zstd"}} {
		t.Run(c.form, func(t *testing.T) {
			o := Options{Dialect: Chat, Encoding: c.header}
			for name, row := range map[string]struct {
				in     []string
				finish bool
				hold   error
				relay  error
				held   int
			}{
				"whole":              {[]string{role, hello, stop, doneEv}, true, nil, nil, 2},
				"no done":            {[]string{role, hello, stop}, true, nil, nil, 2},
				"no trailer":         {[]string{hello, doneEv}, false, nil, nil, 1},
				"cut":                {[]string{role, hello}, true, nil, ErrCut, 2},
				"cut hard":           {[]string{role, hello, stop}, false, nil, ErrCut, 2},
				"cut early":          {[]string{role}, true, ErrCut, ErrCut, 2},
				"cut early and hard": {[]string{role}, false, ErrCut, ErrCut, 1},
			} {
				pieces := compress(t, c.form, row.in, row.finish)
				body := &script{pieces: append([]string(nil), pieces...)}
				s := NewStream(body, o)
				require.Equal(t, row.hold, s.Hold(), name)
				assert.Equal(t, row.held, len(pieces)-len(body.pieces), name)
				var out bytes.Buffer
				assert.Equal(t, row.relay, s.Relay(&out, nil), name)
				assert.Equal(t, strings.Join(pieces, ""), out.String(), name)
				assert.False(t, s.AtBoundary(), "no plain event fits into a compressed stream")
				s.Release()

				var w record
				var reads int
				single := o
				single.Progress = func(Phase) { reads++ }
				s = NewStream(iotest.OneByteReader(strings.NewReader(strings.Join(pieces, ""))), single)
				assert.Equal(t, row.relay, s.Relay(&w, nil), name)
				assert.Len(t, w.log, len(strings.Join(pieces, "")), "each read goes out by itself")
				assert.GreaterOrEqual(t, reads, len(w.log), "bytes that decode to nothing yet are progress")
				s.Release()
			}
		})
	}

	pieces := compress(t, "gzip", []string{role, errorEv}, true)
	s := NewStream(&script{pieces: pieces}, Options{Dialect: Chat, Encoding: "gzip"})
	var ev *EventError
	require.ErrorAs(t, s.Hold(), &ev)
	assert.JSONEq(t, `{"error":{"message":"boom"}}`, string(ev.Data))

	s = NewStream(strings.NewReader(hello+doneEv), Options{Dialect: Chat, Encoding: "gzip"})
	require.ErrorContains(t, s.Hold(), "does not decode")

	pieces = compress(t, "gzip", []string{hello}, false)
	s = NewStream(&script{pieces: pieces, err: errBroken}, Options{Dialect: Chat, Encoding: "gzip"})
	require.NoError(t, s.Hold())
	require.ErrorIs(t, s.Relay(io.Discard, nil), errBroken)

	pieces = compress(t, "gzip", []string{hello, hello}, false)
	err := NewStream(&script{pieces: pieces}, Options{Dialect: Chat, Encoding: "gzip"}).Relay(&record{err: errBroken}, nil)
	var we *WriteError
	require.ErrorAs(t, err, &we)

	// The body may have ended long before its decoded copy has.
	all := strings.Join(compress(t, "gzip", append(repeat(role, 1000), hello, doneEv), true), "")
	s = NewStream(iotest.DataErrReader(strings.NewReader(all)), Options{Dialect: Chat, Encoding: "gzip", HoldBytes: 1 << 20, HoldEvents: 1 << 20})
	require.NoError(t, s.Hold())
	var out bytes.Buffer
	require.NoError(t, s.Relay(&out, nil))
	assert.Equal(t, all, out.String())
	assert.Equal(t, 1002, s.Events())

	// An encoding that is not known here is relayed on trust.
	s = NewStream(strings.NewReader("\x28\xb5\x2f\xfd"), Options{Dialect: Chat, Encoding: "br"})
	require.NoError(t, s.Hold())
	require.NoError(t, s.Relay(io.Discard, nil))
}

func TestStreamDecompressionBomb(t *testing.T) {
	bomb := strings.Join(compress(t, "gzip", []string{"data: " + strings.Repeat("x", 8<<20)}, true), "")
	s := NewStream(strings.NewReader(bomb), Options{Dialect: Chat, Encoding: "gzip"})
	require.NoError(t, s.Hold())
	assert.Less(t, s.read, int64(200<<10), "the hold counts what comes out")
	var out bytes.Buffer
	require.ErrorIs(t, s.Relay(&out, nil), ErrCut)
	assert.True(t, out.String() == bomb)
	assert.LessOrEqual(t, cap(s.split.line)+cap(s.split.own), 3*maxEvent)
}

// The caller's timers work by cancelling the read: after a finish reason a
// silence is the end, and the client has everything by then.
func TestStreamSilenceAfterFinish(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pr, pw := io.Pipe()
		var w record
		timer := time.AfterFunc(time.Minute, func() { pw.CloseWithError(errBroken) })
		s := NewStream(pr, Options{Dialect: Chat, Progress: func(p Phase) {
			if p == Finished {
				timer.Reset(2 * time.Second)
			}
		}})
		start := time.Now()
		go io.WriteString(pw, hello+stop)
		require.NoError(t, s.Hold())
		require.ErrorIs(t, s.Relay(&w, w.flush), errBroken)
		assert.Equal(t, 2*time.Second, time.Since(start))
		assert.True(t, s.Finished())
		assert.False(t, s.Whole())
		assert.Equal(t, []string{hello + stop, "flush"}, w.log)
		s.Release()
	})
}

func TestStreamReleasesNothingInUse(t *testing.T) {
	s := NewStream(strings.NewReader("event: error\n"+errorEv), Options{Dialect: Chat})
	var ev *EventError
	require.ErrorAs(t, s.Hold(), &ev)
	used := s.small
	s.Release()
	require.Nil(t, s.small, "a second Release must not put the buffer back twice")
	s.Release()
	for i := range used {
		used[i] = 0xff
	}
	assert.Equal(t, "error", ev.Name)
	assert.JSONEq(t, `{"error":{"message":"boom"}}`, string(ev.Data))
	assert.False(t, s.Whole())
	assert.True(t, s.SawError())

	// A hold that outgrew its buffer goes back to a pooled one.
	s = NewStream(&script{pieces: append(repeat(role, 600), hello, hello, doneEv)}, Options{Dialect: Chat, HoldBytes: 1 << 20, HoldEvents: 1 << 20})
	require.NoError(t, s.Hold())
	assert.Greater(t, len(s.buf), bufferSize)
	require.NoError(t, s.Relay(io.Discard, nil))
	assert.Len(t, s.buf, smallSize)
	s.Release()
}

func BenchmarkStream(b *testing.B) {
	pieces := append([]string{role}, repeat(hello, 38)...)
	pieces = append(pieces, stop, doneEv)
	work := make([]string, len(pieces))
	b.Run("relay-41-events", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			copy(work, pieces)
			s := NewStream(&script{pieces: work}, Options{Dialect: Chat})
			_ = s.Hold()
			_ = s.Relay(io.Discard, nil)
			s.Release()
		}
	})
	b.Run("copy-41-events", func(b *testing.B) { // what a proxy that does not look would do
		b.ReportAllocs()
		for b.Loop() {
			copy(work, pieces)
			_, _ = io.CopyBuffer(struct{ io.Writer }{io.Discard}, &script{pieces: work}, make([]byte, bufferSize))
		}
	})
}

// The texts of an event that is remembered, and of those like it, are known without reading
// them again: only those of a model, and each once.
func TestStreamTexts(t *testing.T) {
	chat := func(delta string) string {
		return `data: {"id":"c","choices":[{"index":0,"delta":{` + delta + `},"finish_reason":null}]}` + "\n\n"
	}
	response := func(delta string, n int) string {
		return fmt.Sprintf(`data: {"type":"response.output_text.delta","sequence_number":%d,"item_id":"i","delta":%q,"obfuscation":"xyz"}`+"\n\n", n, delta)
	}
	for name, c := range map[string]struct {
		dialect Dialect
		events  []string
		want    []string // of all events
	}{
		"chat": {Chat, []string{chat(`"content":"one"`), chat(`"content":"t\"wo\\"`), chat(`"content":"three"`)}, []string{"one", `t\"wo\\`, "three"}},
		"reasoning and text": {
			Chat, []string{chat(`"reasoning":"a","content":"b"`), chat(`"reasoning":"c","content":"d"`)}, []string{"a", "b", "c", "d"},
		},
		"reasoning under two names": {
			Chat, []string{chat(`"reasoning":"a","reasoning_content":"a"`), chat(`"reasoning":"c","reasoning_content":"c"`)}, []string{"not known", "not known"},
		},
		"reasoning with details": {
			Chat, []string{chat(`"reasoning":"a","reasoning_details":[{"text":"a"}]`), chat(`"reasoning":"b","reasoning_details":[{"text":"b"}]`)}, []string{"not known", "not known"},
		},
		"many texts": {
			Chat, []string{chat(`"content":["a","b"],"tool_calls":[{"arguments":"1"},{"arguments":"2"},{"arguments":"3"},{"arguments":"4"},{"arguments":"5"}]`)}, []string{"not known"},
		},
		"an event of another shape": {Chat, []string{chat(`"content":"one"`), chat(`"content":"two","x":1`)}, []string{"one", "two"}},
		"not content":               {Chat, []string{chat(`"role":"assistant"`), chat(`"content":"two"`)}, []string{"not known", "two"}},
		"responses":                 {Responses, []string{response("one", 9), response("two", 10)}, []string{"one", "two"}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []string
			var s *Stream
			s = NewStream(strings.NewReader(strings.Join(c.events, "")), Options{Dialect: c.dialect, Tap: func(data []byte, _ bool) {
				if !s.Texts(data, func(text []byte) { got = append(got, string(text)) }) {
					got = append(got, "not known")
				}
			}})
			defer s.Release()
			require.NoError(t, s.Hold())
			_ = s.Relay(io.Discard, nil) // it has no end
			assert.Equal(t, c.want, got)
		})
	}
}
