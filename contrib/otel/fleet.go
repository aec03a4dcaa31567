package gatewayotel

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/metric"

	"github.com/aigateway-go/aigateway"
)

// ObserveFleet measures a gateway's fleet at each collection of the metrics, until the
// registration is ended by Unregister. It reads [aigateway.Gateway.Fleet], and asks the
// store nothing. Without Config.Shared there is nothing to measure, and the metrics
// have no values. Of the Options only the MeterProvider counts.
func ObserveFleet(g *aigateway.Gateway, o Options) (metric.Registration, error) {
	m := o.meter()
	up := reported(m.Int64ObservableGauge(storeUpName, // without a unit: Prometheus would call a 1 a ratio
		metric.WithDescription("1 if the latest exchange with the fleet's store succeeded, else 0.")))
	replicas := reported(m.Int64ObservableGauge(replicasName,
		metric.WithUnit("{replica}"), metric.WithDescription("Living replicas of the fleet as this one sees them, itself included.")))
	age := reported(m.Float64ObservableGauge(snapshotAgeName,
		metric.WithUnit("s"), metric.WithDescription("Time since the latest exchange with the fleet's store that succeeded.")))
	return m.RegisterCallback(func(_ context.Context, to metric.Observer) error {
		f := g.Fleet()
		if f == nil {
			return nil
		}
		var attrs []attribute.KeyValue
		if f.Name != "" {
			attrs = append(attrs, replicaKey.String(f.Name))
		}
		set := metric.WithAttributes(attrs...)
		to.ObserveInt64(up, number(f.StoreUp), set)
		to.ObserveInt64(replicas, int64(len(f.Replicas)), set)
		if f.SnapshotAge >= 0 {
			to.ObserveFloat64(age, f.SnapshotAge.Seconds(), set)
		}
		return nil
	}, up, replicas, age)
}

func number(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
