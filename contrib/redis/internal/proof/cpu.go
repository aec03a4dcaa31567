package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Each side of a round of cpu first warms up, and is then measured.
const (
	warmLength  = time.Second
	roundLength = 3 * time.Second
)

// cpu compares the processor time a request of replicas with the store and without.
//
// Each round has processes of its own. Two processes of one program differ by some
// hundredths for as long as they live, such as by the number of connections that a first
// burst opened, and so by the size of the heap. Rounds of the same processes would all
// have that difference. The sides take turns in starting first and in being measured first.
func cpu(ctx context.Context, o *options) error {
	var ratios, with, without, rates []float64
	for i := range o.rounds {
		cost, rate, err := o.round(ctx, i%2)
		if err != nil {
			return err
		}
		with, without, ratios = append(with, cost[0]), append(without, cost[1]), append(ratios, cost[0]/cost[1])
		rates = append(rates, rate)
	}
	slices.Sort(ratios)
	o.printf("%d replicas, %.0f requests a second each, %d rounds of 2 × %s: CPU a request %.1f µs with the store, %.1f µs without; ratio: median %.3f, quartiles %.3f and %.3f",
		o.replicasOr(3), median(rates), o.rounds, roundLength, median(with), median(without), median(ratios), ratios[len(ratios)/4], ratios[len(ratios)*3/4])
	return nil
}

// round measures replicas with the store and without, in new processes. First is the side
// that begins: 0 with the store, 1 without.
func (o *options) round(ctx context.Context, first int) (cost [2]float64, rate float64, err error) {
	s, err := newStage(example, "", "")
	if err != nil {
		return cost, 0, err
	}
	defer s.close()
	order := [2]int{first, 1 - first}
	var sides [2][]*replica
	var all []*replica
	defer func() { s.replicas = all }()
	for _, j := range order {
		for i := range o.replicasOr(3) {
			name, url := fmt.Sprint("shared-", i), s.url()
			if j == 1 {
				name, url = fmt.Sprint("alone-", i), ""
			}
			r, err := s.start(name, url)
			if err != nil {
				return cost, 0, err
			}
			sides[j], all = append(sides[j], r), append(all, r)
		}
	}
	s.replicas = sides[0]
	if err := s.settled(ctx); err != nil {
		return cost, 0, err
	}
	for _, length := range []time.Duration{warmLength, roundLength} {
		for _, j := range order {
			if cost[j], rate, err = side(ctx, sides[j], o.rateOr(1000), length); err != nil {
				return cost, 0, err
			}
		}
	}
	return cost, rate, nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// side loads some replicas for a while, and returns their processor time a request in µs,
// and the requests a second that each got.
func side(ctx context.Context, replicas []*replica, rate int, length time.Duration) (cost, got float64, err error) {
	before, err := used(replicas)
	if err != nil {
		return 0, 0, err
	}
	var load balancer
	load.set(replicas)
	timed, stop := context.WithTimeout(ctx, length)
	defer stop()
	begin := time.Now()
	load.serve(timed, rate*len(replicas), body("hi", "good:m"), body("hi", "p0:m", "good:m"))
	took := time.Since(begin)
	if n, first := load.failures(); n > 0 {
		return 0, 0, first
	}
	after, err := used(replicas)
	if err != nil {
		return 0, 0, err
	}
	n, _ := load.figures(quiet, 0.5)
	return float64((after - before).Microseconds()) / float64(n), float64(n) / took.Seconds() / float64(len(replicas)), nil
}

func used(replicas []*replica) (sum time.Duration, err error) {
	for _, r := range replicas {
		d, err := r.cpu()
		if err != nil {
			return 0, err
		}
		sum += d
	}
	return sum, nil
}
