package suite_test

import (
	"bytes"
	"io"
	"net/http"
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/stretchr/testify/require"
)

// BenchmarkInProcess compares a call by Gateway.Client with the same call straight to
// the upstream. The upstream is behind a loopback socket.
func BenchmarkInProcess(b *testing.B) {
	for _, bb := range benchRows {
		upstream := socketUpstream(b, bb.answer)
		body := benchBody(bb.size, bb.answer)
		through := socketGateway(b, upstream.URL).(*aigateway.Gateway).Client()
		straight := &http.Client{Transport: gatewaytest.BareProxyTransport()}
		gateway := func() { inProcessPost(b, through, "http://gateway", body) }
		alone := func() { inProcessPost(b, straight, upstream.URL, body) }
		b.Run(bb.name+"/gateway", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				gateway()
			}
		})
		b.Run(bb.name+"/straight", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				alone()
			}
		})
		b.Run(bb.name+"/ratio", func(b *testing.B) { benchRatio(b, gateway, alone) })
		straight.CloseIdleConnections()
	}
}

// inProcessPost sends one request, and reads its answer.
func inProcessPost(b *testing.B, client *http.Client, url string, body []byte) {
	resp, err := client.Post(url+"/v1/chat/completions", "application/json", bytes.NewReader(body))
	require.NoError(b, err)
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, resp.Body)
	require.NoError(b, err)
	require.Equal(b, http.StatusOK, resp.StatusCode)
}
