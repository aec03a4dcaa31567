package relay

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// poison overwrites what the pools hold: what still aliases a buffer that was
// given back shows it, and is a race besides.
func poison() {
	var small [4]*smallBuffer
	var large [4]*buffer
	largest := wholes.Get().(*whole)
	copy(largest[:], bytes.Repeat([]byte{0xAA}, wholeSize))
	wholes.Put(largest)
	for i := range small {
		small[i], large[i] = smallBuffers.Get().(*smallBuffer), buffers.Get().(*buffer)
		copy(small[i][:], bytes.Repeat([]byte{0xAA}, smallSize))
		copy(large[i][:], bytes.Repeat([]byte{0xAA}, bufferSize))
	}
	for i := range small {
		smallBuffers.Put(small[i])
		buffers.Put(large[i])
	}
}

// Streams that come and go at once never see each other's bytes, whether they
// stay in a small buffer, outgrow it by one read or by a hold, or outgrow both.
func TestPooledBuffersAreNotShared(t *testing.T) {
	content := func(i, n int) string {
		return fmt.Sprintf("data: {\"choices\":[{\"delta\":{\"content\":%q}}]}\n\n", strings.Repeat(fmt.Sprintf("%03d ", i), n/4))
	}
	comments := func(i, n int) string { return strings.Repeat(fmt.Sprintf(": %03d\n", i), n/6) + "\n" }
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for _, text := range []string{
				content(i, 100) + content(i, 200),
				content(i, 20<<10) + content(i, 100) + content(i, 200<<10),
				comments(i, 12<<10) + content(i, 100),
				comments(i, 60<<10) + content(i, 40<<10) + content(i, 10),
			} {
				text += "data: [DONE]\n\n"
				var tapped, out bytes.Buffer
				var front Front
				body := strings.NewReader(text)
				_, err := front.PeekEvents(body, "")
				poison()
				assert.NoError(t, err)
				s := NewStream(body, Options{Dialect: Chat, Front: &front, Tap: func(data []byte, _ bool) { tapped.Write(data) }})
				err = s.Hold()
				front.Release()
				poison()
				if err == nil {
					err = s.Relay(&out, nil)
				}
				s.Recycle()
				poison()
				assert.NoError(t, err)
				assert.True(t, text == out.String(), "what was relayed is not what was sent")
				assert.Equal(t, strings.Count(text, "content"), strings.Count(tapped.String(), "content"))
			}
		})
	}
	wg.Wait()
}

// Held bodies neither, until they are given back; and those that are not the
// pool's do not get into it.
func TestHeldBodiesAreNotShared(t *testing.T) {
	var wg sync.WaitGroup
	for i := range 4 {
		wg.Go(func() {
			for _, size := range []int{100, pooledFrom - 1, pooledFrom + 1, 300 << 10, 1 << 20} {
				want := bytes.Repeat([]byte{byte(i)}, size)
				for _, length := range []int64{-1, int64(size)} {
					data, complete, err := HoldBody(bytes.NewReader(want), length, 1<<20)
					poison()
					assert.NoError(t, err)
					assert.True(t, complete)
					assert.True(t, bytes.Equal(want, data), "%d bytes are not what was sent", size)
					assert.Equal(t, size > pooledFrom, cap(data) == wholeSize, "%d bytes of a pool", size)
					ReleaseBody(data)
					poison()
				}
			}
		})
	}
	wg.Wait()
	ReleaseBody(nil)
	data, complete, err := HoldBody(bytes.NewReader(make([]byte, 4<<20)), 4<<20, 1<<20)
	require.NoError(t, err)
	assert.False(t, complete)
	assert.Equal(t, 1<<20+1, len(data))
	ReleaseBody(data[:0])
}

// A stream of short events reads into a small buffer for as long as it lasts,
// and one of long reads into a large one from the second on.
func TestBufferSizes(t *testing.T) {
	for _, tt := range []struct {
		name  string
		write int
		want  []int // what the reads were offered
	}{
		{"short", 100, []int{smallSize, smallSize, smallSize}},
		{"long", bufferSize, []int{smallSize, bufferSize, bufferSize}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var offered []int
			s := NewStream(readerFunc(func(p []byte) (int, error) {
				offered = append(offered, len(p))
				if len(offered) == len(tt.want) {
					return 0, io.EOF
				}
				return min(len(p), tt.write), nil
			}), Options{})
			defer s.Release()
			require.NoError(t, s.Relay(io.Discard, nil))
			assert.Equal(t, tt.want, offered)
		})
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }
