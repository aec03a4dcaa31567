package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"path/filepath"
	"runtime"
	"strings"
	"time"

	"github.com/redis/go-redis/v9"

	"github.com/aigateway-go/aigateway/internal/chart"
	"github.com/aigateway-go/aigateway/internal/section"
)

// samplesInSoak is their number: in half an hour, one each ten seconds.
const samplesInSoak = 180

// samplesInRow is the number of samples from one row of the document to the next.
const samplesInRow = 6

// reloadEvery is the number of samples between two reloads of all replicas.
const reloadEvery = 6

// soakSample is a moment of the soak. Lists have an element for each replica.
type soakSample struct {
	after       time.Duration
	heap        []float64 // bytes after garbage collections
	goroutines  []float64
	clients     []float64 // connections of clients
	upstream    float64   // connections to the provider, of all
	store       float64   // connections to the store, of all
	keys        float64   // in the store, with the fields of hashes
	memory      float64   // of the store, in bytes
	sent, wrong int64     // requests so far
}

// watch takes samples until the context ends. In each minute of half an hour it prints
// one, and reloads the replicas.
func (s *stage) watch(ctx context.Context, o *options, load *soakLoad, client *redis.Client) (list []soakSample, err error) {
	tick := time.NewTicker(o.length / samplesInSoak)
	defer tick.Stop()
	o.printf("minute  heap, MiB             goroutines      connections: clients, upstream, store   keys   store, MiB   requests   failed")
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return list, nil
		}
		m, err := s.sample(context.WithoutCancel(ctx), load, client)
		if err != nil {
			return list, fmt.Errorf("after %s: %w", time.Since(load.begin).Round(time.Second), err)
		}
		list = append(list, m)
		if len(list)%samplesInRow == 0 {
			o.printf("%6.1f  %-20s  %-14s  %-14s %8.0f %6.0f %15.0f %12.1f %10d %8d", m.after.Minutes(), joined("%.1f", 1<<20, m.heap), joined("%.0f", 1, m.goroutines),
				joined("%.0f", 1, m.clients), m.upstream, m.store, m.keys, m.memory/(1<<20), m.sent, m.wrong)
		}
		if len(list)%reloadEvery == 0 {
			if err := s.reload(context.WithoutCancel(ctx)); err != nil {
				return list, err
			}
		}
	}
}

func joined(format string, unit float64, values []float64) string {
	var parts []string
	for _, v := range values {
		parts = append(parts, fmt.Sprintf(format, v/unit))
	}
	return strings.Join(parts, ", ")
}

// sample asks all processes. The debug page of each replica must know of all others.
func (s *stage) sample(ctx context.Context, load *soakLoad, client *redis.Client) (m soakSample, err error) {
	for _, r := range s.replicas {
		f, err := r.figures(ctx)
		if err != nil {
			return m, fmt.Errorf("%s: %w", r.name, err)
		}
		switch all, err := s.sees(ctx, r); {
		case err != nil:
			return m, fmt.Errorf("%s: %w", r.name, err)
		case !all:
			return m, fmt.Errorf("%s does not see all replicas", r.name)
		}
		m.heap, m.goroutines, m.clients = append(m.heap, f.Heap), append(m.goroutines, f.Goroutines), append(m.clients, f.Connections)
	}
	m.after, m.upstream = time.Since(load.begin), float64(s.provider.open.Load())
	m.sent, m.wrong = load.sent.Load(), load.failed.Load()
	c, err := take(s.store) //nolint:contextcheck // the command line of the store has a limit of its own
	if err != nil {
		return m, err
	}
	m.memory = c.memory
	m.keys, m.store, err = held(ctx, client)
	return m, err
}

// acquainted waits until each replica's debug page shows all replicas.
func (s *stage) acquainted(ctx context.Context) error {
	for _, r := range s.replicas {
		if _, err := until(ctx, 5*time.Second, relaxed, func() (bool, error) { return s.sees(ctx, r) }); err != nil {
			return fmt.Errorf("%s does not see all replicas: %w", r.name, err)
		}
	}
	return nil
}

// sees reports whether a replica's debug page shows all replicas.
func (s *stage) sees(ctx context.Context, r *replica) (bool, error) {
	page, err := r.state(ctx)
	return err == nil && len(page.Fleet.Replicas) == len(s.replicas), err
}

// held counts the keys of a store, with the fields of hashes, and its connections but
// this one.
func held(ctx context.Context, client *redis.Client) (keys, connections float64, err error) {
	all := client.Scan(ctx, 0, "*", 1000).Iterator()
	for all.Next(ctx) {
		keys++
		if kind, err := client.Type(ctx, all.Val()).Result(); err != nil || kind != "hash" {
			continue // it may have ended meanwhile
		}
		n, err := client.HLen(ctx, all.Val()).Result()
		if err != nil {
			return 0, 0, err
		}
		keys += float64(n)
	}
	list, err := client.ClientList(ctx).Result()
	return keys, float64(strings.Count(list, "id=") - 1), errors.Join(all.Err(), err)
}

// processFigures are those of a replica's process.
type processFigures struct {
	Heap        float64 `json:"heap"`
	Goroutines  float64 `json:"goroutines"`
	Connections float64 `json:"connections"`
}

func (r *replica) figures(ctx context.Context) (f processFigures, err error) {
	err = r.ask(ctx, http.MethodGet, "/figures", func(resp *http.Response) error { return json.NewDecoder(resp.Body).Decode(&f) })
	return f, err
}

func (s *stage) reload(ctx context.Context) error {
	for _, r := range s.replicas {
		if err := r.ask(ctx, http.MethodPost, "/reload", func(*http.Response) error { return nil }); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	return nil
}

// longestLife is that of the longest-lived state that the soak makes anew all the
// time: pins live for ten minutes.
const longestLife = 10 * time.Minute

// series is a figure over the time. It is level if it grows by a twentieth and its
// slack at most, from the middle third of the soak to the last.
type series struct {
	name   string
	unit   float64
	slack  float64
	isLong bool // level only behind longestLife
	values []float64
}

// judge compares the thirds of a series. An error says that it is not level.
func (s *series) judge(o *options) (middle, last float64, verdict string, err error) {
	n := len(s.values)
	middle, last = median(s.values[n/3:2*n/3]), median(s.values[2*n/3:])
	bound := middle + middle/20 + s.slack*float64(max(o.slack, 1))
	switch {
	case s.isLong && o.length < 3*longestLife:
		return middle, last, fmt.Sprintf("no verdict: that takes %s", 3*longestLife), nil
	case last > bound:
		return middle, last, "grows", fmt.Errorf("%s grows from %.1f to %.1f: want %.1f at most", s.name, middle/s.unit, last/s.unit, bound/s.unit)
	}
	return middle, last, "level", nil
}

// level judges all series, and prints them.
func level(o *options, list []soakSample) error {
	if len(list) < 6 {
		return fmt.Errorf("only %d samples: run for longer", len(list))
	}
	var errs []error
	for _, s := range all(list) {
		middle, last, verdict, err := s.judge(o)
		errs = append(errs, err)
		o.printf("%-32s middle third %8.1f, last third %8.1f: %s", s.name, middle/s.unit, last/s.unit, verdict)
	}
	return errors.Join(errs...)
}

// all are the series of the samples.
func all(list []soakSample) (out []series) {
	add := func(name string, unit, slack float64, isLong bool, of func(m *soakSample) float64) {
		s := series{name, unit, slack, isLong, nil}
		for i := range list {
			s.values = append(s.values, of(&list[i]))
		}
		out = append(out, s)
	}
	for i := range list[0].heap {
		add(fmt.Sprintf("heap of replica %d, MiB", i+1), 1<<20, 512<<10, true, func(m *soakSample) float64 { return m.heap[i] })
	}
	for i := range list[0].goroutines {
		add(fmt.Sprintf("goroutines of replica %d", i+1), 1, 10, false, func(m *soakSample) float64 { return m.goroutines[i] })
	}
	for i := range list[0].clients {
		add(fmt.Sprintf("connections of clients to %d", i+1), 1, 10, false, func(m *soakSample) float64 { return m.clients[i] })
	}
	add("connections to the provider", 1, 10, false, func(m *soakSample) float64 { return m.upstream })
	add("connections to the store", 1, 10, false, func(m *soakSample) float64 { return m.store })
	add("keys and fields in the store", 1, 50, true, func(m *soakSample) float64 { return m.keys })
	add("memory of the store, MiB", 1<<20, 128<<10, true, func(m *soakSample) float64 { return m.memory })
	return out
}

// writeSamples writes the samples into a document, in its part "fleet-soak", and draws
// the charts beside it.
func writeSamples(o *options, load *soakLoad, list []soakSample) error {
	var out strings.Builder
	fmt.Fprintf(&out, "%s, %d requests of which %d failed, on %d cores with %s.\n\n", o.length, load.sent.Load(), load.failed.Load(), runtime.NumCPU(), runtime.Version())
	out.WriteString("| figure | middle third | last third | |\n|---|--:|--:|---|\n")
	for _, s := range all(list) {
		middle, last, verdict, _ := s.judge(o) // the verdict says it
		fmt.Fprintf(&out, "| %s | %.1f | %.1f | %s |\n", s.name, middle/s.unit, last/s.unit, verdict)
	}
	out.WriteString("\n<details>\n<summary>The moments</summary>\n\n| minute |")
	for i := range list[0].heap {
		fmt.Fprintf(&out, " heap %d, MiB |", i+1)
	}
	out.WriteString(" store, MiB | goroutines | connections | keys and fields | requests | failed |\n|" + strings.Repeat("--:|", 7+len(list[0].heap)) + "\n")
	for i := 0; i < len(list); i += samplesInRow {
		m := &list[i]
		fmt.Fprintf(&out, "| %.1f |", m.after.Minutes())
		for _, h := range m.heap {
			fmt.Fprintf(&out, " %.1f |", h/(1<<20))
		}
		fmt.Fprintf(&out, " %.1f | %.0f | %.0f | %.0f | %d | %d |\n", m.memory/(1<<20), sum(m.goroutines), sum(m.clients)+m.upstream+m.store, m.keys, m.sent, m.wrong)
	}
	out.WriteString("\n</details>\n")
	if err := section.Write(o.update, "fleet-soak", out.String()); err != nil {
		return err
	}
	return chart.Write(filepath.Dir(o.update))
}

func sum(values []float64) (n float64) {
	for _, v := range values {
		n += v
	}
	return n
}
