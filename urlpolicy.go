package aigateway

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"net/url"
	"slices"
	"strings"

	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/confdoc"
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
		if u.Scheme == "http" && address.IsLoopback(u.Hostname()) {
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
func PublicURLPolicy() URLPolicy { return publicPolicy{address.NewPublic()} }

func checkStrict(u *url.URL) error {
	host := u.Hostname()
	switch {
	case u.Scheme == "https" || address.IsInternal(host):
		return nil
	case address.IsLoopback(host) || address.IsPrivateName(host) || address.IsPrivateAddr(host):
		return fmt.Errorf("http is only for hosts under .internal: use one, such as %s, and say in internal_endpoints that it is %s://%s",
			internalNameFor(host), u.Scheme, u.Host)
	default:
		return errors.New("external URLs must use https; for a local service, use a host under .internal and say in internal_endpoints where it is")
	}
}

// internalNameFor makes up the .internal name that an error suggests.
func internalNameFor(host string) string {
	if _, err := netip.ParseAddr(host); err != nil && !address.IsLoopback(host) {
		first, _, _ := strings.Cut(host, ".")
		return "http://" + first + ".internal"
	}
	return "http://my-service.internal"
}

// publicPolicy is a [URLPolicy] and an [AddrPolicy].
type publicPolicy struct{ public address.Public }

// CheckURL refuses what can be seen to be private before any look-up.
func (p publicPolicy) CheckURL(u *url.URL) error {
	host := u.Hostname()
	if address.IsPrivateName(host) {
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
func (p publicPolicy) CheckAddr(addr netip.Addr) error { return p.public.Check(addr) }

// parseBaseURL reads a base_url and asks the policy about it; nil is
// [StrictURLPolicy]. The error never repeats the URL, which may hold a password.
func parseBaseURL(raw string, policy URLPolicy) (*url.URL, error) {
	u, err := address.ParseBase(raw)
	if err != nil {
		return nil, err
	}
	if policy == nil {
		policy = StrictURLPolicy()
	}
	asked := *u
	if err := policy.CheckURL(&asked); err != nil {
		return nil, err
	}
	return u, nil
}

// parseInternalEndpoints reads the internal_endpoints of a config, and notes the
// problems with them.
func parseInternalEndpoints(m map[string]string, p *problems) address.Endpoints {
	endpoints := make(address.Endpoints, len(m))
	for _, name := range slices.Sorted(maps.Keys(m)) {
		at := confdoc.JoinKey("internal_endpoints", name)
		host, err := address.ParseName(name)
		if err != nil {
			p.add(at, "", "%s", err)
			continue
		}
		target, err := address.ParseEndpoint(m[name])
		if err != nil {
			p.add(at, address.Shown(m[name]), "%s", err)
			continue
		}
		if endpoints[host] != nil {
			p.add(at, "", "is given twice: case and a final dot make no difference in a host")
			continue
		}
		endpoints[host] = target
	}
	return endpoints
}
