// Command soak keeps a gateway under chaos, over sockets. Providers play faults by
// chance. Clients leave, stall and send slowly. Configs are reloaded, and keys rotated.
// HTTP/1.1 and HTTP/2 are spoken on both sides. Some clients call in process. Some
// providers speak one format, and their answers are translated. Hooks keep what they get,
// and panic at times.
//
//	go run -race ./internal/soak -for 60s
//
// Each answer must be the client's own and whole, an error, or visibly broken. Requests
// in flight, goroutines, connections and heap must return to their start. Else it ends
// with 1.
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
	update := flag.String("update", "", "the Markdown `FILE` to write the memory over the time to, in its part soak")
	flag.Parse()
	if err := run(os.Stdout, *length, *clients, *seed, *update); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

// warmUp is the longest traffic before the figures at the start.
const warmUp = 3 * time.Second

// longest bounds the traffic, in lengths.
const longest = 10

// run soaks a gateway, and writes its samples into the file to update, if all was well
// and there is one. The figures at the start are taken after some traffic of the
// same kind, for pools and caches are full by then.
func run(out io.Writer, length time.Duration, clients int, seed uint64, update string) error {
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

	stop := s.samples(length)
	s.traffic(length, clients, out)
	list := stop()
	for range longest - 1 { // a slow machine needs longer to show as much
		if s.shows() == nil {
			break
		}
		s.traffic(length, clients, out)
	}
	end := s.settled(begin)
	fmt.Fprintf(out, "end      %s\n", end)
	for o := range outcomes {
		fmt.Fprintf(out, "%-8s %d\n", o, s.count[o].Load())
	}
	for client := 1; client <= 2; client++ {
		for provider := 1; provider <= 2; provider++ {
			fmt.Fprintf(out, "HTTP/%d to HTTP/%d: %d whole answers\n", client, provider, s.protocols[client][provider].Load())
		}
	}
	fmt.Fprintf(out, "in process: %d whole answers\ntranslated: %d\n", s.inProcess.Load(), s.translated.Load())
	var harm error
	if text := s.firstFault.Load(); text != nil {
		harm = fmt.Errorf("an answer is not as it should be: %s", *text)
	}
	if err := errors.Join(begin.compare(end), harm, s.shows()); err != nil || update == "" {
		return err
	}
	return writeSamples(update, clients, list)
}

// shows reports if the traffic so far shows too little: each fault, and whole answers
// between all protocols, in process, and translated.
func (s *soak) shows() error {
	var errs []error
	for i, f := range faults {
		if s.played[i].Load() == 0 {
			errs = append(errs, fmt.Errorf("no provider has played %s: run for longer", f.name))
		}
	}
	for client := 1; client <= 2; client++ {
		for provider := 1; provider <= 2; provider++ {
			if s.protocols[client][provider].Load() == 0 {
				errs = append(errs, fmt.Errorf("no whole answer from HTTP/%d to HTTP/%d: run for longer", client, provider))
			}
		}
	}
	if s.inProcess.Load() == 0 || s.translated.Load() == 0 {
		errs = append(errs, errors.New("no whole answer in process, or none translated: run for longer"))
	}
	return errors.Join(errs...)
}
