// Package address reads and judges the addresses of upstreams: base URLs, hosts,
// special IP addresses, and the endpoints behind .internal hosts. It applies no
// policy of its own.
package address

import (
	"net/netip"
	"strings"
)

// IsInternal reports a host under .internal, a whole last label. .internal
// itself names no host.
func IsInternal(host string) bool {
	name, ok := strings.CutSuffix(fold(host), ".internal")
	return ok && name != ""
}

// IsLoopback reports localhost and the loopback addresses.
func IsLoopback(host string) bool {
	if addr, err := netip.ParseAddr(host); err == nil {
		return addr.IsLoopback()
	}
	return fold(host) == "localhost"
}

// IsPrivateName reports a host beyond public DNS. An address is not a name.
func IsPrivateName(host string) bool {
	if _, err := netip.ParseAddr(host); err == nil {
		return false
	}
	host = fold(host)
	for _, zone := range []string{".internal", ".local", ".localhost", ".home.arpa", ".lan"} {
		if strings.HasSuffix(host, zone) {
			return true
		}
	}
	return !strings.Contains(host, ".")
}

// IsPrivateAddr reports an address of a network at home or at work. Services without
// TLS are common there.
func IsPrivateAddr(host string) bool {
	addr, err := netip.ParseAddr(host)
	return err == nil && (addr.IsPrivate() || addr.IsLinkLocalUnicast())
}

// fold makes hosts comparable: the final dot of an absolute name and the
// case of letters mean nothing.
func fold(host string) string {
	return strings.ToLower(strings.TrimSuffix(host, "."))
}
