// Command soak keeps a gateway under chaos, over sockets: providers play faults by
// chance, clients leave, stall and send slowly, configs are reloaded and keys rotated.
// HTTP/1.1 and HTTP/2 are spoken on both sides.
//
//	go run -race ./internal/soak -for 60s
//
// It ends with 0 only if each answer was the client's own and whole, an error, or
// visibly broken, and if requests in flight, goroutines, connections and heap return
// to their start.
package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"time"
)

func main() {
	length := flag.Duration("for", 10*time.Minute, "how long")
	clients := flag.Int("clients", 64, "how many at once")
	seed := flag.Uint64("seed", rand.Uint64(), "of the choice of faults")
	flag.Parse()
	if err := run(os.Stdout, *length, *clients, *seed); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// warmUp is the longest traffic before the figures at the start.
const warmUp = 3 * time.Second

// run soaks a gateway. The figures at the start are taken after some traffic of the
// same kind, for pools and caches are full by then.
func run(out io.Writer, length time.Duration, clients int, seed uint64) error {
	s, err := newSoak(seed)
	if err != nil {
		return err
	}
	defer s.close()
	fmt.Fprintf(out, "seed %d, %d clients, %d faults, %v\n", seed, clients, len(faults), length)
	s.traffic(min(length, warmUp), clients, io.Discard)
	begin := s.settled(figures{})
	fmt.Fprintf(out, "begin    %s\n", begin)
	if err := begin.compare(begin); err != nil {
		return err
	}

	s.traffic(length, clients, out)
	end := s.settled(begin)
	fmt.Fprintf(out, "end      %s\n", end)
	for o := range outcomes {
		fmt.Fprintf(out, "%-8s %d\n", o, s.count[o].Load())
	}
	return errors.Join(begin.compare(end), s.verdict(out))
}

// verdict reports answers that must not be, and traffic that shows too little.
func (s *soak) verdict(out io.Writer) error {
	var errs []error
	if text := s.firstFault.Load(); text != nil {
		errs = append(errs, fmt.Errorf("an answer is not as it should be: %s", *text))
	}
	for i, f := range faults {
		if s.played[i].Load() == 0 {
			errs = append(errs, fmt.Errorf("no provider has played %s: run for longer", f.name))
		}
	}
	for client := 1; client <= 2; client++ {
		for provider := 1; provider <= 2; provider++ {
			n := s.protocols[client][provider].Load()
			fmt.Fprintf(out, "HTTP/%d to HTTP/%d: %d whole answers\n", client, provider, n)
			if n == 0 {
				errs = append(errs, fmt.Errorf("no whole answer from HTTP/%d to HTTP/%d: run for longer", client, provider))
			}
		}
	}
	return errors.Join(errs...)
}
