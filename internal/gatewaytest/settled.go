package gatewaytest

import (
	"runtime"
	"testing"
	"time"
)

// Settled waits until no more goroutines run than before. Goroutines of idle
// connections end shortly after their peers close. After 20 seconds the test
// fails with the stacks of the rest.
func Settled(t testing.TB, before int) {
	t.Helper()
	timeout := time.NewTimer(20 * time.Second)
	defer timeout.Stop()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for runtime.NumGoroutine() > before {
		select {
		case <-look.C:
		case <-timeout.C:
			stacks := make([]byte, 1<<20)
			t.Fatalf("%d goroutines, and %d before:\n%s", runtime.NumGoroutine(), before, stacks[:runtime.Stack(stacks, true)])
		}
	}
}
