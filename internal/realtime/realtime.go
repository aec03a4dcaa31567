// Package realtime joins the two connections of a WebSocket session, and reads the
// server's frames as they pass.
package realtime

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha1" //nolint:gosec // the handshake of WebSockets is made of it
	"encoding/base64"
	"errors"
	"io"
	"math"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/aigateway-go/aigateway/internal/header"
)

// Causes of a session's end beside those of its context.
var (
	// ErrIdle ends a session without a frame from either side.
	ErrIdle = errors.New("no frame from either side")
	// ErrServerGone ends a session that the server left without a close frame.
	ErrServerGone = errors.New("the server left without a close frame")
)

// Session joins a client and a server. Frames pass untouched.
//
// Fields are set before Run, and not changed during it. Both connections must
// return from a blocked Read when they are closed.
type Session struct {
	Client net.Conn
	// Buffered are the bytes that were read from the client already.
	Buffered io.Reader
	Server   io.ReadWriteCloser
	Tap      Tap
	// Idle is the longest silence of both sides.
	Idle time.Duration
	// Write bounds each write to the client.
	Write time.Duration
	// First is called once, with the first message of the server. Nil is not called.
	First func()

	last    atomic.Int64 // the time of the latest bytes, from begin
	begin   time.Time
	idle    *time.Timer
	cut     atomic.Bool
	cause   error
	closing sync.Once
}

// Run carries bytes until a side leaves, the context ends, or both are silent. It
// returns nil after a close frame of a side, or if the client left. Both connections
// are closed then.
//
// Two goroutines carry the bytes, one for each direction. Run itself carries the
// server's, and returns after both have ended. The first cause of an end is the
// result.
func (s *Session) Run(ctx context.Context) error {
	s.begin = time.Now()
	s.idle = time.AfterFunc(never, s.watch)
	s.idle.Reset(s.Idle)
	defer s.idle.Stop()
	stop := context.AfterFunc(ctx, func() { s.end(context.Cause(ctx)) })
	defer stop()
	var clients sync.WaitGroup
	clients.Go(s.toServer)
	s.toClient()
	s.Client.Close()
	s.Server.Close()
	clients.Wait()
	return s.cause
}

// watch ends the session after a silence.
//
// The timer is not reset with each frame. It asks how long the silence lasts
// when it fires, and then waits for the rest.
func (s *Session) watch() {
	silent := time.Since(s.begin) - time.Duration(s.last.Load())
	if silent >= s.Idle {
		s.end(ErrIdle)
		return
	}
	s.idle.Reset(s.Idle - silent)
}

// end ends the session from within: nobody reads any more.
//
// The client's writes go on, for a close frame. A read deadline in the past
// wakes the reader of the client.
func (s *Session) end(cause error) {
	s.closing.Do(func() { s.cause = cause })
	s.cut.Store(true)
	s.Client.SetReadDeadline(time.Unix(1, 0)) //nolint:errcheck // it is closed next
	s.Server.Close()
}

// heard notes that bytes came.
func (s *Session) heard() { s.last.Store(int64(time.Since(s.begin))) }

// never is the time of a timer before its start.
const never = time.Duration(math.MaxInt64)

// size is that of the memory for each direction of a session.
const size = 4 << 10

var buffers = sync.Pool{New: func() any { return new([size]byte) }}

// toServer carries the client's frames.
//
// A server that cannot be written to ends the session as a client that left does.
func (s *Session) toServer() {
	b := buffers.Get().(*[size]byte)
	defer buffers.Put(b)
	defer func() { s.end(nil) }() // the client has left
	from := io.MultiReader(s.Buffered, s.Client)
	for {
		n, err := from.Read(b[:])
		if n > 0 {
			s.heard()
			if _, err := s.Server.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// toClient carries the server's frames.
//
// The tap reads the bytes before the client gets them. A write deadline is renewed
// only when a quarter of it is over.
func (s *Session) toClient() {
	b := buffers.Get().(*[size]byte)
	defer buffers.Put(b)
	var until time.Time
	for {
		n, err := s.Server.Read(b[:])
		if n > 0 {
			s.heard()
			s.Tap.Read(b[:n])
			if s.First != nil && s.Tap.messages > 0 {
				s.First()
				s.First = nil
			}
			if now := time.Now(); until.Sub(now) < s.Write*3/4 {
				until = now.Add(s.Write)
				s.Client.SetWriteDeadline(until) //nolint:errcheck // the write tells
			}
			if _, err := s.Client.Write(b[:n]); err != nil {
				s.end(nil)
				return
			}
		}
		if err != nil {
			s.finish()
			return
		}
	}
}

// goingAway is a close frame that says that the server goes away.
var goingAway = []byte{0x88, 2, 0x03, 0xe9}

// finish ends the client's side after the server's. A session that was cut ends in a
// close frame, if one may stand here.
//
// A close frame must not stand within another frame, so a session cut within a
// frame just ends.
func (s *Session) finish() {
	if !s.cut.Load() {
		var cause error
		if !s.Tap.closed {
			cause = ErrServerGone
		}
		s.closing.Do(func() { s.cause = cause })
		return
	}
	if s.Tap.AtBoundary() && !s.Tap.closed {
		s.Client.SetWriteDeadline(time.Now().Add(time.Second)) //nolint:errcheck // the write tells
		s.Client.Write(goingAway)                              //nolint:errcheck // the session is over either way
	}
}

// Accepts reports whether an answer to a handshake is one to its key, and agrees on nothing
// that was not offered: no extension, and none but one of the offered subprotocols. A
// client would end such a session.
//
// Where no subprotocol was offered, Chosen leaves the server's out.
func Accepts(answer http.Header, key string, offered []string) bool {
	sum := sha1.Sum([]byte(key + "258EAFA5-E914-47DA-95CA-C5AB0DC85B11")) //nolint:gosec // see the import
	chosen := strings.Join(answer["Sec-Websocket-Protocol"], ",")
	return strings.EqualFold(answer.Get("Upgrade"), "websocket") &&
		answer.Get("Sec-Websocket-Accept") == base64.StdEncoding.EncodeToString(sum[:]) &&
		strings.Join(answer["Sec-Websocket-Extensions"], "") == "" &&
		(chosen == "" || len(offered) == 0 || header.Lists(offered, chosen))
}

// Chosen is the subprotocol of an accepted answer. It is empty if none was offered: strict
// clients end a session that has one they did not ask for.
func Chosen(answer http.Header, offered []string) []string {
	if len(offered) == 0 {
		return nil
	}
	return answer["Sec-Websocket-Protocol"]
}

// IsHandshake reports whether a header asks for a WebSocket, with one key of 16 bytes. By
// two keys a client could have a provider answer to the other one.
func IsHandshake(h http.Header) bool {
	keys := h["Sec-Websocket-Key"]
	if len(keys) != 1 || !strings.EqualFold(h.Get("Upgrade"), "websocket") {
		return false
	}
	key, err := base64.StdEncoding.DecodeString(keys[0])
	return err == nil && len(key) == 16
}

// secretWords stand in the names of subprotocols that carry a client's key, such as
// openai-insecure-api-key.KEY: browsers can set no other header.
var secretWords = [...]string{"key", "token", "secret", "bearer"}

// CutKey takes the keys of a client out of a list of subprotocols, and returns the
// first.
//
// A client's key for the gateway must not reach the provider. The rest goes on to the
// provider.
func CutKey(values []string) (rest, key string) {
	rest = keep(values, func(name, value string) bool {
		for _, word := range secretWords {
			if value != "" && strings.Contains(name, word) {
				key = cmp.Or(key, value)
				return false
			}
		}
		return true
	})
	return rest, key
}

// CutAccount takes the organization and the project of a client out of a list of
// subprotocols.
//
// They name an account of the client's, and the key of the upstream belongs to
// another one.
func CutAccount(values []string) (rest string) {
	return keep(values, func(name, _ string) bool { return name != "openai-organization" && name != "openai-project" })
}

// keep leaves some of a list of subprotocols. A name is in lower case, and ends before
// the first dot.
func keep(values []string, wanted func(name, value string) bool) string {
	var kept []string
	for _, line := range values {
		for p := range strings.SplitSeq(line, ",") {
			p = strings.TrimSpace(p)
			name, value, _ := strings.Cut(p, ".")
			if p != "" && wanted(strings.ToLower(name), value) {
				kept = append(kept, p)
			}
		}
	}
	return strings.Join(kept, ", ")
}

// maxMessage bounds a message that is read as a whole, in bytes.
//
// A longer message is forgotten, and its usage is not counted.
const maxMessage = 1 << 20

// front is the length of a message's beginning that tells its type, if it has one there.
const front = 256

// metered are the types of the messages that tell usage: the end of a response, and that of
// a transcript of what the client said, which another model makes. A session that only
// transcribes has no responses.
var metered = [...][]byte{[]byte(`"response.done"`), []byte(`"conversation.item.input_audio_transcription.completed"`)}

// isMetered reports whether a message, or its front, names such a type.
func isMetered(message []byte) bool {
	for _, typ := range metered {
		if bytes.Contains(message, typ) {
			return true
		}
	}
	return false
}

// Tap reads the frames of a server as they pass. It keeps only messages that may tell
// usage.
//
// Frames follow RFC 6455, section 5.2. A message may come in several frames,
// with control frames between them. The tap never changes or delays a byte, and
// it does not check the frames: the client does.
type Tap struct {
	// Done gets each message that ends a response or a transcript. It must not keep it.
	// Nil reads nothing.
	Done func(message []byte)

	header   [14]byte
	have     int   // bytes of header
	need     int   // of the header, as far as is known; 0: a frame begins
	left     int64 // of the payload
	op       byte
	final    bool
	masked   bool
	text     bool // the message under way is text
	skip     bool // and is of no interest
	judged   bool
	message  []byte
	messages int
	closed   bool // a close frame has passed
}

// AtBoundary reports whether a frame may begin here.
func (t *Tap) AtBoundary() bool { return t.have == 0 && t.left == 0 }

const (
	opContinuation = 0
	opText         = 1
	opBinary       = 2
	opClose        = 8
)

// Read reads the next bytes of the connection.
//
// p may begin and end anywhere in a frame. The bytes are not kept beyond the
// call, but for messages of interest.
func (t *Tap) Read(p []byte) {
	for len(p) > 0 {
		if t.left > 0 {
			n := int(min(t.left, int64(len(p))))
			t.payload(p[:n])
			t.left -= int64(n)
			p = p[n:]
			if t.left == 0 {
				t.endFrame()
			}
			continue
		}
		if t.need == 0 {
			t.need = 2
		}
		n := copy(t.header[t.have:t.need], p)
		t.have, p = t.have+n, p[n:]
		if t.have == t.need {
			t.grow()
		}
	}
}

// grow looks at a header that may be whole.
//
// The second byte tells how long the header is: 2, 4 or 10 bytes, and 4 more for
// a mask. A server must not mask its frames; a masked message is skipped.
func (t *Tap) grow() {
	h := &t.header
	short := h[1] & 0x7f
	need := 2
	switch short {
	case 126:
		need = 4
	case 127:
		need = 10
	}
	if t.masked = h[1]&0x80 != 0; t.masked {
		need += 4
	}
	if t.need = need; t.have < need {
		return
	}
	switch short {
	case 126:
		t.left = int64(h[2])<<8 | int64(h[3])
	case 127:
		t.left = 0
		for _, b := range h[2:10] {
			t.left = t.left<<8 | int64(b)
		}
		t.left = max(t.left, 0)
	default:
		t.left = int64(short)
	}
	t.op, t.final = h[0]&0x0f, h[0]&0x80 != 0
	t.have, t.need = 0, 0
	switch t.op {
	case opText, opBinary:
		t.text, t.skip, t.judged = t.op == opText, t.op != opText || t.masked || t.Done == nil, false
		t.message = t.message[:0]
		t.messages++
	case opClose:
		t.closed = true
	}
	if t.left == 0 {
		t.endFrame()
	}
}

// payload keeps a part of a message of interest.
func (t *Tap) payload(p []byte) {
	if t.op > opBinary || !t.text || t.skip {
		return
	}
	t.message = append(t.message, p...)
	if !t.judged && len(t.message) >= front {
		t.judge()
	}
	if len(t.message) > maxMessage {
		t.drop()
	}
}

// judge drops a message whose beginning names another type.
//
// Without a type at the front the whole message is kept, up to its bound.
func (t *Tap) judge() {
	t.judged = true
	begin := t.message[:min(len(t.message), front)]
	if isMetered(begin) {
		return
	}
	if bytes.Contains(begin, []byte(`"type"`)) {
		t.drop()
	}
}

// drop forgets the message under way.
func (t *Tap) drop() {
	t.skip = true
	if t.message = t.message[:0]; cap(t.message) > 4*front {
		t.message = nil
	}
}

// endFrame hands a whole message on.
func (t *Tap) endFrame() {
	if t.op > opBinary || !t.final || !t.text || t.skip {
		return
	}
	if !t.judged {
		t.judge()
	}
	if !t.skip && isMetered(t.message) {
		t.Done(t.message)
	}
	t.drop()
}
