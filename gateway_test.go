package aigateway_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// gatewayHang answers nothing until the gateway leaves.
func gatewayHang(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }

// gatewayRequest is a JSON request to send to a gateway.
func gatewayRequest(t testing.TB, url, body string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, url, strings.NewReader(body))
	require.NoError(t, err)
	r.Header.Set("Content-Type", "application/json")
	return r
}

// gatewayDo sends a request and reads the answer.
func gatewayDo(t testing.TB, r *http.Request) (status int, body string) {
	t.Helper()
	resp, err := http.DefaultClient.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(data)
}
