package aigateway

import (
	"cmp"
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"path"
	"slices"
	"strings"
	"syscall"
	"time"
)

// internalEndpoints says where .internal hosts really are, by host or
// host:port. A value has a scheme and a host alone.
type internalEndpoints map[string]*url.URL

// parseInternalEndpoints reads the internal_endpoints of a config, and notes
// what is wrong with them.
func parseInternalEndpoints(m map[string]string, p *problems) internalEndpoints {
	endpoints := make(internalEndpoints, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at := joinKey("internal_endpoints", name)
		host, err := parseInternalName(name)
		if err != nil {
			p.add(at, "", "%s", err)
			continue
		}
		target, err := parseEndpoint(m[name])
		if err != nil {
			p.add(at, shownURL(m[name]), "%s", err)
			continue
		}
		if endpoints[host] != nil {
			p.add(at, "", "is there twice: case and a final dot make no difference in a host")
			continue
		}
		endpoints[host] = target
	}
	return endpoints
}

// parseInternalName reads a key of internal_endpoints: host or host:port.
func parseInternalName(name string) (string, error) {
	want := errors.New(`the key must be a host under .internal, with or without a port, such as "ollama.internal"`)
	if checkURLText("http://"+name) != nil || strings.ContainsAny(name, "/?@[]%") {
		return "", want
	}
	u, err := url.Parse("http://" + name)
	if err != nil || !isInternalHost(u.Hostname()) {
		return "", want
	}
	host, err := normalHost(u)
	switch {
	case err != nil:
		return "", fmt.Errorf("in the key, %w", err)
	case isUnixHost(u.Hostname()):
		return "", errors.New("hosts under " + unixZone + " are reserved")
	}
	return host, nil
}

// parseEndpoint reads a value of internal_endpoints.
func parseEndpoint(raw string) (*url.URL, error) {
	if err := checkURLText(raw); err != nil {
		if !strings.Contains(raw, "://") && err.Error() != "must not be empty" {
			err = errors.New("must start with http://, https:// or unix:///")
		}
		return nil, err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New(malformed(err))
	}
	if u.Scheme = strings.ToLower(u.Scheme); u.Scheme == "unix" {
		return parseSocket(u)
	}
	switch err := checkURLParts(u); {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the scheme must be http, https or unix, not %s", shorten(u.Scheme))
	case err != nil:
		return nil, err
	case u.Path != "" && u.Path != "/" || u.RawQuery != "":
		return nil, errors.New("must have no path and no query: those belong in the base_url")
	}
	host, err := normalHost(u)
	if err != nil {
		return nil, err
	}
	return &url.URL{Scheme: u.Scheme, Host: host}, nil
}

// maxSocketPath is what macOS and the BSDs allow; Linux allows 107.
const maxSocketPath = 103

func parseSocket(u *url.URL) (*url.URL, error) {
	switch {
	case u.Host != "" || u.User != nil || !strings.HasPrefix(u.Path, "/") || u.Path == "/":
		return nil, errors.New("a Unix socket is given with three slashes and its whole path, such as unix:///run/vllm.sock")
	case u.RawQuery != "":
		return nil, errors.New("a Unix socket has no query")
	case len(path.Clean(u.Path)) > maxSocketPath:
		return nil, fmt.Errorf("the path of a Unix socket is at most %d bytes long", maxSocketPath)
	case strings.Contains(u.Path, "\x00"):
		return nil, errors.New("the path of a Unix socket holds no NUL")
	}
	return &url.URL{Scheme: "http", Host: unixHost(path.Clean(u.Path))}, nil
}

// resolve returns u with the scheme and host of where it really is: that of the
// exact host and port if there is one, else of the host. False means that u
// leads where it says. What u had as its host belongs in the Host header.
func (e internalEndpoints) resolve(u *url.URL) (target *url.URL, ok bool) {
	host := foldHost(u.Hostname())
	port := u.Port()
	switch {
	case port != "":
	case u.Scheme == "https":
		port = "443"
	default:
		port = "80"
	}
	found := cmp.Or(e[host+":"+port], e[host])
	if found == nil {
		return u, false
	}
	moved := *u
	moved.Scheme, moved.Host = found.Scheme, found.Host
	return &moved, true
}

// unixZone holds the hosts that stand for Unix sockets. Nothing else can have a
// name there, as base URLs and internal endpoints under it are refused, so that
// a URL cannot reach a socket that internal_endpoints does not name.
const unixZone = ".unix.internal"

// unixHost writes the path of a socket as a host: as this survives in a URL,
// dialling needs no table that a Reload could change under a request.
func unixHost(socket string) string {
	return hex.EncodeToString([]byte(socket)) + unixZone
}

func isUnixHost(host string) bool {
	host = foldHost(host)
	return strings.HasSuffix(host, unixZone) || "."+host == unixZone
}

// socketOf is the path that a host stands for, empty if it is an ordinary one.
func socketOf(host string) string {
	digits, ok := strings.CutSuffix(host, unixZone)
	if !ok {
		return ""
	}
	socket, err := hex.DecodeString(digits)
	if err != nil {
		return ""
	}
	return string(socket)
}

// addrError is an address that the policy refused. Its text, which names the
// address, is for the operator.
type addrError struct{ error }

func (e *addrError) Unwrap() error { return e.error }

func refusedAddr(err error) error {
	if err == nil {
		return nil
	}
	return &addrError{err}
}

// dialContext returns the dialling function of the gateway's transport, which
// reaches Unix sockets by their unixHost and asks the policy, unless it is nil,
// about each address.
func dialContext(policy AddrPolicy) func(ctx context.Context, network, addr string) (net.Conn, error) {
	dialer := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second}
	if policy != nil {
		// Control runs after the look-up and before each connect, so there is
		// no moment in which a name could change what it stands for.
		dialer.ControlContext = func(_ context.Context, _, address string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(address)
			if err != nil {
				return fmt.Errorf("the URL policy cannot judge the address: %w", err)
			}
			return refusedAddr(policy.CheckAddr(ap.Addr().Unmap()))
		}
	}
	sockets := &net.Dialer{Timeout: dialer.Timeout}
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		host, _, err := net.SplitHostPort(addr)
		if err != nil {
			return nil, err
		}
		socket := socketOf(host)
		if socket == "" {
			return dialer.DialContext(ctx, network, addr)
		}
		if policy != nil {
			if err := refusedAddr(policy.CheckAddr(netip.Addr{})); err != nil {
				return nil, &net.OpError{Op: "dial", Net: "unix", Err: err}
			}
		}
		return sockets.DialContext(ctx, "unix", socket)
	}
}
