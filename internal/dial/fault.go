package dial

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"reflect"
	"strings"
	"syscall"
)

// ProxyError is the answer of a proxy instead of a connection.
// It counts as a failed connection (see [IsConnect]): the request never reached
// the provider.
type ProxyError struct{ Status int }

// Error returns the status.
func (e *ProxyError) Error() string {
	return fmt.Sprintf("the proxy answered %d %s", e.Status, http.StatusText(e.Status))
}

// certificateError is the end of a connection without an answer, after the server had
// asked for a client certificate. The server's alert gets lost if the connection is
// reset first, or if an HTTP/2 connection ends before its first request.
type certificateError struct{ err error }

func (e *certificateError) Error() string {
	return "the connection ended after the server had asked for a client certificate: " + e.err.Error()
}

func (e *certificateError) Unwrap() error { return e.err }

// lostReason reports whether an error does not tell why a connection ended.
func lostReason(err error) bool {
	var op *net.OpError
	if errors.As(err, &op) {
		return errors.Is(err, syscall.EPIPE) || errors.Is(err, syscall.ECONNRESET)
	}
	return !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) && Field(err) == ""
}

// IsHeaderTooLong reports whether a request was not sent, because its header is longer than
// the server takes over HTTP/2. The standard library has no type for it.
func IsHeaderTooLong(err error) bool {
	return err != nil && strings.Contains(err.Error(), "request header list larger than peer's advertised limit")
}

// IsConnect reports whether there never was a connection: the
// look-up, dialling, the proxy or TLS failed. A server of TLS 1.3 refuses a client's
// certificate after the client's handshake has ended: this counts too.
func IsConnect(err error) bool {
	var (
		op     *net.OpError
		dns    *net.DNSError
		record tls.RecordHeaderError
		proxy  *ProxyError
	)
	return errors.As(err, &op) && (op.Op == "dial" || op.Op == "proxyconnect") ||
		errors.As(err, &dns) || errors.As(err, &record) || errors.As(err, &proxy) || Field(err) != ""
}

// Field names the field of a provider to set after a failed connection, such as
// "tls.ca_file". It is empty if no field is at fault: an expired certificate of an
// upstream is the upstream's.
func Field(err error) string {
	var (
		verify  *tls.CertificateVerificationError
		host    x509.HostnameError
		author  x509.UnknownAuthorityError
		invalid x509.CertificateInvalidError
		op      *net.OpError
		proxy   *ProxyError
		refused *certificateError
	)
	switch {
	case errors.As(err, &refused):
		return "tls.cert_file"
	case errors.As(err, &proxy), errors.As(err, &op) && op.Op == "proxyconnect":
		return "proxy"
	case errors.As(err, &host):
		return "tls.server_name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return ""
	case errors.As(err, &author), errors.As(err, &verify):
		return "tls.ca_file"
	}
	if alert, ok := remoteAlert(err); ok && certificateAlerts[alert] {
		return "tls.cert_file"
	}
	return ""
}

// Reason says in a few words why there is no connection. The words name no host, no
// address and no file: clients may read them. They are empty for an unknown error.
func Reason(err error) string {
	var (
		dns     *net.DNSError
		proxy   *ProxyError
		record  tls.RecordHeaderError
		host    x509.HostnameError
		invalid x509.CertificateInvalidError
		author  x509.UnknownAuthorityError
		verify  *tls.CertificateVerificationError
		errno   syscall.Errno
		timeout net.Error
	)
	alert, isAlert := remoteAlert(err)
	switch {
	case errors.As(err, &dns) && dns.IsNotFound:
		return "no such host"
	case errors.As(err, &dns):
		return "the look-up of its name failed"
	case errors.As(err, &proxy):
		return proxy.Error()
	case errors.As(err, &record):
		return "it does not speak TLS"
	case errors.As(err, &host):
		return "its certificate is for another name"
	case errors.As(err, &invalid) && invalid.Reason == x509.Expired:
		return "its certificate has expired, or is not valid yet"
	case errors.As(err, &author), errors.As(err, &verify):
		return "its certificate is not trusted"
	case isAlert && certificateAlerts[alert], Field(err) == "tls.cert_file":
		return "it refused the TLS handshake"
	case errors.As(err, &errno):
		return errno.Error()
	case errors.As(err, &timeout) && timeout.Timeout():
		return "it took too long"
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return "the connection was closed"
	}
	return ""
}

// certificateAlerts are the alerts of TLS by which a server refuses a client's
// certificate, or the lack of one.
// The numbers are those of RFC 8446, section 6.
var certificateAlerts = map[uint8]bool{
	40:  true, // handshake_failure, as servers of TLS 1.2 say it
	42:  true, // bad_certificate
	43:  true, // unsupported_certificate
	44:  true, // certificate_revoked
	45:  true, // certificate_expired
	46:  true, // certificate_unknown
	48:  true, // unknown_ca
	49:  true, // access_denied
	116: true, // certificate_required
}

// remoteAlert returns the alert by which a server ended the connection. Package
// crypto/tls does not export its type, a number of eight bits.
func remoteAlert(err error) (uint8, bool) {
	var op *net.OpError
	for errors.As(err, &op) {
		if v := reflect.ValueOf(op.Err); op.Op == "remote error" && v.IsValid() && v.Kind() == reflect.Uint8 {
			return uint8(v.Uint()), true
		}
		err = op.Err
	}
	return 0, false
}

// Hint says in a sentence what an operator can do about a failed connection with
// these settings. It is empty if Field is. It names files, and is not for
// clients.
func (s Settings) Hint(err error) string {
	switch Field(err) {
	case "tls.ca_file":
		if s.CAFile == "" {
			return "the certificate is of an authority that this machine does not trust: set tls.ca_file to a bundle with it"
		}
		return fmt.Sprintf("the certificate is of an authority that %q (tls.ca_file) does not hold", s.CAFile)
	case "tls.server_name":
		if s.ServerName == "" {
			return "the certificate is for another name: set tls.server_name to one that it is for"
		}
		return fmt.Sprintf("the certificate is not for %q (tls.server_name)", s.ServerName)
	case "tls.cert_file":
		if s.CertFile == "" {
			return "the upstream wants a client certificate: set tls.cert_file and tls.key_file"
		}
		return fmt.Sprintf("the upstream refused the client certificate in %q (tls.cert_file)", s.CertFile)
	case "proxy":
		var refused *ProxyError
		switch {
		case errors.As(err, &refused) && refused.Status == http.StatusProxyAuthRequired:
			return "the proxy wants a user and a password: set proxy to http://user:password@host:port"
		case s.Proxy == "":
			return "the environment names this proxy (HTTPS_PROXY): set proxy to another one or to none"
		}
		return "check proxy, or set it to none"
	}
	return ""
}
