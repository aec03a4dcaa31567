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

// URLPolicy allows or refuses upstream addresses.
//
// [New] and [Gateway.Reload] call CheckURL once for each base_url of the Config and
// of the registry, one after the other. The gateway does not call it later. The URL
// is well-formed: scheme http or https in lower case, a valid host in lower case,
// no user info, no fragment. Changing it has no effect.
//
// An error makes New fail, and its text becomes the Reason of a [*ConfigError]. It
// should name the broken rule and the remedy, and should not repeat the URL.
//
// A policy may also be an [AddrPolicy], to be asked at each connection.
type URLPolicy interface {
	CheckURL(u *url.URL) error
}

// URLPolicyFunc makes a function a [URLPolicy].
type URLPolicyFunc func(u *url.URL) error

// CheckURL calls f.
func (f URLPolicyFunc) CheckURL(u *url.URL) error { return f(u) }

// AddrPolicy is an optional power of a [URLPolicy]: to decide about the addresses
// of a host.
//
// CheckAddr is called before each connect, after DNS resolution, from many
// goroutines at once. It should not block. IPv4 comes as IPv4, never mapped into
// IPv6. The targets of internal_endpoints are checked too: they stand in the same
// document as the hosts. The zero Addr stands for a Unix socket. After an error the
// connection fails like a refused one.
//
// The gateway asks only for connections of its own. A Config with a Transport
// leaves the addresses to it.
type AddrPolicy interface {
	CheckAddr(addr netip.Addr) error
}

// StrictURLPolicy allows https, and http to hosts under .internal.
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

// PublicURLPolicy is for configs that are not trusted: it allows https to public
// addresses only. Hosts with a private name (.internal, .local, .localhost, names
// without a dot) are refused at once. Other hosts are refused when they are dialled
// and have a special address: private, loopback, link-local (clouds serve
// credentials there), shared, multicast, documentation and the like, also embedded
// in IPv6.
//
// internal_endpoints cannot get around it: .internal hosts and Unix sockets are
// refused, mapped or not.
func PublicURLPolicy() URLPolicy { return publicPolicy{address.NewPublic()} }

// checkStrict is the rule of StrictURLPolicy. The errors name the way out: an https
// address, or a host under .internal with an entry in internal_endpoints.
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

// internalNameFor makes up a .internal name for an error to suggest.
func internalNameFor(host string) string {
	if _, err := netip.ParseAddr(host); err != nil && !address.IsLoopback(host) {
		first, _, _ := strings.Cut(host, ".")
		return "http://" + first + ".internal"
	}
	return "http://my-service.internal"
}

// publicPolicy is a [URLPolicy] and an [AddrPolicy].
type publicPolicy struct{ public address.Public }

// CheckURL refuses hosts that are private by their text, before any look-up.
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
