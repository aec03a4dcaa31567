package gatewayredis_test

import (
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	gatewayredis "github.com/aigateway-go/aigateway/contrib/redis"
	"github.com/aigateway-go/aigateway/contrib/redis/internal/redistest"
	"github.com/aigateway-go/aigateway/sharedtest"
)

var prefixes atomic.Int64

// open makes a store with a prefix of its own.
func open(t *testing.T, o gatewayredis.Options) *gatewayredis.Store {
	t.Helper()
	if o.Prefix == "" {
		o.Prefix = fmt.Sprint("test-", prefixes.Add(1))
	}
	s, err := gatewayredis.New(o)
	require.NoError(t, err)
	t.Cleanup(func() { s.Close() })
	return s
}

// start starts a server that ends with the test.
func start(t *testing.T, args ...string) *redistest.Server {
	t.Helper()
	s, err := redistest.Start(args...)
	require.NoError(t, err)
	t.Cleanup(s.Close)
	return s
}

func suite(t *testing.T, url string) {
	sharedtest.Run(t, func() aigateway.Shared { return open(t, gatewayredis.Options{URL: url}) })
}

func TestStandalone(t *testing.T) {
	t.Parallel()
	suite(t, "redis://"+start(t).Addr+"/3")
}

func TestCluster(t *testing.T) {
	t.Parallel()
	c, err := redistest.StartCluster()
	require.NoError(t, err)
	t.Cleanup(c.Close)
	suite(t, c.URL())
}

func TestSentinel(t *testing.T) {
	t.Parallel()
	s, err := redistest.StartSentinel()
	require.NoError(t, err)
	t.Cleanup(s.Close)
	suite(t, s.URL())
}
