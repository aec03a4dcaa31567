package address

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"

	"github.com/aigateway-go/aigateway/internal/redact"
)

// ParseBase reads a base_url and holds it to the rules beyond every policy.
// It returns the URL in normal form: scheme and host in lower case, the host of an
// .internal name without its final dot, and at most one slash at the end of the
// path.
//
// The error names the broken rule and the remedy. It never repeats the URL, which may
// hold a password; see [Shown].
//
// It does not look at the policy and asks no DNS. A host under .internal passes
// here and needs an endpoint later.
func ParseBase(raw string) (*url.URL, error) {
	if err := checkText(raw); err != nil {
		return nil, err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New(malformed(err))
	}
	if u.Scheme = strings.ToLower(u.Scheme); u.Scheme == "unix" {
		return nil, errors.New("must be an https URL: for a Unix socket, use a host under .internal and give the socket in internal_endpoints")
	}
	if err := checkParts(u); err != nil {
		return nil, err
	}
	if u.Host, err = normalHost(u); err != nil {
		return nil, err
	}
	if IsUnix(u.Hostname()) {
		return nil, errors.New("hosts under " + unixZone + " are reserved: give the socket in internal_endpoints")
	}
	u.Path, u.RawPath = oneSlash(u.Path), oneSlash(u.RawPath)
	if err := checkPath(u.EscapedPath()); err != nil {
		return nil, err
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return nil, errors.New("the query is malformed: write special characters as %XX")
	}
	u.ForceQuery = false
	return u, nil
}

// oneSlash reduces the slashes at the end of a path to one. The path of a request
// follows, and an empty segment before it is another path to most servers.
func oneSlash(path string) string {
	short := strings.TrimRight(path, "/")
	return path[:min(len(path), len(short)+1)]
}

// checkText refuses texts that url.Parse would accept or misread.
//
// An error names one rule. The order goes from the simple slip to the rare one.
func checkText(raw string) error {
	switch {
	case raw == "":
		return errors.New("must not be empty")
	case strings.TrimSpace(raw) != raw:
		return errors.New("must have no white space around it")
	case strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r == 0x7f }):
		return errors.New("must hold no white space or control characters")
	case strings.Contains(raw, `\`):
		return errors.New(`must hold no backslash: write "/"`)
	case strings.ContainsFunc(raw, func(r rune) bool { return r > 0x7f }):
		return errors.New("must be ASCII: write an international host as punycode (xn--…), and other characters as %XX")
	case strings.Contains(raw, "#"):
		return errors.New("must have no fragment: leave # and what follows out")
	}
	scheme, rest, ok := strings.Cut(raw, ":")
	switch {
	case !ok || strings.HasPrefix(raw, "/") || strings.ContainsAny(scheme, "./?@[") || rest == "" || isPort(rest):
		// "api.example.com/v1", "//host", "localhost:11434": url.Parse takes
		// the last one for a scheme.
		return errNoScheme()
	case !strings.HasPrefix(rest, "//") && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")):
		return fmt.Errorf("must have two slashes: %s://", strings.ToLower(scheme))
	case !strings.HasPrefix(rest, "//"):
		return errNoScheme()
	}
	return nil
}

// errNoScheme names the remedy: the most common slip is a host without a scheme.
func errNoScheme() error {
	return errors.New("must start with https:// (or http:// for a host under .internal)")
}

// isPort reports text that starts like the port in "host:port/path".
func isPort(rest string) bool {
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	return digits > 0 && (digits == len(rest) || strings.ContainsRune("/?", rune(rest[digits])))
}

// malformed puts a refusal of url.Parse into words. The text of url.Parse quotes
// the part at fault, which may be a password.
//
// The texts are those of the standard library. A test fails if a new Go changes
// them.
func malformed(err error) string {
	if outer, ok := errors.AsType[*url.Error](err); ok {
		err = outer.Err
	}
	var escape url.EscapeError
	switch text := err.Error(); {
	case strings.Contains(text, `invalid port "::`):
		return "an IPv6 address must stand in brackets, as in https://[2001:db8::1]/v1"
	case strings.Contains(text, "invalid port"):
		return "the port is malformed: it must be a number from 1 to 65535 (a user and password cannot be part of the URL)"
	case strings.Contains(text, "']' in host"):
		return "the IPv6 address lacks its closing bracket"
	case strings.Contains(text, "IP"), strings.Contains(text, "invalid host"):
		return "the text in brackets is not an IPv6 address"
	case errors.As(err, &escape) && isEscape(string(escape)):
		return "a host must be written without %XX"
	case errors.As(err, &escape):
		return "a % must be followed by two hexadecimal digits"
	default:
		return "not a well-formed URL"
	}
}

// isEscape reports whether s is a % with two hexadecimal digits.
func isEscape(s string) bool {
	const digits = "0123456789abcdefABCDEF"
	return len(s) == 3 && s[0] == '%' && strings.IndexByte(digits, s[1]) >= 0 && strings.IndexByte(digits, s[2]) >= 0
}

// checkParts refuses the parts of a URL beyond those of a base_url or an internal
// endpoint.
func checkParts(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the scheme must be https (or http for a host under .internal), not %s", redact.Shorten(u.Scheme))
	case u.User != nil:
		return errors.New("must hold no user or password: a credential belongs in api_keys or headers")
	case u.Host == "" || strings.HasPrefix(u.Host, ":"):
		return errors.New("has no host")
	}
	return nil
}

// normalHost checks the host and port of a URL, and returns them in lower case.
//
// IPv6 keeps its brackets, in its shortest form. A port keeps its digits without
// leading zeros.
func normalHost(u *url.URL) (string, error) {
	host, port := u.Hostname(), u.Port()
	switch n, err := strconv.ParseUint(port, 10, 16); {
	case strings.HasSuffix(u.Host, ":"):
		return "", errors.New("the port after the colon is missing")
	case port != "" && (err != nil || n == 0):
		return "", errors.New("the port must be from 1 to 65535")
	case port != "":
		port = ":" + strconv.FormatUint(n, 10)
	}
	if strings.HasPrefix(u.Host, "[") {
		addr, err := netip.ParseAddr(host)
		switch {
		case err != nil || !addr.Is6():
			return "", errors.New("the text in brackets is not an IPv6 address")
		case addr.Zone() != "":
			return "", errors.New("an IPv6 address must have no zone (%…)")
		}
		return "[" + addr.String() + "]" + port, nil
	}
	if err := checkHostName(fold(host)); err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(fold(host)); err == nil && strings.HasSuffix(host, ".") {
		return "", errors.New("an IPv4 address must have no dot at its end")
	}
	host = strings.ToLower(host)
	if IsInternal(host) {
		host = fold(host)
	}
	return host + port, nil
}

// checkHostName takes a host without its final dot. Underscores are allowed, for
// names of containers have them.
//
// host is in lower case. The lengths are those of DNS: 63 bytes for a label, 253
// for a name.
func checkHostName(host string) error {
	if len(host) > 253 {
		return errors.New("the host is longer than 253 characters")
	}
	label := ""
	for label = range strings.SplitSeq(host, ".") {
		switch {
		case label == "":
			return errors.New("the host has an empty part: two dots in a row, or one at its start")
		case len(label) > 63:
			return errors.New("a part of the host is longer than 63 characters")
		case strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "":
			return errors.New("the host may hold letters, digits, hyphens and dots only")
		case label[0] == '-' || label[len(label)-1] == '-':
			return errors.New("no part of the host may start or end with a hyphen")
		}
	}
	// Systems read "127.1", "127.0.0.0x1" and "2130706433" as addresses, each
	// in a way of its own; no top-level domain is a number.
	digits, isHex := strings.CutPrefix(label, "0x")
	isNumber := strings.Trim(digits, "0123456789") == "" || isHex && strings.Trim(digits, "0123456789abcdef") == ""
	if _, err := netip.ParseAddr(host); err != nil && isNumber {
		return errors.New("the host is not a valid IPv4 address: write four decimal numbers without leading zeros")
	}
	return nil
}

// checkPath refuses paths that servers resolve in different ways: one server takes
// "%2e%2e" as text, another moves up a directory.
//
// escaped is the path as it goes out. An encoded slash, backslash, dot or
// percent sign would be another path to a server that decodes twice.
func checkPath(escaped string) error {
	for segment := range strings.SplitSeq(escaped, "/") {
		if segment == "." || segment == ".." {
			return errors.New("the path must hold no . or .. segments: write the path that is meant")
		}
	}
	if strings.Contains(escaped, "//") {
		return errors.New("the path has an empty segment: write one slash for two")
	}
	for i := 0; ; {
		at := strings.IndexByte(escaped[i:], '%')
		if at < 0 {
			return nil
		}
		i += at
		b, err := hex.DecodeString(escaped[i+1 : i+3])
		switch {
		case err != nil:
			return errors.New("a % in the path must be followed by two hexadecimal digits")
		case strings.ContainsRune(`./\%`, rune(b[0])):
			return fmt.Errorf("the path must not hold %s, an encoded %q", escaped[i:i+3], b)
		case b[0] < ' ' || b[0] == 0x7f:
			return errors.New("the path must not hold control characters")
		}
		i += 3
	}
}

// Shown returns a base_url for an error to show. It is empty if the URL could hold a
// credential.
//
// Credentials stand in front of "@", or in the query.
func Shown(raw string) string {
	if strings.ContainsAny(raw, "@?#") {
		return ""
	}
	return redact.Shorten(raw)
}
