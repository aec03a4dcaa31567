package h2suite

import (
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/stretchr/testify/assert"
	"golang.org/x/net/http2"
)

// TestHostileClient plays attacks that HTTP/2 ends with their stream. A bystander's
// request on the same connection, sent behind the attack's, is answered whole.
func TestHostileClient(t *testing.T) {
	noWindow := []http2.Setting{{ID: http2.SettingInitialWindowSize, Val: 0}}
	tests := []struct {
		name    string
		initial []http2.Setting
		// attack uses stream 1, and returns its reply. It may last until ended.
		attack func(c *client, ended <-chan struct{}) *reply
		want   string
		away   bool // the provider was asked for an endless answer
	}{
		{name: "a window of zero", initial: noWindow, away: true, want: "INTERNAL_ERROR", attack: func(c *client, _ <-chan struct{}) *reply {
			return c.request(1, endless)
		}},
		{name: "a window that is not opened again", away: true, want: "INTERNAL_ERROR", attack: func(c *client, _ <-chan struct{}) *reply {
			return c.request(1, endless)
		}},
		{name: "a window that opens by a byte at a time", initial: noWindow, away: true, want: "INTERNAL_ERROR", attack: func(c *client, ended <-chan struct{}) *reply {
			r := c.request(1, endless)
			go every(20*time.Millisecond, ended, func() bool { return c.window(1, 1) })
			return r
		}},
		{name: "a window that SETTINGS close", away: true, want: "INTERNAL_ERROR", attack: func(c *client, _ <-chan struct{}) *reply {
			c.settings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 20})
			r := c.request(1, endless)
			<-r.first
			c.settings(noWindow...)
			return r
		}},
		{name: "RST_STREAM behind content", away: true, attack: func(c *client, _ <-chan struct{}) *reply {
			r := c.request(1, endless)
			<-r.first
			c.reset(1, http2.ErrCodeCancel)
			return nil
		}},
		{name: "a body that never comes", want: "408", attack: func(c *client, _ <-chan struct{}) *reply {
			return c.begin(1, 100)
		}},
		{name: "a body that never goes on", want: "408", attack: func(c *client, _ <-chan struct{}) *reply {
			r := c.begin(1, 100)
			c.data(1, false, `{"model":`)
			return r
		}},
		{name: "a body of empty frames", want: "408", attack: func(c *client, ended <-chan struct{}) *reply {
			r := c.begin(1, 100)
			go every(20*time.Millisecond, ended, func() bool { return c.data(1, false, "") })
			return r
		}},
		{name: "a body of a byte at a time", want: "408", attack: func(c *client, ended <-chan struct{}) *reply {
			r := c.begin(1, 100_000)
			go every(20*time.Millisecond, ended, func() bool { return c.data(1, false, " ") })
			return r
		}},
		{name: "more than its content-length", want: "PROTOCOL_ERROR", attack: func(c *client, _ <-chan struct{}) *reply {
			r := c.begin(1, 10)
			c.data(1, true, strings.Repeat(" ", 20))
			return r
		}},
		{name: "a header that unpacks to 60 MiB", want: "431", attack: func(c *client, _ <-chan struct{}) *reply {
			r := &reply{first: make(chan struct{}), done: make(chan struct{})}
			c.mu.Lock()
			c.streams[1] = r
			c.mu.Unlock()
			fields := c.fields(0)
			for range 15_000 { // each but the first is one byte, by HPACK's table
				fields = append(fields, "x", strings.Repeat("x", 4000))
			}
			c.header(1, true, fields...)
			return r
		}},
		{name: "a flood of RST_STREAM", attack: func(c *client, _ <-chan struct{}) *reply {
			for i := range uint32(5_000) {
				c.request(1+2*i, "hello")
				c.reset(1+2*i, http2.ErrCodeCancel)
			}
			return nil
		}},
		{name: "a storm of SETTINGS", want: "whole", attack: func(c *client, _ <-chan struct{}) *reply {
			c.settingsStorm(5_000)
			return c.request(1, "hello")
		}},
		{name: "a flood of PING", want: "whole", attack: func(c *client, _ <-chan struct{}) *reply {
			c.pingFlood(5_000)
			return c.request(1, "hello")
		}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			before, heap := runtime.NumGoroutine(), heapInUse()
			f := newFront(t)
			c := f.dial(t, true, tt.initial...)
			ended := make(chan struct{})
			victim := tt.attack(c, ended)
			bystander := c.withWindow(behind)
			assert.Equal(t, "whole", c.outcome(bystander), "the bystander")
			if victim != nil {
				assert.Equal(t, tt.want, c.outcome(victim))
			}
			if tt.away {
				f.away(t)
			}
			close(ended)
			assert.Equal(t, "whole", c.outcome(c.withWindow(behind+2)), "the connection goes on")
			assert.Less(t, heapInUse(), heap+16<<20)
			c.conn.Close()
			<-c.ended
			f.close(t)
			gatewaytest.Settled(t, before)
		})
	}
}

// behind is a stream behind those of each attack.
const behind = 20_001

// withWindow sends a request, and opens its windows.
func (c *client) withWindow(stream uint32) *reply {
	r := c.request(stream, "hello")
	c.window(stream, 1<<20)
	return r
}

// every calls do until it returns false or the test goes on.
func every(d time.Duration, ended <-chan struct{}, do func() bool) {
	tick := time.NewTicker(d)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
			if !do() {
				return
			}
		case <-ended:
			return
		}
	}
}

// TestHostileConnection plays attacks that end their connection. Other clients are
// served as before, and the provider is left.
func TestHostileConnection(t *testing.T) {
	for _, tt := range []struct {
		name   string
		reads  bool
		attack func(c *client)
		// asked is the most requests that may reach the provider.
		asked int64
		away  bool
	}{
		{name: "a flood of CONTINUATION", reads: true, attack: func(c *client) { c.continuationFlood(1, c.fields(10)...) }},
		{name: "a flood of CONTINUATION in the trailer", reads: true, attack: func(c *client) {
			c.begin(1, 10)
			c.continuationFlood(1)
		}},
		{name: "a storm of SETTINGS, and nothing is read", attack: func(c *client) { c.settingsStorm(most / 15) }},
		{name: "a flood of PING, and nothing is read", attack: func(c *client) { c.pingFlood(most / 17) }},
		{name: "GOAWAY and the end behind content", reads: true, asked: 1, away: true, attack: func(c *client) {
			r := c.request(1, endless)
			<-r.first
			c.peer.goAway(0, http2.ErrCodeNo)
			c.conn.Close()
		}},
		{name: "frames of a stream that was not opened", reads: true, attack: func(c *client) { c.data(7, false, "x") }},
		{name: "PUSH_PROMISE of a client", reads: true, attack: func(c *client) {
			c.write(func(f *http2.Framer) error {
				return f.WritePushPromise(http2.PushPromiseParam{StreamID: 1, PromiseID: 2, BlockFragment: c.fragment(c.fields(0)), EndHeaders: true})
			})
		}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			before, heap := runtime.NumGoroutine(), heapInUse()
			f := newFront(t)
			c := f.dial(t, tt.reads)
			begin := time.Now()
			tt.attack(c)
			if tt.reads {
				timer := time.AfterFunc(bound, func() { c.conn.Close() })
				<-c.ended
				timer.Stop()
			}
			assert.Less(t, time.Since(begin), bound, "the server lets the attack go on")
			assert.Less(t, c.written.Load(), int64(most), "the server lets the attack go on")
			if tt.away {
				f.away(t)
			}
			assert.LessOrEqual(t, f.asked.Load(), tt.asked, "requests at the provider")
			assert.Less(t, heapInUse(), heap+16<<20)
			c.conn.Close()
			f.close(t)
			gatewaytest.Settled(t, before)
		})
	}
}
