package h2suite

import (
	"bytes"
	"io"
	"net"
	"sync"
	"sync/atomic"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// peer is one end of an HTTP/2 connection, frame by frame. Frames may be written from
// many goroutines. Errors of writing are kept, not returned: the other end may close
// the connection at any time.
type peer struct {
	conn    net.Conn
	framer  *http2.Framer
	written atomic.Int64 // bytes

	mu     sync.Mutex // guards writing
	err    error
	block  bytes.Buffer
	encode *hpack.Encoder
}

func newPeer(conn net.Conn) *peer {
	p := &peer{conn: conn}
	p.framer = http2.NewFramer(io.MultiWriter(conn, (*tally)(&p.written)), conn)
	p.framer.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	p.framer.AllowIllegalWrites = true
	p.encode = hpack.NewEncoder(&p.block)
	return p
}

// tally counts bytes.
type tally atomic.Int64

func (n *tally) Write(b []byte) (int, error) {
	(*atomic.Int64)(n).Add(int64(len(b)))
	return len(b), nil
}

// write writes frames together. It reports whether the connection still takes them.
func (p *peer) write(frames func(f *http2.Framer) error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = frames(p.framer)
	}
	return p.err == nil
}

// header writes a header block in one frame. The fields are names and values in turn.
func (p *peer) header(stream uint32, end bool, fields ...string) bool {
	return p.write(func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: p.fragment(fields), EndStream: end, EndHeaders: true})
	})
}

// fragment encodes header fields. The lock is held.
func (p *peer) fragment(fields []string) []byte {
	p.block.Reset()
	for i := 0; i+1 < len(fields); i += 2 {
		p.encode.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return bytes.Clone(p.block.Bytes())
}

func (p *peer) data(stream uint32, end bool, text string) bool {
	return p.write(func(f *http2.Framer) error { return f.WriteData(stream, end, []byte(text)) })
}

func (p *peer) reset(stream uint32, code http2.ErrCode) bool {
	return p.write(func(f *http2.Framer) error { return f.WriteRSTStream(stream, code) })
}

func (p *peer) goAway(last uint32, code http2.ErrCode) bool {
	return p.write(func(f *http2.Framer) error { return f.WriteGoAway(last, code, nil) })
}

func (p *peer) settings(list ...http2.Setting) bool {
	return p.write(func(f *http2.Framer) error { return f.WriteSettings(list...) })
}

// window allows the other end more bytes of a stream, and of the connection too.
func (p *peer) window(stream, n uint32) bool {
	return p.write(func(f *http2.Framer) error {
		if err := f.WriteWindowUpdate(stream, n); err != nil {
			return err
		}
		return f.WriteWindowUpdate(0, n)
	})
}

// most bounds the bytes of a flood. A flood that gets there was not ended.
const most = 64 << 20

// continuationFlood begins a header block and never ends it.
func (p *peer) continuationFlood(stream uint32, fields ...string) {
	p.write(func(f *http2.Framer) error {
		return f.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: p.fragment(fields)})
	})
	filler := string(bytes.Repeat([]byte("x"), 1<<10))
	for p.written.Load() < most && p.write(func(f *http2.Framer) error {
		return f.WriteContinuation(stream, false, p.fragment([]string{"x-filler", filler}))
	}) {
	}
}

// settingsStorm sends n frames that each want an acknowledgement.
func (p *peer) settingsStorm(n int) {
	for i := range n {
		if !p.settings(http2.Setting{ID: http2.SettingMaxConcurrentStreams, Val: uint32(100 + i%2)}) {
			return
		}
	}
}

// pingFlood sends n frames that each want an acknowledgement.
func (p *peer) pingFlood(n int) {
	for i := range n {
		if !p.write(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{byte(i)}) }) {
			return
		}
	}
}
