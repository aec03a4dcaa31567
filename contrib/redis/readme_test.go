package gatewayredis_test

import (
	"testing"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// The README's program is Example, which the compiler has seen.
func TestREADME(t *testing.T) { gatewaytest.READMEIsExample(t) }
