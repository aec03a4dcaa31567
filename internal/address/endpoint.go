package address

import (
	"cmp"
	"encoding/hex"
	"errors"
	"fmt"
	"net/url"
	"path"
	"strings"

	"github.com/aigateway-go/aigateway/internal/redact"
)

// Endpoints maps .internal hosts, as host or host:port, to their real addresses. A
// value has a scheme and a host only.
//
// A nil map resolves nothing. It is not changed after its making.
type Endpoints map[string]*url.URL

// ParseName reads a key of internal_endpoints, host or host:port, into its normal
// form.
//
// IPv6 addresses and paths are not names of hosts, and get the general error.
func ParseName(name string) (string, error) {
	want := errors.New(`the key must be a host under .internal, with or without a port, such as "ollama.internal"`)
	if checkText("http://"+name) != nil || strings.ContainsAny(name, "/?@[]%") {
		return "", want
	}
	u, err := url.Parse("http://" + name)
	if err != nil || !IsInternal(u.Hostname()) {
		return "", want
	}
	host, err := normalHost(u)
	switch {
	case err != nil:
		return "", fmt.Errorf("in the key, %w", err)
	case IsUnix(u.Hostname()):
		return "", errors.New("hosts under " + unixZone + " are reserved")
	}
	return host, nil
}

// ParseEndpoint reads a value of internal_endpoints. A Unix socket becomes a host
// by [IsUnix].
//
// Unlike a base_url it may be plain http: the operator names the address, and it
// is used for no other host.
func ParseEndpoint(raw string) (*url.URL, error) {
	if err := checkText(raw); err != nil {
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
	switch err := checkParts(u); {
	case u.Scheme != "http" && u.Scheme != "https":
		return nil, fmt.Errorf("the scheme must be http, https or unix, not %s", redact.Shorten(u.Scheme))
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

// maxSocketPath is the limit of macOS and the BSDs; Linux allows 107.
const maxSocketPath = 103

// parseSocket reads a target with the scheme unix. The whole path names the socket.
//
// The path is cleaned, so "/run/../run/x" and "/run/x" are one socket. The
// scheme of the result is http: HTTP is spoken over the socket, without TLS.
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

// Resolve returns u with the scheme and host of its endpoint. An endpoint of the exact
// host and port comes before one of the host. False means a host without an endpoint.
// The host of u belongs in the Host header.
//
// u is not changed. Ports default to those of the scheme for the look-up.
func (e Endpoints) Resolve(u *url.URL) (target *url.URL, ok bool) {
	host := fold(u.Hostname())
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

// unixZone is the zone of the hosts for Unix sockets. Base URLs and internal endpoints
// under it are refused: a URL reaches only the sockets in internal_endpoints.
const unixZone = ".unix.internal"

// unixHost writes the path of a socket as a host. The host survives in a URL. A table
// of sockets could change by a Reload under a request.
func unixHost(socket string) string {
	return hex.EncodeToString([]byte(socket)) + unixZone
}

// IsUnix reports a host for a Unix socket, and its zone.
func IsUnix(host string) bool {
	host = fold(host)
	return strings.HasSuffix(host, unixZone) || "."+host == unixZone
}

// Socket returns the path of the socket behind a host. It is empty for an ordinary
// host.
//
// host must come from a resolved endpoint. Hexadecimal digits that do not decode
// are an ordinary host.
func Socket(host string) string {
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
