package dial

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/netip"
	"syscall"
	"time"

	"github.com/aigateway-go/aigateway/internal/address"
)

// RefusedError is an address that the check refused. Its text may name the address,
// so it is for the operator.
type RefusedError struct{ Err error }

// Error returns the reason of the check.
func (e *RefusedError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the check.
func (e *RefusedError) Unwrap() error { return e.Err }

// refused marks the error of a check. Nil stays nil.
func refused(err error) error {
	if err == nil {
		return nil
	}
	return &RefusedError{err}
}

// Context returns a function for [net/http.Transport.DialContext]. It reaches Unix
// sockets by their hosts of package address. It calls check, unless nil, for each
// address after the look-up and before each connect; IPv4 is never mapped into
// IPv6, and the zero Addr stands for a Unix socket. An error of check is a
// [*RefusedError] within a [*net.OpError]. The check is called from many
// goroutines.
func Context(check func(netip.Addr) error) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	if check != nil {
		check = caught(check)
		// Control runs after the look-up and before each connect: the name cannot
		// come to stand for another address in between.
		dialer.ControlContext = func(_ context.Context, _, target string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(target)
			if err != nil {
				return fmt.Errorf("the URL policy cannot check the address: %w", err)
			}
			return refused(check(ap.Addr().Unmap()))
		}
	}
	sockets := &net.Dialer{Timeout: dialer.Timeout}
	dial := func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		socket := address.Socket(host)
		if socket == "" {
			return dialer.DialContext(ctx, network, addr)
		}
		if check != nil {
			if err := refused(check(netip.Addr{})); err != nil {
				return nil, &net.OpError{Op: "dial", Net: "unix", Err: err}
			}
		}
		return sockets.DialContext(ctx, "unix", socket)
	}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		begin := time.Now()
		conn, err := dial(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &timedConn{Conn: conn, took: time.Since(begin)}, nil
	}
}

// caught makes a refusal of a panic of check. Transports dial in goroutines of their own,
// where a panic would end the process.
func caught(check func(netip.Addr) error) func(netip.Addr) error {
	return func(addr netip.Addr) (err error) {
		defer func() {
			if p := recover(); p != nil {
				err = fmt.Errorf("the check of addresses panicked: %v", p)
			}
		}()
		return check(addr)
	}
}

// timedConn remembers how long the connection took to be made, TLS included.
type timedConn struct {
	net.Conn
	took time.Duration
}

// ReadFrom writes the body of a request. [net/http] hands one over behind an
// [io.LimitedReader], which hides that the body lies in memory: it would be copied
// through a buffer, and take a call of the system for each fill of it.
func (c *timedConn) ReadFrom(r io.Reader) (int64, error) {
	if limited, ok := r.(*io.LimitedReader); ok {
		body, ok := limited.R.(interface {
			io.WriterTo
			Len() int64
		})
		if ok && body.Len() <= limited.N {
			n, err := body.WriteTo(c.Conn)
			limited.N -= n
			return n, err
		}
	}
	return io.Copy(c.Conn, r)
}
