package gatewayotel

import (
	"sync"

	"go.opentelemetry.io/otel/attribute"

	"github.com/aigateway-go/aigateway"
)

// The bounds of labels in metrics.
const (
	maxLabelNames  = 8
	maxLabelValues = 100 // of each name
)

// labelSet bounds the values of labels in metrics. The first values of a name stay,
// and all later ones are "_OTHER". Names beyond the bound are left out.
type labelSet struct {
	mu     sync.Mutex
	values map[attribute.Key]map[string]bool
}

func newLabelSet() *labelSet { return &labelSet{values: map[attribute.Key]map[string]bool{}} }

// of are the caller and the labels of a request as metrics may show them.
func (s *labelSet) of(r *aigateway.ClientRequest) []attribute.KeyValue {
	if r.Caller == "" && len(r.Labels) == 0 {
		return nil
	}
	attrs := make([]attribute.KeyValue, 0, 1+len(r.Labels))
	s.mu.Lock()
	defer s.mu.Unlock()
	add := func(key attribute.Key, value string) {
		known := s.values[key]
		if known == nil {
			if len(s.values) == maxLabelNames {
				return
			}
			known = map[string]bool{}
			s.values[key] = known
		}
		switch {
		case known[value]:
		case len(known) == maxLabelValues:
			value = other
		default:
			known[value] = true
		}
		attrs = append(attrs, key.String(value))
	}
	if r.Caller != "" {
		add(callerKey, shortened(r.Caller))
	}
	for name, value := range r.Labels {
		add(attribute.Key(labelPrefix+name), shortened(value))
	}
	return attrs
}
