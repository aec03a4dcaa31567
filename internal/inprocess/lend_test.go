package inprocess_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/inprocess"
)

const lentSize = 32 << 10

// large is a body that is lent.
func large() []byte { return bytes.Repeat([]byte("x"), lentSize) }

// A large body in memory is lent as it lies there. Any other is read.
func TestBorrow(t *testing.T) {
	own := large()
	for name, tc := range map[string]struct {
		body   io.Reader
		length int64 // in place of the body's own
		limit  int64
		lent   bool
	}{
		"bytes.Reader":         {body: bytes.NewReader(own), lent: true},
		"bytes.Buffer":         {body: bytes.NewBuffer(own), lent: true},
		"without a NopCloser":  {body: &closes{Reader: bytes.NewReader(own)}, length: lentSize},
		"strings.Reader":       {body: strings.NewReader(string(own))},
		"small":                {body: bytes.NewReader(own[:lentSize-1])},
		"over the limit":       {body: bytes.NewReader(own), limit: lentSize - 1},
		"longer than it says":  {body: bytes.NewReader(append(large(), "more"...)), length: lentSize},
		"shorter than it says": {body: bytes.NewReader(own), length: lentSize + 1},
		"none":                 {},
	} {
		bubble(t, name, func(t *testing.T) {
			r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://any/", tc.body)
			require.NoError(t, err)
			if tc.length != 0 {
				r.ContentLength = tc.length
			}
			if tc.limit == 0 {
				tc.limit = 1 << 20
			}
			resp, err := (&inprocess.Transport{Handler: http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
				got := inprocess.Borrow(r, tc.limit)
				if assert.Equal(t, tc.lent, got != nil); !tc.lent {
					return
				}
				assert.Same(t, &own[0], &got[0], "it is not copied")
				assert.Len(t, got, lentSize)
				assert.Equal(t, len(got), cap(got), "what is appended leaves the caller's memory alone")
				n, err := r.Body.Read(make([]byte, 1))
				assert.Zero(t, n)
				assert.Equal(t, io.EOF, err, "it was read")
				assert.Nil(t, inprocess.Borrow(r, tc.limit), "it is lent once")
				inprocess.GiveBack(r)
				inprocess.GiveBack(r)
			})}).RoundTrip(r)
			require.NoError(t, err)
			require.NoError(t, resp.Body.Close())
		})
	}
}

// A body of which a part was read is read to its end.
func TestBorrowAfterARead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		resp, err := send(t.Context(), t, http.MethodPost, bytes.NewReader(large()), func(_ http.ResponseWriter, r *http.Request) {
			_, err := r.Body.Read(make([]byte, 1))
			assert.NoError(t, err)
			assert.Nil(t, inprocess.Borrow(r, 1<<20))
			rest, err := io.ReadAll(r.Body)
			assert.NoError(t, err)
			assert.Len(t, rest, lentSize-1)
		})
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
	})
}

// Only requests of this package lend their bodies.
func TestBorrowOfAnotherRequest(t *testing.T) {
	r, err := http.NewRequest(http.MethodPost, "http://any/", bytes.NewReader(large()))
	require.NoError(t, err)
	assert.Nil(t, inprocess.Borrow(r, 1<<20))
	inprocess.GiveBack(r)
}

// A small body is read, and not behind a caller that has left: its bytes are the caller's
// again. Run it with the race detector.
func TestNothingIsReadBehindALeaver(t *testing.T) {
	for name, body := range map[string]func([]byte) io.Reader{
		"bytes.Reader": func(b []byte) io.Reader { return bytes.NewReader(b) },
		"bytes.Buffer": func(b []byte) io.Reader { return bytes.NewBuffer(b) },
	} {
		bubble(t, name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			cause := errors.New("the user has left")
			own, used, read := []byte("a prompt"), make(chan struct{}), make(chan []byte, 1)
			_, err := send(ctx, t, http.MethodPost, body(own), func(_ http.ResponseWriter, r *http.Request) {
				cancel(cause)
				<-used
				got, err := io.ReadAll(r.Body)
				assert.Error(t, err)
				read <- got
			})
			require.ErrorIs(t, err, cause)
			copy(own, "another!")
			close(used)
			assert.Empty(t, <-read)
		})
	}
}

// A caller that leaves gets its bytes back first: the handler still reads them.
func TestLeavingWaitsForALentBody(t *testing.T) {
	cause := errors.New("the user has left")
	for name, tc := range map[string]struct{ answered, gives, panics bool }{
		"before the answer, until the handler returns":    {},
		"before the answer, until the handler panics":     {panics: true},
		"before the answer, until the body is given back": {gives: true},
		"in the answer, until the handler returns":        {answered: true},
		"in the answer, until the handler panics":         {answered: true, panics: true},
		"in the answer, until the body is given back":     {answered: true, gives: true},
	} {
		bubble(t, name, func(t *testing.T) {
			ctx, cancel := context.WithCancelCause(t.Context())
			defer cancel(nil)
			own, end := large(), make(chan struct{})
			begin, want := time.Now(), time.Second
			resp, err := send(ctx, t, http.MethodPost, bytes.NewReader(own), func(w http.ResponseWriter, r *http.Request) {
				got := inprocess.Borrow(r, 1<<20)
				if tc.answered {
					w.(http.Flusher).Flush()
				} else {
					time.AfterFunc(time.Second, func() { cancel(cause) })
				}
				<-r.Context().Done()
				gatewaytest.Pass(time.Second) // it has still to notice
				assert.Equal(t, large(), got)
				switch {
				case tc.gives:
					inprocess.GiveBack(r)
					<-end
				case tc.panics:
					panic(http.ErrAbortHandler)
				}
			})
			if tc.answered {
				require.NoError(t, err)
				require.NoError(t, resp.Body.Close())
			} else {
				require.ErrorIs(t, err, cause)
				want = 2 * time.Second
			}
			assert.Equal(t, want, time.Since(begin))
			clear(own)
			close(end)
		})
	}
}
