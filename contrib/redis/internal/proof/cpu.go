package main

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// roundLength is how long one side of a round of cpu lasts.
const roundLength = 3 * time.Second

// cpu compares the processor time a request of replicas with the store and without, in
// rounds that alternate.
func cpu(ctx context.Context, o *options) error {
	s, err := o.stage(ctx, 3, "")
	if err != nil {
		return err
	}
	defer s.close()
	shared := s.replicas
	var alone []*replica
	defer func() { s.replicas = slices.Concat(shared, alone) }()
	for i := range shared {
		r, err := s.start(fmt.Sprint("alone-", i), "")
		if err != nil {
			return err
		}
		alone = append(alone, r)
		s.replicas = append(s.replicas, r)
	}
	rate := o.rateOr(1000)
	var ratios, with, without, rates []float64
	for i := range o.rounds + 1 {
		sides := [2][]*replica{shared, alone}
		if i%2 == 1 {
			sides[0], sides[1] = alone, shared
		}
		var cost [2]float64
		for j, replicas := range sides {
			c, got, err := side(ctx, replicas, rate)
			if err != nil {
				return err
			}
			cost[(i+j)%2] = c
			rates = append(rates, got)
		}
		if i == 0 {
			continue // caches are cold
		}
		with, without, ratios = append(with, cost[0]), append(without, cost[1]), append(ratios, cost[0]/cost[1])
	}
	slices.Sort(ratios)
	o.printf("%d replicas, %.0f requests a second each, %d rounds of 2 × %s: CPU a request %.1f µs with the store, %.1f µs without; ratio: median %.3f, quartiles %.3f and %.3f",
		len(shared), median(rates), o.rounds, roundLength, median(with), median(without), median(ratios), ratios[len(ratios)/4], ratios[len(ratios)*3/4])
	return nil
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

// side loads some replicas, and returns their processor time a request in µs, and the
// requests a second that each got.
func side(ctx context.Context, replicas []*replica, rate int) (cost, got float64, err error) {
	before, err := used(replicas)
	if err != nil {
		return 0, 0, err
	}
	var load balancer
	load.set(replicas)
	timed, stop := context.WithTimeout(ctx, roundLength)
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
