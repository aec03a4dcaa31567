package suite_test

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// TestNetworkWords: the texts of errors of the network name hosts and addresses, and
// those of a service's own transport its accounts. The operator gets them, and no
// client.
func TestNetworkWords(t *testing.T) {
	own := &net.TCPAddr{IP: net.IPv4(10, 1, 2, 3), Port: 443}
	for name, tt := range map[string]struct {
		err    error
		hidden []string
		status int
	}{
		"certificate": {
			&tls.CertificateVerificationError{Err: x509.HostnameError{Certificate: &x509.Certificate{DNSNames: []string{"gpu.corp.example"}}, Host: "vllm.example"}},
			[]string{"gpu.corp", "vllm.example"}, http.StatusBadGateway,
		},
		"look-up": {
			&net.OpError{Op: "dial", Net: "tcp", Err: &net.DNSError{Err: "read udp 10.1.2.3:5300->10.0.0.2:53: i/o timeout", Name: "vllm.example", Server: "10.0.0.2:53", IsTimeout: true}},
			[]string{"10.0.0.2", "10.1.2.3"}, http.StatusBadGateway,
		},
		"dialled":           {&net.OpError{Op: "dial", Net: "tcp", Addr: own, Err: errors.New("10.1.2.3 is not of this network")}, []string{"10.1.2.3"}, http.StatusBadGateway},
		"a client's error":  {&url.Error{Op: "Post", URL: "https://10.1.2.3/v1", Err: errors.New("no luck")}, []string{"10.1.2.3"}, http.StatusServiceUnavailable},
		"an own text":       {fmt.Errorf("dial tcp 10.1.2.3:443: %w", errors.New("no luck")), []string{"10.1.2.3"}, http.StatusServiceUnavailable},
		"an address":        {&net.AddrError{Err: "missing port", Addr: "10.1.2.3"}, []string{"10.1.2.3"}, http.StatusServiceUnavailable},
		"a cloud's account": {errors.New("AssumeRole: arn:aws:iam::123456789012:user/x is not authorized"), []string{"arn:", "123456789012"}, http.StatusServiceUnavailable},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(1, "a")
				s := testbed.NewScripts(t, cfg)
				s.Unreachable("a", tt.err)
				for _, got := range []gatewaytest.Answer{testbed.Ask(s.Harness), testbed.AskStream(s.Harness)} {
					assert.Equal(t, tt.status, got.Status)
					shown := s.Result().ModelsTried[0].RequestsMade[0].Error
					for _, hidden := range tt.hidden {
						assert.NotContains(t, got.Body, hidden)
						assert.Contains(t, shown, hidden)
					}
				}
			})
		})
	}
}
