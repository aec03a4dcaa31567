package expr

import (
	"context"
	"fmt"
	"os"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func threadCPU() int64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(1, &u)
	return u.Utime.Nano() + u.Stime.Nano()
}

func TestZZ(t *testing.T) {
	if os.Getenv("ZZ") == "" {
		return
	}
	runtime.LockOSThread()
	for _, row := range strings.Split(os.Getenv("ZZ"), ";") {
		in := benchInput(10000)
		p := compiled(t, row).Prepare(in)
		best := int64(1 << 60)
		for range 10 {
			n := 0
			start := threadCPU()
			for threadCPU()-start < 20_000_000 {
				for range 5 {
					p.Eval(context.Background(), in)
					n++
				}
			}
			best = min(best, (threadCPU()-start)/int64(n))
		}
		fmt.Printf("%9d ns  %6.1f ns/model  %s\n", best, float64(best)/10000, row)
	}
}
