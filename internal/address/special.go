package address

import (
	"errors"
	"fmt"
	"net/netip"
)

// specialAddr is a range of addresses. kind is its purpose, for errors.
type specialAddr struct {
	prefix netip.Prefix
	kind   string
}

// specialAddrs are the prefixes of the IANA special-purpose registries that do not
// lead to a public host. [Public.Check] refuses all of IPv6 outside of 2000::/3
// anyway, so the list has only prefixes inside it.
func specialAddrs() []specialAddr {
	list := []struct{ prefix, kind string }{
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
		specials[i] = specialAddr{netip.MustParsePrefix(s.prefix), s.kind}
	}
	return specials
}

// Public tells public addresses from special ones. Make one with [NewPublic]. It
// is safe for concurrent use.
type Public struct{ special []specialAddr }

// NewPublic returns a Public.
func NewPublic() Public { return Public{specialAddrs()} }

// Check refuses all addresses but public ones, with the reason. The zero Addr
// stands for a Unix socket.
//
// The caller checks the address of each connection, after DNS. A check of the
// name would miss a name that resolves to an address inside.
func (p Public) Check(addr netip.Addr) error {
	if !addr.IsValid() {
		return errors.New("a Unix socket is not a public address")
	}
	if addr.Zone() != "" {
		return fmt.Errorf("%s is not a public address: it is link-local", addr)
	}
	shown := addr
	addr = embeddedAddr(addr)
	for _, s := range p.special {
		if s.prefix.Contains(addr) {
			return fmt.Errorf("%s is not a public address: it is %s", shown, s.kind)
		}
	}
	if addr.Is6() && addr.As16()[0]>>5 != 0b001 { // outside of 2000::/3
		return fmt.Errorf("%s is not a public address", shown)
	}
	return nil
}

// embeddedAddr returns the IPv4 address that an IPv6 one leads to, and other
// addresses as they are. IPv4 is embedded in mapped addresses, and in those of
// NAT64, by which a host without IPv4 reaches all of it. The embeddings 6to4 and
// Teredo are out of use and refused as a whole.
func embeddedAddr(addr netip.Addr) netip.Addr {
	addr = addr.Unmap()
	if nat64 := netip.MustParsePrefix("64:ff9b::/96"); nat64.Contains(addr) {
		b := addr.As16()
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return addr
}
