package main

import (
	"fmt"
	"path/filepath"
	"runtime"
	"runtime/metrics"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/chart"
	"github.com/aigateway-go/aigateway/internal/section"
)

// sampleCount is the number of samples of a soak.
const sampleCount = 30

// sample is a moment of a soak under way. No garbage is collected for it.
type sample struct {
	after       time.Duration
	liveHeap    uint64 // after the latest garbage collection
	goroutines  int
	connections int
}

// samples takes samples until stop is called, which returns them.
func (s *soak) samples(length time.Duration) (stop func() []sample) {
	begin, ended := time.Now(), make(chan struct{})
	taken := make(chan []sample)
	go func() {
		tick := time.NewTicker(max(length/sampleCount, time.Millisecond))
		defer tick.Stop()
		for list := []sample{s.sample(0)}; ; {
			select {
			case <-tick.C:
				list = append(list, s.sample(time.Since(begin)))
			case <-ended:
				taken <- list
				return
			}
		}
	}()
	return func() []sample {
		close(ended)
		return <-taken
	}
}

func (s *soak) sample(after time.Duration) sample {
	heap := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
	metrics.Read(heap)
	open, _ := s.connections.count()
	return sample{after, heap[0].Value.Uint64(), runtime.NumGoroutine(), open}
}

// writeSamples writes the samples into a document, in its part "soak", and draws the
// charts beside it.
func writeSamples(file string, clients int, list []sample) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%v, %d clients, %d faults, on %d cores with %s.\n\n",
		list[len(list)-1].after.Round(time.Minute), clients, len(faults), runtime.NumCPU(), runtime.Version())
	out.WriteString("<details>\n<summary>The moments</summary>\n\n| minute | live heap, MiB | goroutines | connections |\n|---:|---:|---:|---:|\n")
	for _, m := range list {
		fmt.Fprintf(&out, "| %.1f | %.1f | %d | %d |\n", m.after.Minutes(), float64(m.liveHeap)/(1<<20), m.goroutines, m.connections)
	}
	out.WriteString("\n</details>\n")
	if err := section.Write(file, "soak", out.String()); err != nil {
		return err
	}
	return chart.Write(filepath.Dir(file))
}
