package aigateway

import (
	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/dial"
)

// network compiles how the provider is reached. Its address is known.
func (c *compiler) network(path string, p Provider, out *provider) dial.Settings {
	s := dial.Settings{
		CAFile: p.TLS.CAFile, CertFile: p.TLS.CertFile, KeyFile: p.TLS.KeyFile, ServerName: p.TLS.ServerName, Proxy: string(p.Proxy),
	}
	if s == (dial.Settings{}) {
		return s
	}
	for _, f := range s.Check() {
		c.add(path+"."+f.Field, "", "%v", f.Err)
	}
	if p.TLS != (TLS{}) && out.target.Scheme == "http" {
		c.add(path+".tls", "", "the provider is reached by http, which has no TLS: give its address as https:// in %s, or leave tls out", addressField(out))
	}
	if p.Proxy != "" && p.Proxy != ProxyNone {
		if rule := c.noProxy(out); rule != "" {
			c.add(path+".proxy", "", "%s", rule)
		}
	}
	return s
}

// noProxy gives the reason if a provider cannot be reached by a proxy. It is empty if
// it can.
func (c *compiler) noProxy(out *provider) string {
	_, addrs := c.policy.(AddrPolicy)
	switch {
	case address.IsUnix(out.target.Host):
		return "the provider is reached over a unix socket, which has no proxy: leave it out"
	case address.IsInternal(out.base.Hostname()):
		return "hosts under .internal are reached without a proxy: leave it out, or use the provider's public name in base_url"
	case out.target.Scheme == "http":
		return "the proxy would see keys in clear: use https in base_url"
	case addrs:
		return "the URLPolicy checks addresses, and a proxy would look them up out of its sight: leave it out"
	}
	return ""
}
