package gatewayotel_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/otel/sdk/metric"

	"github.com/aigateway-go/aigateway"
	gatewayotel "github.com/aigateway-go/aigateway/contrib/otel"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/sharedtest"
)

// The gauges of a fleet follow its store: before Run, up, away and back.
func TestObserveFleet(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := sharedtest.Memory()
		ctx, stop := context.WithCancel(t.Context())
		reader := metric.NewManualReader()
		h := &harness{t: t, reader: reader}
		o := gatewayotel.Options{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))}
		start := func(name string) (run func(), watched interface{ Unregister() error }) {
			g, err := aigateway.New(aigateway.Config{Shared: store, SharedSecret: []byte("0123456789abcdef0123456789abcdef"), ReplicaName: name})
			require.NoError(t, err)
			r, err := gatewayotel.ObserveFleet(g, o)
			require.NoError(t, err)
			return func() { go g.Run(ctx) }, r
		}
		runOne, one := start("one")
		const of = "aigateway.replica=one"
		metrics := h.metrics()
		assert.Equal(t, map[string]float64{of: 0}, metrics["aigateway.fleet.store.up"])
		assert.Empty(t, metrics["aigateway.fleet.snapshot.age"], "there was no exchange")

		runOne()
		runTwo, two := start("two")
		runTwo()
		gatewaytest.Pass(3 * time.Second)
		synctest.Wait()
		metrics = h.metrics()
		assert.Equal(t, map[string]float64{of: 1, "aigateway.replica=two": 1}, metrics["aigateway.fleet.store.up"])
		assert.Equal(t, map[string]float64{of: 2, "aigateway.replica=two": 2}, metrics["aigateway.fleet.replicas"])
		assert.Less(t, metrics["aigateway.fleet.snapshot.age"][of], 0.5)

		require.NoError(t, two.Unregister())
		store.Fail(errors.New("away"))
		gatewaytest.Pass(10 * time.Second)
		metrics = h.metrics()
		assert.Equal(t, map[string]float64{of: 0}, metrics["aigateway.fleet.store.up"])
		assert.InDelta(t, 10, metrics["aigateway.fleet.snapshot.age"][of], 0.5)

		store.Fail(nil)
		gatewaytest.Pass(time.Minute)
		assert.Equal(t, map[string]float64{of: 1}, h.metrics()["aigateway.fleet.store.up"])
		require.NoError(t, one.Unregister())
		assert.Empty(t, h.metrics()["aigateway.fleet.store.up"])
		stop()
		synctest.Wait()
	})
}

// A gateway without a store has no values, and a replica without a name no attribute.
func TestObserveFleetAlone(t *testing.T) {
	reader := metric.NewManualReader()
	h := &harness{t: t, reader: reader}
	o := gatewayotel.Options{MeterProvider: metric.NewMeterProvider(metric.WithReader(reader))}
	alone, err := aigateway.New(aigateway.Config{})
	require.NoError(t, err)
	_, err = gatewayotel.ObserveFleet(alone, o)
	require.NoError(t, err)
	assert.Empty(t, h.metrics())
	unnamed, err := aigateway.New(aigateway.Config{Shared: sharedtest.Memory(), SharedSecret: []byte("0123456789abcdef0123456789abcdef")})
	require.NoError(t, err)
	_, err = gatewayotel.ObserveFleet(unnamed, o)
	require.NoError(t, err)
	assert.Equal(t, map[string]float64{"": 0}, h.metrics()["aigateway.fleet.store.up"])
}
