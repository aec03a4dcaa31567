package aigateway

import (
	"encoding/hex"
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// URLPolicy decides which upstream addresses are allowed.
//
// [New] and [Gateway.Reload] call CheckURL once for each base_url, of the
// Config and of what the registry returned, one after the other, and nothing
// calls it later. The URL is well-formed by then: scheme http or https in lower
// case, a valid host in lower case, no user info, no fragment. Changing it has
// no effect. An error makes New fail, and its text becomes the Reason of a
// [*ConfigError], so it should say which rule is broken and what to do; it
// should not repeat the URL.
//
// A policy that is an [AddrPolicy] as well is also asked at each connection.
type URLPolicy interface {
	CheckURL(u *url.URL) error
}

// URLPolicyFunc is a function that is a [URLPolicy].
type URLPolicyFunc func(u *url.URL) error

// CheckURL calls f.
func (f URLPolicyFunc) CheckURL(u *url.URL) error { return f(u) }

// AddrPolicy is what a [URLPolicy] may implement as well, to decide about the
// addresses that a host turns out to have.
//
// CheckAddr is called for each address that is about to be connected to, after
// DNS resolution, from many goroutines at once; it should not block. IPv4 comes
// as IPv4, never mapped into IPv6. The targets of internal_endpoints are no
// exception, for they stand in the same document as the hosts; a Unix socket,
// which has no address, is asked for with the zero Addr. An error makes that
// connection fail like one that was refused.
//
// The gateway asks where it dials itself: a Config with a Transport of its own
// leaves the addresses to that Transport.
type AddrPolicy interface {
	CheckAddr(addr netip.Addr) error
}

// StrictURLPolicy allows https, and http where the host is under .internal.
func StrictURLPolicy() URLPolicy { return URLPolicyFunc(checkStrict) }

// LoopbackURLPolicy is [StrictURLPolicy] that also allows http on loopback:
// localhost, 127.0.0.0/8 and [::1]. It is for tests and local work.
func LoopbackURLPolicy() URLPolicy {
	return URLPolicyFunc(func(u *url.URL) error {
		if u.Scheme == "http" && isLoopbackHost(u.Hostname()) {
			return nil
		}
		return checkStrict(u)
	})
}

// PublicURLPolicy is for configs that are not trusted: it allows https to
// public addresses only. Hosts that are private by their name (.internal,
// .local, .localhost, names without a dot) are refused at once, the other ones
// by the addresses that they have when they are dialled: private, loopback,
// link-local (which is where clouds serve credentials), shared, multicast,
// documentation and other special ones, also where IPv6 embeds them.
//
// internal_endpoints cannot get around it: .internal hosts are refused whether
// or not they are mapped, and so are Unix sockets.
func PublicURLPolicy() URLPolicy { return publicPolicy{refused: specialAddrs()} }

func checkStrict(u *url.URL) error {
	host := u.Hostname()
	switch {
	case u.Scheme == "https" || isInternalHost(host):
		return nil
	case isLoopbackHost(host) || isPrivateName(host) || isPrivateAddr(host):
		return fmt.Errorf("http is only for hosts under .internal: use one, such as %s, and say in internal_endpoints that it is %s://%s",
			internalNameFor(host), u.Scheme, u.Host)
	default:
		return errors.New("external URLs must use https; for a local service, use a host under .internal and say in internal_endpoints where it is")
	}
}

// internalNameFor makes up the .internal name that an error suggests.
func internalNameFor(host string) string {
	if _, err := netip.ParseAddr(host); err != nil && !isLoopbackHost(host) {
		first, _, _ := strings.Cut(host, ".")
		return "http://" + first + ".internal"
	}
	return "http://my-service.internal"
}

// isInternalHost reports a host under .internal, a whole last label. .internal
// itself names no host.
func isInternalHost(host string) bool {
	name, ok := strings.CutSuffix(foldHost(host), ".internal")
	return ok && name != ""
}

func isLoopbackHost(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return foldHost(host) == "localhost"
}

// isPrivateName reports a host that no public DNS can know. Addresses are none.
func isPrivateName(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	host = foldHost(host)
	for _, zone := range []string{".internal", ".local", ".localhost", ".home.arpa", ".lan"} {
		if strings.HasSuffix(host, zone) {
			return true
		}
	}
	return !strings.Contains(host, ".")
}

// isPrivateAddr reports an address of a network at home or at work, where
// services without TLS are common.
func isPrivateAddr(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && (addr.IsPrivate() || addr.IsLinkLocalUnicast())
}

// foldHost makes hosts comparable: the final dot of an absolute name and the
// case of letters mean nothing.
func foldHost(host string) string {
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// publicPolicy is a [URLPolicy] and an [AddrPolicy].
type publicPolicy struct{ refused []specialAddr }

type specialAddr struct {
	prefix netip.Prefix
	what   string
}

// specialAddrs are the addresses of the IANA special-purpose registries that do
// not lead to a public host. In IPv6 everything outside of 2000::/3 is refused
// by CheckAddr anyway, so these are the ones inside it.
func specialAddrs() []specialAddr {
	list := []struct{ prefix, what string }{
		{"0.0.0.0/8", "unspecified"},
		{"10.0.0.0/8", "private"},
		{"100.64.0.0/10", "shared (CGNAT)"},
		{"127.0.0.0/8", "loopback"},
		{"168.63.129.16/32", "a cloud's metadata service"}, // Azure, in public space
		{"169.254.0.0/16", "link-local"},
		{"172.16.0.0/12", "private"},
		{"192.0.0.0/24", "reserved"},
		{"192.0.2.0/24", "documentation"},
		{"192.88.99.0/24", "a 6to4 relay"},
		{"192.168.0.0/16", "private"},
		{"198.18.0.0/15", "benchmarking"},
		{"198.51.100.0/24", "documentation"},
		{"203.0.113.0/24", "documentation"},
		{"224.0.0.0/4", "multicast"},
		{"240.0.0.0/4", "reserved"},
		{"2001::/23", "reserved"}, // Teredo, benchmarking, ORCHID
		{"2001:db8::/32", "documentation"},
		{"2002::/16", "6to4"},
		{"3fff::/20", "documentation"},
	}
	specials := make([]specialAddr, len(list))
	for i, s := range list {
		specials[i] = specialAddr{netip.MustParsePrefix(s.prefix), s.what}
	}
	return specials
}

// CheckURL refuses what can be seen to be private before any look-up.
func (p publicPolicy) CheckURL(u *url.URL) error {
	host := u.Hostname()
	if isPrivateName(host) {
		return errors.New("the host is not a public one: this gateway takes public https URLs only")
	}
	if addr, err := netip.ParseAddr(host); err == nil {
		if err := p.CheckAddr(addr); err != nil {
			return err
		}
	}
	return checkStrict(u)
}

// CheckAddr refuses all addresses but public ones.
func (p publicPolicy) CheckAddr(addr netip.Addr) error {
	if !addr.IsValid() {
		return errors.New("a Unix socket is not a public address")
	}
	if addr.Zone() != "" {
		return fmt.Errorf("%s is not a public address: it is link-local", addr)
	}
	shown := addr
	addr = embeddedAddr(addr)
	for _, s := range p.refused {
		if s.prefix.Contains(addr) {
			return fmt.Errorf("%s is not a public address: it is %s", shown, s.what)
		}
	}
	if addr.Is6() && addr.As16()[0]>>5 != 0b001 { // outside of 2000::/3
		return fmt.Errorf("%s is not a public address", shown)
	}
	return nil
}

// embeddedAddr is the IPv4 address that an IPv6 one leads to, and others as
// they are: mapped ones, and those of NAT64, through which a host without IPv4
// reaches all of it. The other embeddings, 6to4 and Teredo, are out of use and
// refused as a whole.
func embeddedAddr(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if nat64 := netip.MustParsePrefix("64:ff9b::/96"); nat64.Contains(addr) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}

// parseBaseURL reads a base_url and holds it to the rules that no policy can
// lift, then to the policy; nil is [StrictURLPolicy]. It returns the URL in
// normal form: scheme and host in lower case, the host of an .internal name
// without its final dot. The path is as given.
//
// The error says which rule is broken and what to do. It never repeats the URL,
// which may hold a password; see [shownURL].
func parseBaseURL(raw string, policy URLPolicy) (*url.URL, error) {
	if err := checkURLText(raw); err != nil {
		return nil, err
	}
	u, err := url.Parse(raw)
	if err != nil {
		return nil, errors.New(malformed(err))
	}
	if u.Scheme = strings.ToLower(u.Scheme); u.Scheme == "unix" {
		return nil, errors.New("must be an https URL: for a Unix socket, use a host under .internal and give the socket in internal_endpoints")
	}
	if err := checkURLParts(u); err != nil {
		return nil, err
	}
	if u.Host, err = normalHost(u); err != nil {
		return nil, err
	}
	if isUnixHost(u.Hostname()) {
		return nil, errors.New("hosts under " + unixZone + " are reserved: give the socket in internal_endpoints")
	}
	if err := checkURLPath(u.EscapedPath()); err != nil {
		return nil, err
	}
	if _, err := url.ParseQuery(u.RawQuery); err != nil {
		return nil, errors.New("the query is malformed: write special characters as %XX")
	}
	u.ForceQuery = false

	if policy == nil {
		policy = StrictURLPolicy()
	}
	asked := *u
	if err := policy.CheckURL(&asked); err != nil {
		return nil, err
	}
	return u, nil
}

// checkURLText refuses what url.Parse would take or misread.
func checkURLText(raw string) error {
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
		// "api.example.com/v1", "//host", "localhost:11434": to url.Parse the
		// last is a scheme.
		return errNoScheme()
	case !strings.HasPrefix(rest, "//") && (strings.EqualFold(scheme, "http") || strings.EqualFold(scheme, "https")):
		return fmt.Errorf("must have two slashes: %s://", strings.ToLower(scheme))
	case !strings.HasPrefix(rest, "//"):
		return errNoScheme()
	}
	return nil
}

func errNoScheme() error {
	return errors.New("must start with https:// (or http:// for a host under .internal)")
}

// isPort reports text that starts like the port in "host:port/path".
func isPort(rest string) bool {
	digits := len(rest) - len(strings.TrimLeft(rest, "0123456789"))
	return digits > 0 && (digits == len(rest) || strings.ContainsRune("/?", rune(rest[digits])))
}

// malformed says what url.Parse refused. Its own text quotes the part at
// fault, which may be a password.
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
		return "what stands in brackets is not an IPv6 address"
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

// checkURLParts refuses what a base_url and an internal endpoint cannot have.
func checkURLParts(u *url.URL) error {
	switch {
	case u.Scheme != "http" && u.Scheme != "https":
		return fmt.Errorf("the scheme must be https (or http for a host under .internal), not %s", shorten(u.Scheme))
	case u.User != nil:
		return errors.New("must hold no user or password: a credential belongs in api_keys or headers")
	case u.Host == "" || strings.HasPrefix(u.Host, ":"):
		return errors.New("has no host")
	}
	return nil
}

// normalHost checks the host and port of a URL, and returns them in lower case.
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
			return "", errors.New("what stands in brackets is not an IPv6 address")
		case addr.Zone() != "":
			return "", errors.New("an IPv6 address must have no zone (%…)")
		}
		return "[" + addr.String() + "]" + port, nil
	}
	if err := checkHostName(foldHost(host)); err != nil {
		return "", err
	}
	if _, err := netip.ParseAddr(foldHost(host)); err == nil && strings.HasSuffix(host, ".") {
		return "", errors.New("an IPv4 address must have no dot at its end")
	}
	host = strings.ToLower(host)
	if isInternalHost(host) {
		host = foldHost(host)
	}
	return host + port, nil
}

// checkHostName takes a host without its final dot. Underscores are allowed,
// for container names hold them.
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
		return errors.New("the host is no valid IPv4 address: write four decimal numbers without leading zeros")
	}
	return nil
}

// checkURLPath refuses paths that servers resolve in different ways: what one
// takes as text moves up a directory at another.
func checkURLPath(escaped string) error {
	for segment := range strings.SplitSeq(escaped, "/") {
		if segment == "." || segment == ".." {
			return errors.New("the path must hold no . or .. segments: write the path that is meant")
		}
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
			return errors.New("the path must hold no control characters")
		}
		i += 3
	}
}

// shownURL is what an error may show of a base_url: nothing where it could hold
// a credential.
func shownURL(raw string) string {
	if strings.ContainsAny(raw, "@?#") {
		return ""
	}
	return shorten(raw)
}
