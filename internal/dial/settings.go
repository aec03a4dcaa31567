package dial

import (
	"bytes"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"net/url"
	"os"
	"strings"

	"github.com/aigateway-go/aigateway/internal/address"
)

// ProxyNone is the Proxy of Settings without any proxy.
const ProxyNone = "none"

// Settings say how one provider is reached. The zero Settings are the roots of the
// system, no client certificate, and the proxy of the environment. Settings compare
// by ==.
type Settings struct {
	// CAFile holds the authorities trusted to sign the upstream's certificate, in
	// PEM. They replace the system's.
	CAFile string
	// CertFile and KeyFile hold the client certificate with its chain and its key,
	// in PEM. Both are given or neither.
	CertFile, KeyFile string
	// ServerName is the name in the upstream's certificate. If
	// empty, the dialled host.
	ServerName string
	// Proxy is "http://host:port", perhaps with a user and a password, or
	// ProxyNone. If empty, the environment's holds.
	Proxy string
}

// FieldError is a problem with one field of a provider's Settings. It quotes
// neither keys nor the password of a proxy.
type FieldError struct {
	Field string // as in a config, such as "tls.ca_file"
	Err   error
}

// Error returns the field and the problem.
func (e *FieldError) Error() string { return e.Field + ": " + e.Err.Error() }

// Unwrap returns the problem.
func (e *FieldError) Unwrap() error { return e.Err }

// Check reads the files, and returns all problems with the settings.
func (s Settings) Check() []*FieldError {
	_, faults := s.load()
	if s.ServerName != "" && strings.ContainsAny(s.ServerName, ":/ ") {
		if _, err := netip.ParseAddr(s.ServerName); err != nil {
			faults = append(faults, &FieldError{"tls.server_name", errors.New("is not a host name: leave out scheme, port and path")})
		}
	}
	if _, err := s.proxyURL(); err != nil {
		faults = append(faults, &FieldError{"proxy", err})
	}
	return faults
}

// proxyURL parses Proxy. It is nil for ProxyNone and for the environment's.
func (s Settings) proxyURL() (*url.URL, error) {
	if s.Proxy == "" || s.Proxy == ProxyNone {
		return nil, nil
	}
	u, err := url.Parse(s.Proxy)
	switch {
	case err != nil: // its text quotes the URL
		return nil, errors.New("is not a URL: write http://host:port, or none")
	case u.Scheme != "http" || u.Hostname() == "":
		return nil, errors.New("must be http://host:port, or none")
	//
	case strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "":
		return nil, errors.New("must end after the port: a proxy has no path")
	}
	return u, nil
}

// material is what the files of Settings hold. It is not changed once made.
type material struct {
	roots *x509.CertPool // nil: the system's
	certs []tls.Certificate
	sum   [sha256.Size]byte // of all files
}

// hasFiles reports whether there are files to look at.
// Without any, a Transport spares the look.
func (s Settings) hasFiles() bool { return s.CAFile != "" || s.CertFile != "" || s.KeyFile != "" }

// load reads and parses the files.
// It reads all of them at each call: a caller compares the sums to learn of a
// change. All faults come together, for an operator mends them in one go. With
// faults there is no material.
func (s Settings) load() (*material, []*FieldError) {
	var faults []*FieldError
	read := func(field, path string) []byte {
		if path == "" {
			return nil
		}
		data, err := readFile(path)
		if err != nil {
			faults = append(faults, &FieldError{field, err})
		}
		return data
	}
	ca, cert, key := read("tls.ca_file", s.CAFile), read("tls.cert_file", s.CertFile), read("tls.key_file", s.KeyFile)
	switch {
	case s.CertFile != "" && s.KeyFile == "":
		faults = append(faults, &FieldError{"tls.key_file", errors.New("is missing: tls.cert_file needs its key")})
	case s.KeyFile != "" && s.CertFile == "":
		faults = append(faults, &FieldError{"tls.cert_file", errors.New("is missing: tls.key_file needs its certificate")})
	}
	if len(faults) > 0 {
		return nil, faults
	}
	m := new(material)
	//
	// The sum is of the sums of the files: bytes moved from one file to the next
	// change it.
	sums := sha256.New()
	for _, data := range [][]byte{ca, cert, key} {
		sum := sha256.Sum256(data)
		sums.Write(sum[:])
	}
	copy(m.sum[:], sums.Sum(nil))
	if s.CAFile != "" {
		certs, err := parseCertificates(ca)
		if err != nil {
			faults = append(faults, &FieldError{"tls.ca_file", fmt.Errorf("%q: %w", s.CAFile, err)})
		}
		m.roots = x509.NewCertPool()
		for _, c := range certs {
			m.roots.AddCert(c)
		}
	}
	if s.CertFile != "" {
		if _, err := parseCertificates(cert); err != nil {
			faults = append(faults, &FieldError{"tls.cert_file", fmt.Errorf("%q: %w", s.CertFile, err)})
		} else if pair, err := tls.X509KeyPair(cert, key); err != nil {
			faults = append(faults, &FieldError{"tls.key_file", fmt.Errorf("%q: %s", s.KeyFile, strings.TrimPrefix(err.Error(), "tls: "))})
		} else {
			m.certs = []tls.Certificate{pair}
		}
	}
	if len(faults) > 0 {
		return nil, faults
	}
	return m, nil
}

// maxFile bounds a file of certificates, in bytes. The bundle of a Linux
// distribution has a quarter of it.
const maxFile = 1 << 20

// readFile reads a regular file. The opening of a named pipe would wait for its
// writer.
func readFile(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", path)
	}
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	data, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err == nil && len(data) > maxFile {
		err = fmt.Errorf("%q is larger than %d bytes", path, maxFile)
	}
	return data, err
}

// parseCertificates returns the certificates of a file in PEM. Blocks of other
// kinds are passed over. A file cut short is an error: its last block does
// not end.
func parseCertificates(data []byte) ([]*x509.Certificate, error) {
	var certs []*x509.Certificate
	for {
		var block *pem.Block
		block, data = pem.Decode(data)
		if block == nil {
			break
		}
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fmt.Errorf("certificate %d cannot be read: %w", len(certs)+1, err)
		}
		certs = append(certs, cert)
	}
	switch {
	case bytes.Contains(data, []byte("-----BEGIN ")):
		return nil, errors.New("its last block in PEM is not whole")
	case len(certs) == 0:
		return nil, errors.New("holds no certificate in PEM")
	}
	return certs, nil
}

// isInternal reports whether a request is for a .internal host, or for the
// mapped address of such a host. A Unix socket has a host there too.
func isInternal(urlHost, header string) bool {
	name, _, _ := strings.Cut(header, ":")
	return address.IsInternal(urlHost) || address.IsInternal(name)
}
