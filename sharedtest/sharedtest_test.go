package sharedtest_test

import (
	"testing"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/sharedtest"
)

func TestMemory(t *testing.T) {
	sharedtest.Run(t, func() aigateway.Shared { return sharedtest.Memory() })
}

func TestMemoryAnswersInPages(t *testing.T) {
	sharedtest.Run(t, func() aigateway.Shared {
		s := sharedtest.Memory()
		s.Page(7)
		return s
	})
}
