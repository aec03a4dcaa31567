package dial

import (
	"crypto/tls"
	"net/http"
	"net/netip"
	"sync/atomic"
)

// NewTransport makes a transport for the zero Settings. A nil check allows all
// addresses.
func NewTransport(check func(netip.Addr) error) *http.Transport {
	var current atomic.Pointer[tls.Config]
	current.Store(tlsConfig(Settings{}, new(material)))
	return newTransport(Context(check), newProxies(Settings{}, check != nil), &current)
}
