package dial

import (
	"crypto/sha256"
	"crypto/tls"
	"math/rand/v2"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"
)

// maxAge is how long a connection takes new requests. A busy HTTP/2 connection
// would else stay with an address long gone from DNS.
const maxAge = 5 * time.Minute

// lookEvery is how often the files of Settings are looked at, at most. A request
// in passing does it. A change is noticed within 15 s.
const lookEvery = 10 * time.Second

// overdue is how late a look may be before requests wait for it. It spares the
// first requests after a quiet night an expired certificate.
const overdue = 5 * time.Second

// Transport reaches one provider. It is an [net/http.RoundTripper] of generations:
// each has connections of its own, and none is sent a request after five minutes,
// or after the files have changed. Requests under way end on their
// connections. A Transport starts no goroutine.
type Transport struct {
	settings  Settings
	report    atomic.Pointer[func(*FieldError)]
	prototype *http.Transport // cloned for each generation
	tls       atomic.Pointer[tls.Config]
	current   atomic.Pointer[generation]
	turn      chan struct{} // held by the renewing request
	asked     atomic.Bool   // for a client certificate, and nothing has been answered since

	complaint string // about the files; guarded by turn
}

// generation is an http.Transport for a while.
// It is immutable: a later look stores a changed copy, for requests read it
// without a lock.
type generation struct {
	*http.Transport
	sum  [sha256.Size]byte // of the files
	ends time.Time
	look time.Time // at the files, or at the clock
}

// New makes a Transport. Each address is checked before it is connected to; a nil
// check allows all. The faults are those of [Settings.Check].
//
// Report is called when files have changed into broken ones, once for each fault.
// The files from before stay in force. It is called by the requests' goroutines, by
// one at a time. May be nil.
func New(s Settings, check func(netip.Addr) error, report func(*FieldError)) (*Transport, []*FieldError) {
	if faults := s.Check(); len(faults) > 0 {
		return nil, faults
	}
	m, faults := s.load()
	if len(faults) > 0 {
		return nil, faults
	}
	return newRenewed(s, m, check, Context(check), report), nil
}

// newRenewed makes a Transport of valid settings. It dials by a function.
func newRenewed(s Settings, m *material, check func(netip.Addr) error, dial dialFunc, report func(*FieldError)) *Transport {
	t := &Transport{settings: s, turn: make(chan struct{}, 1)}
	t.tell(report)
	t.tls.Store(t.config(m))
	t.prototype = newTransport(dial, newProxies(s, check != nil), &t.tls)
	t.current.Store(&generation{sum: m.sum}) // has ended: the first request makes one
	return t
}

// config is the config of TLS for the files.
func (t *Transport) config(m *material) *tls.Config {
	c := tlsConfig(t.settings, m)
	certs := c.Certificates
	c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
		t.asked.Store(true)
		if len(certs) == 0 {
			return new(tls.Certificate), nil
		}
		return &certs[0], nil
	}
	return c
}

// tell replaces the report.
func (t *Transport) tell(report func(*FieldError)) {
	if report == nil {
		report = func(*FieldError) {}
	}
	t.report.Store(&report)
}

// lookSoon has the next request look at the files.
func (t *Transport) lookSoon() {
	t.turn <- struct{}{}
	g := *t.current.Load()
	g.look = time.Time{}
	t.current.Store(&g)
	<-t.turn
}

// Base returns t as an [*net/http.Transport]. Its fields may be changed until the
// first request; all connections heed them. It is called at most once, before the
// first request.
func (t *Transport) Base() *http.Transport {
	// A base with HTTP/2 of its own would take no other protocol.
	t.prototype.RegisterProtocol("http", handed{t})
	t.prototype.RegisterProtocol("https", handed{t})
	return t.prototype
}

// handed is a Transport behind its Base. Package net/http looks at the only field
// of such a struct for connections to close.
type handed struct{ T *Transport }

// RoundTrip sends a request.
func (h handed) RoundTrip(r *http.Request) (*http.Response, error) { return h.T.RoundTrip(r) }

// RoundTrip sends a request.
func (t *Transport) RoundTrip(r *http.Request) (*http.Response, error) {
	g := t.generation()
	resp, err := g.RoundTrip(r)
	switch {
	case err == nil:
		if t.asked.Load() {
			t.asked.Store(false)
		}
	case t.asked.Load() && r.Context().Err() == nil && lostReason(err):
		err = &certificateError{err}
	}
	return resp, err
}

// RoundTripFresh sends a request on a connection of its own.
func (t *Transport) RoundTripFresh(r *http.Request) (*http.Response, error) {
	once := t.generation().Clone()
	once.DisableKeepAlives = true
	return once.RoundTrip(r)
}

// CloseIdleConnections closes the connections without a request.
func (t *Transport) CloseIdleConnections() {
	if g := t.current.Load(); g.Transport != nil {
		g.CloseIdleConnections()
	}
}

// generation returns the generation for a request. While another request renews it,
// the last one serves.
func (t *Transport) generation() *generation {
	g := t.current.Load()
	late := time.Since(g.look)
	if late < 0 {
		return g
	}
	if g.Transport == nil || t.settings.hasFiles() && late > overdue {
		t.turn <- struct{}{}
	} else {
		select {
		case t.turn <- struct{}{}:
		default:
			return g
		}
	}
	defer func() { <-t.turn }()
	if g = t.current.Load(); time.Since(g.look) < 0 {
		return g // renewed meanwhile
	}
	return t.renew(g, time.Now())
}

// renew looks at the files and the clock, and replaces the generation if need be.
// The turn is held.
func (t *Transport) renew(last *generation, now time.Time) *generation {
	next := &generation{Transport: last.Transport, sum: last.sum, ends: last.ends}
	if t.settings.hasFiles() {
		m, faults := t.settings.load()
		t.complain(faults)
		if m != nil && m.sum != last.sum {
			t.tls.Store(t.config(m))
			next.sum, next.Transport = m.sum, nil
		}
	}
	if next.Transport == nil || !now.Before(next.ends) {
		next.Transport = t.fresh()
		// Not all providers dial anew in the same moment.
		next.ends = now.Add(maxAge - rand.N(maxAge/5))
	}
	next.look = next.ends
	if t.settings.hasFiles() && now.Add(lookEvery).Before(next.ends) {
		next.look = now.Add(lookEvery)
	}
	t.current.Store(next)
	if last.Transport != nil && last.Transport != next.Transport {
		last.CloseIdleConnections()
	}
	return next
}

// fresh makes the http.Transport of a generation.
func (t *Transport) fresh() *http.Transport {
	h := t.prototype.Clone()
	if t.settings.hasFiles() && h.TLSClientConfig != nil { // behind a proxy
		current := t.tls.Load()
		h.TLSClientConfig.RootCAs, h.TLSClientConfig.Certificates = current.RootCAs, current.Certificates
		h.TLSClientConfig.GetClientCertificate = current.GetClientCertificate
		h.TLSClientConfig.ClientSessionCache = current.ClientSessionCache
	}
	return h
}

// complain reports faults of the files, unless they are the last ones again.
func (t *Transport) complain(faults []*FieldError) {
	text := ""
	for _, f := range faults {
		text += f.Error() + "\n"
	}
	if text != t.complaint {
		for _, f := range faults {
			(*t.report.Load())(f)
		}
	}
	t.complaint = text
}
