package inprocess_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/inprocess"
)

// send makes a call of a handler. Each test runs in a bubble, which fails if a
// goroutine is left.
func send(ctx context.Context, t *testing.T, method string, body io.Reader, h http.HandlerFunc) (*http.Response, error) {
	t.Helper()
	r, err := http.NewRequestWithContext(ctx, method, "http://any/path?q=1", body)
	require.NoError(t, err)
	return (&inprocess.Transport{Handler: h}).RoundTrip(r)
}

// bubble runs a test in virtual time. No goroutine may be left at its end.
func bubble(t *testing.T, name string, test func(t *testing.T)) {
	t.Run(name, func(t *testing.T) { synctest.Test(t, test) })
}

func TestEarlyClose(t *testing.T) {
	for name, write := range map[string]func(w http.ResponseWriter){
		"nothing waits":       func(http.ResponseWriter) {},
		"a large write waits": func(w http.ResponseWriter) { w.Write(make([]byte, 1<<20)) },
		"small writes without end": func(w http.ResponseWriter) {
			for err := error(nil); err == nil; {
				_, err = w.Write(make([]byte, 1000))
			}
		},
	} {
		bubble(t, name, func(t *testing.T) {
			var after error
			resp, err := send(t.Context(), t, http.MethodGet, nil, func(w http.ResponseWriter, r *http.Request) {
				w.(http.Flusher).Flush()
				write(w)
				<-r.Context().Done()
				_, after = w.Write([]byte("late"))
			})
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			require.NoError(t, resp.Body.Close(), "a second close does nothing")
			synctest.Wait()
			assert.ErrorIs(t, after, io.ErrClosedPipe)
			_, err = resp.Body.Read(make([]byte, 1))
			assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		})
	}
}

// A read that waits comes back when the body is closed, even if the handler goes on.
func TestCloseEndsARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		release := make(chan struct{})
		resp, err := send(t.Context(), t, http.MethodGet, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.(http.Flusher).Flush()
			<-release
		})
		require.NoError(t, err)
		read := make(chan error, 1)
		go func() {
			_, err := resp.Body.Read(make([]byte, 1))
			read <- err
		}()
		synctest.Wait()
		resp.Body.Close()
		synctest.Wait()
		select {
		case err := <-read:
			assert.ErrorIs(t, err, http.ErrBodyReadAfterClose)
		default:
			t.Error("the read still waits")
		}
		close(release)
	})
}

func TestCancel(t *testing.T) {
	cause := errors.New("the user has left")
	bubble(t, "before the call", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		cancel(cause)
		body := &closing{Reader: strings.NewReader("x")}
		_, err := send(ctx, t, http.MethodPost, body, func(http.ResponseWriter, *http.Request) { t.Error("the handler ran") })
		assert.ErrorIs(t, err, cause)
		assert.True(t, body.closed)
	})
	bubble(t, "before the answer", func(t *testing.T) {
		ctx, cancel := context.WithCancelCause(t.Context())
		body := &closing{Reader: strings.NewReader("x")}
		time.AfterFunc(time.Second, func() { cancel(cause) })
		_, err := send(ctx, t, http.MethodPost, body, func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() })
		assert.ErrorIs(t, err, cause)
		synctest.Wait()
		assert.True(t, body.closed)
	})
	for name, size := range map[string]int{"in the answer": 1, "in a write that waits": 1 << 20} {
		bubble(t, name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(time.Second, func() { cancel(cause) })
			var written error
			resp, err := send(ctx, t, http.MethodGet, nil, func(w http.ResponseWriter, r *http.Request) {
				w.Write([]byte("front"))
				w.(http.Flusher).Flush()
				_, written = w.Write(make([]byte, size))
				<-r.Context().Done()
			})
			require.NoError(t, err)
			_, err = io.ReadFull(resp.Body, make([]byte, 5))
			require.NoError(t, err)
			gatewaytest.Pass(2 * time.Second)
			_, err = io.ReadAll(resp.Body)
			assert.ErrorIs(t, err, cause)
			if size > 1 {
				assert.ErrorIs(t, written, context.Canceled)
			}
		})
	}
	bubble(t, "after the handler", func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		resp, err := send(ctx, t, http.MethodGet, nil, func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("all")) })
		require.NoError(t, err)
		synctest.Wait()
		cancel()
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err, "the bytes are there")
		assert.Equal(t, "all", string(body))
	})
}

// closing is a body that tells whether it was closed.
type closing struct {
	io.Reader
	closed bool
}

func (c *closing) Close() error { c.closed = true; return nil }

// Each mixture of writes arrives whole and in order, however slowly it is read.
func TestReaderSlowerThanWriter(t *testing.T) {
	for _, step := range []int{1 << 10, 5000, 16 << 10, 1 << 20} {
		synctest.Test(t, func(t *testing.T) {
			var want bytes.Buffer
			done := false
			resp, err := send(t.Context(), t, http.MethodGet, nil, func(w http.ResponseWriter, _ *http.Request) {
				for i := range 60 {
					p := bytes.Repeat([]byte{byte('a' + i%26)}, []int{1, 100, 16<<10 - 1, 16 << 10, 16<<10 + 1, 40_000}[i%6])
					want.Write(p)
					n, err := w.Write(p)
					if n != len(p) || err != nil {
						t.Errorf("write %d: %d, %v", i, n, err)
					}
					clear(p) // the writer may use its bytes again
					if i%7 == 0 {
						w.(http.Flusher).Flush()
					}
				}
				done = true
			})
			require.NoError(t, err)
			synctest.Wait()
			assert.False(t, done, "a writer waits for its reader")
			var got bytes.Buffer
			p := make([]byte, step)
			for err = nil; err == nil; {
				var n int
				n, err = resp.Body.Read(p)
				got.Write(p[:n])
			}
			require.ErrorIs(t, err, io.EOF)
			assert.True(t, bytes.Equal(want.Bytes(), got.Bytes()))
			assert.True(t, done)
		})
	}
}

// What was flushed is there, and what was not waits for a flush or the end.
func TestFlushDelivers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp, err := send(t.Context(), t, http.MethodGet, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Write([]byte("one"))
			w.(http.Flusher).Flush()
			w.Write([]byte("two"))
			gatewaytest.Pass(time.Second)
		})
		require.NoError(t, err)
		start, p := time.Now(), make([]byte, 9)
		n, err := resp.Body.Read(p)
		require.NoError(t, err)
		assert.Equal(t, "one", string(p[:n]))
		assert.Zero(t, time.Since(start))
		n, err = resp.Body.Read(p)
		require.NoError(t, err)
		assert.Equal(t, "two", string(p[:n]))
		assert.Equal(t, time.Second, time.Since(start))
		resp.Body.Close()
	})
}

func TestWriteDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var written error
		resp, err := send(t.Context(), t, http.MethodGet, nil, func(w http.ResponseWriter, _ *http.Request) {
			assert.NoError(t, http.NewResponseController(w).SetWriteDeadline(time.Now().Add(time.Second)))
			_, written = w.Write(make([]byte, 1<<20))
		})
		require.NoError(t, err)
		gatewaytest.Pass(2 * time.Second)
		synctest.Wait()
		assert.ErrorIs(t, written, os.ErrDeadlineExceeded)
		_, err = io.ReadAll(resp.Body)
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
	})
}

func TestPanic(t *testing.T) {
	for name, tc := range map[string]struct {
		value any
		told  bool
	}{"of its own": {"boom", true}, "to abort": {http.ErrAbortHandler, false}} {
		for _, at := range []string{"before the answer", "before a flush", "after a flush"} {
			bubble(t, name+" "+at, func(t *testing.T) {
				var told any
				transport := &inprocess.Transport{
					Panicked: func(v any, stack []byte) { told = v; assert.NotEmpty(t, stack) },
					Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
						if at != "before the answer" {
							w.Write([]byte("half"))
						}
						if at == "after a flush" {
							w.(http.Flusher).Flush()
						}
						panic(tc.value)
					}),
				}
				r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://any/", nil)
				require.NoError(t, err)
				resp, err := transport.RoundTrip(r)
				if at == "before the answer" {
					assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
				} else {
					require.NoError(t, err)
					body, err := io.ReadAll(resp.Body)
					assert.Equal(t, "half", string(body))
					assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
				}
				synctest.Wait()
				assert.Equal(t, tc.told, told != nil)
			})
		}
	}
}

// An informational answer is not the answer. Those without a body end at once.
func TestStatuses(t *testing.T) {
	for name, tc := range map[string]struct {
		method string
		h      http.HandlerFunc
		status int
		length int64
		wrote  error
		body   string
	}{
		"1xx": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.WriteHeader(http.StatusContinue)
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusAccepted)
			w.WriteHeader(http.StatusTeapot)
		}, 202, 2, nil, "ok"},
		"none": {"GET", func(http.ResponseWriter, *http.Request) {}, 200, 2, nil, "ok"},
		"HEAD": {"HEAD", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "7") }, 200, 7, nil, ""},
		"204":  {"GET", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }, 204, 0, http.ErrBodyNotAllowed, ""},
		"304": {"GET", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "7")
			w.WriteHeader(http.StatusNotModified)
		}, 304, 0, http.ErrBodyNotAllowed, ""},
		"too long": {"GET", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Content-Length", "0") }, 200, 0, http.ErrContentLength, ""},
	} {
		bubble(t, name, func(t *testing.T) {
			var wrote error
			resp, err := send(t.Context(), t, tc.method, nil, func(w http.ResponseWriter, r *http.Request) {
				tc.h(w, r)
				_, wrote = w.Write([]byte("ok"))
			})
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, tc.status, resp.StatusCode)
			assert.Equal(t, tc.length, resp.ContentLength)
			assert.Equal(t, tc.body, string(body))
			assert.ErrorIs(t, wrote, tc.wrote)
		})
	}
}

// An answer shorter than it says is broken.
func TestShortAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp, err := send(t.Context(), t, http.MethodGet, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Length", "9")
			w.Write([]byte("ok"))
		})
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		assert.ErrorIs(t, err, io.ErrUnexpectedEOF)
		assert.Equal(t, "ok", string(body))
	})
}

// Trailers are there at the end, under the names that the header declares.
func TestTrailers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp, err := send(t.Context(), t, http.MethodGet, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Add("Trailer", "x-sum, X-Unset")
			w.Header().Add("Trailer", "X-More")
			w.Write([]byte("body"))
			w.Header().Set("X-Sum", "4")
			w.Header().Set("X-More", "yes")
			w.Header().Set("X-Undeclared", "no")
		})
		require.NoError(t, err)
		assert.Equal(t, http.Header{"X-Sum": nil, "X-Unset": nil, "X-More": nil}, resp.Trailer)
		assert.Empty(t, resp.Header.Get("Trailer"))
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		assert.Equal(t, "body", string(body))
		assert.Equal(t, http.Header{"X-Sum": {"4"}, "X-Unset": nil, "X-More": {"yes"}}, resp.Trailer)
		assert.Empty(t, resp.Header.Get("X-Sum"))
	})
}

// The handler sees a request as a server would make it.
func TestRequest(t *testing.T) {
	for name, tc := range map[string]struct {
		body   io.Reader
		length int64
	}{
		"no body": {nil, 0}, "http.NoBody": {http.NoBody, 0}, "a length": {strings.NewReader("hello"), 5},
		"no length": {io.MultiReader(strings.NewReader("hel"), strings.NewReader("lo")), -1},
	} {
		bubble(t, name, func(t *testing.T) {
			resp, err := send(t.Context(), t, http.MethodPost, tc.body, func(w http.ResponseWriter, r *http.Request) {
				got, err := io.ReadAll(r.Body)
				assert.NoError(t, err)
				assert.NoError(t, r.Body.Close())
				assert.Equal(t, tc.length, r.ContentLength)
				assert.Equal(t, tc.length == 0, r.Body == http.NoBody)
				assert.Equal(t, tc.length != 0, string(got) == "hello")
				assert.Equal(t, "/path?q=1", r.RequestURI)
				assert.Equal(t, "any", r.Host)
				assert.NotNil(t, r.Header)
				r.Header.Set("X-Mine", "handler")
			})
			require.NoError(t, err)
			defer resp.Body.Close()
			assert.Empty(t, resp.Request.Header.Get("X-Mine"), "the caller's header is the caller's")
		})
	}
}

// The handler's URL is one that a server would read. It stays, whatever the caller does
// with its own once the answer is closed.
func TestURL(t *testing.T) {
	for want, u := range map[string]*url.URL{
		"/a%2Fb?q=1":    {Scheme: "http", Host: "any", User: url.User("ann"), Path: "/a/b", RawPath: "/a%2Fb", RawQuery: "q=1", Fragment: "part"},
		"/":             {Scheme: "http", Host: "any"},
		"/?":            {Scheme: "http", Host: "any", ForceQuery: true},
		"http://any/x?": {Scheme: "http", Opaque: "//any/x", ForceQuery: true}, // net/http sends such a target whole
	} {
		bubble(t, want, func(t *testing.T) {
			release, seen := make(chan struct{}), make(chan string, 2)
			h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				w.(http.Flusher).Flush()
				seen <- r.URL.String()
				<-release
				seen <- r.URL.String()
			})
			resp, err := (&inprocess.Transport{Handler: h}).RoundTrip(&http.Request{URL: u})
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
			assert.Equal(t, want, <-seen)
			*u = url.URL{Path: "/another"}
			close(release)
			assert.Equal(t, want, <-seen)
		})
	}
}

// A name without a value, by which a handler declines a default of net/http, is not in
// the answer.
func TestEmptyHeader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp, err := send(t.Context(), t, http.MethodGet, nil, func(w http.ResponseWriter, _ *http.Request) {
			w.Header()["Content-Type"] = nil
			w.Write([]byte("ok"))
		})
		require.NoError(t, err)
		defer resp.Body.Close()
		assert.NotContains(t, resp.Header, "Content-Type")
	})
}

// A body that breaks, or has another length than it says, breaks the call.
func TestBrokenUpload(t *testing.T) {
	broken := errors.New("the disk is gone")
	for name, tc := range map[string]struct {
		body   io.Reader
		length int64
		err    string
	}{
		"breaks":    {io.MultiReader(strings.NewReader("a"), &failing{broken}), -1, "the disk is gone"},
		"too short": {io.MultiReader(strings.NewReader("a")), 3, "the body has 1 bytes, and ContentLength is 3"},
		"too long":  {io.MultiReader(strings.NewReader("abc")), 1, "the body has 3 bytes, and ContentLength is 1"},
	} {
		bubble(t, name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://any/", tc.body)
			require.NoError(t, err)
			r.ContentLength = tc.length
			_, err = (&inprocess.Transport{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				_, err := io.ReadAll(r.Body)
				assert.Error(t, err)
				assert.Error(t, r.Context().Err())
			})}).RoundTrip(r)
			require.ErrorContains(t, err, tc.err)
		})
	}
}

type failing struct{ err error }

func (f *failing) Read([]byte) (int, error) { return 0, f.err }

// A read of the upload that waits ends with its deadline, and with the call.
func TestWaitingUpload(t *testing.T) {
	for name, deadline := range map[string]bool{"deadline": true, "the caller leaves": false} {
		bubble(t, name, func(t *testing.T) {
			body, end := io.Pipe()
			defer end.Close()
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			var read error
			var took time.Duration
			resp, err := send(ctx, t, http.MethodPost, body, func(w http.ResponseWriter, r *http.Request) {
				start := time.Now()
				if deadline {
					assert.NoError(t, http.NewResponseController(w).SetReadDeadline(start.Add(time.Second)))
				}
				_, read = r.Body.Read(make([]byte, 1))
				took = time.Since(start)
				w.WriteHeader(http.StatusRequestTimeout)
			})
			synctest.Wait()
			require.Error(t, read)
			if !deadline {
				assert.ErrorIs(t, err, context.DeadlineExceeded)
				assert.Equal(t, 2*time.Second, took)
				return
			}
			require.NoError(t, err)
			resp.Body.Close()
			assert.Equal(t, http.StatusRequestTimeout, resp.StatusCode)
			assert.Equal(t, time.Second, took)
		})
	}
}

func TestNoURL(t *testing.T) {
	_, err := (&inprocess.Transport{}).RoundTrip(&http.Request{})
	assert.EqualError(t, err, "inprocess: the request has no URL")
}

// A request that could not go over a socket fails before its handler sees it, and its
// body is closed.
func TestUnsoundRequest(t *testing.T) {
	for want, change := range map[string]func(*http.Request){
		`inprocess: invalid method "PO ST"`: func(r *http.Request) { r.Method = "PO ST" },
		`inprocess: invalid header name "X Y"`: func(r *http.Request) {
			r.Header["X Y"] = []string{"a"}
		},
		`inprocess: the value of the header "X-Y" holds a line break or control character`: func(r *http.Request) {
			r.Header["X-Y"] = []string{"a", "sk-secret\r\nX-Z: 1"}
		},
		`inprocess: the request has no body, and ContentLength is 5`: func(r *http.Request) { r.Body, r.ContentLength = http.NoBody, 5 },
	} {
		body := &closes{Reader: strings.NewReader("x")}
		r, err := http.NewRequest(http.MethodPost, "http://any/", body)
		require.NoError(t, err)
		change(r)
		unsent := r.Body == http.NoBody
		_, err = (&inprocess.Transport{Handler: http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("it was handled") })}).RoundTrip(r)
		assert.EqualError(t, err, want)
		assert.True(t, body.closed || unsent, want)
	}
}

type closes struct {
	io.Reader
	closed bool
}

func (c *closes) Close() error {
	c.closed = true
	return nil
}

// Names of headers reach the handler as they would over a socket. The caller's header
// stays as it is.
func TestHeaderNames(t *testing.T) {
	r, err := http.NewRequest(http.MethodGet, "http://any/", nil)
	require.NoError(t, err)
	r.Header = http.Header{"x-request-id": {"a"}, "X-Request-Id": {"b"}, "openai-beta": {"c"}}
	var got http.Header
	resp, err := (&inprocess.Transport{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { got = r.Header })}).RoundTrip(r)
	require.NoError(t, err)
	resp.Body.Close()
	assert.ElementsMatch(t, []string{"a", "b"}, got["X-Request-Id"])
	assert.Equal(t, []string{"c"}, got["Openai-Beta"])
	assert.Len(t, got, 2)
	assert.Len(t, r.Header, 3)
}
