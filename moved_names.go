package aigateway

import (
	"net/http"
	"net/netip"

	"github.com/aigateway-go/aigateway/internal/address"
	"github.com/aigateway-go/aigateway/internal/dial"
	"github.com/aigateway-go/aigateway/internal/redact"
)

// The names below stand for mechanisms that have moved into internal packages,
// until their callers name these packages.

type (
	secret    = redact.Secret
	scrubber  = redact.Scrubber
	connWatch = dial.Watch
	addrError = dial.RefusedError
)

const minScrubbed = redact.MinScrubbed

func newSecret(value string) secret          { return redact.NewSecret(value) }
func newScrubber(values ...string) *scrubber { return redact.NewScrubber(values...) }
func looksSecret(s string) bool              { return redact.LooksSecret(s) }
func isKey(s string) bool                    { return redact.IsKey(s) }
func hasSecret(s string) bool                { return redact.HasSecret(s) }
func isUnixHost(host string) bool            { return address.IsUnix(host) }
func socketOf(host string) string            { return address.Socket(host) }
func isInternalHost(host string) bool        { return address.IsInternal(host) }
func again(req *http.Request) *http.Request  { return dial.Again(req) }

func newTransport(addrs AddrPolicy) *http.Transport {
	var check func(netip.Addr) error
	if addrs != nil {
		check = addrs.CheckAddr
	}
	return dial.NewTransport(check)
}

func redactText(value string) string { return redact.Text(value) }
