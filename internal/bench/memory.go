package main

import (
	"bytes"
	"fmt"
	"log"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

// peak measures the peak memory of a fresh process under 64 connections with
// bodies of 4 MB.
func (b *bench) peak(up *process) {
	req := request(gatewaytest.ChatBody(modelSmall, 4<<20))
	once := func(role string) float64 {
		p, err := start(role, "plain", up.addr)
		check(err)
		defer p.stop()
		cs, err := connect(p.addr, 64)
		check(err)
		defer cs.close()
		_, _, err = cs.load(req, 2*time.Second)
		check(err)
		s, err := p.ask("state")
		check(err)
		return float64(s.Peak)
	}
	var ratios, mine []float64
	for range max(*rounds, 5) {
		t := once("twin")
		g := once("gateway")
		ratios, mine = append(ratios, g/t), append(mine, g)
	}
	b.target(fmt.Sprintf("peak memory, 64 connections of 4 MB bodies (%.0f MB)", median(mine)/(1<<20)), median(ratios), 1.2, "%.2f", "≤")
}

// streams measures many slow streams at once: the memory of each while idle, and
// the delay of its events.
func (b *bench) streams(up *process) {
	n := *idle
	var files syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &files); err == nil {
		n = min(n, int(files.Cur-200)/2) // a stream has a connection on either side
	}
	var heaps, resident, mine, delays, twins []float64
	for range 5 {
		t, err := slow("twin", up, n)
		check(err)
		g, err := slow("gateway", up, n)
		check(err)
		log.Printf("%d streams: twin %.0f B (stacks %.0f), %.0f B RSS, delay p50 %s p99 %s; gateway %.0f B (stacks %.0f), %.0f B RSS, delay p50 %s p99 %s",
			n, t.heap, t.stacks, t.rss, t.p50, t.p99, g.heap, g.stacks, g.rss, g.p50, g.p99)
		heaps, resident, mine = append(heaps, g.heap/t.heap), append(resident, g.rss/t.rss), append(mine, g.heap)
		delays, twins = append(delays, float64((g.p99-t.p99).Microseconds())/1000), append(twins, float64(t.p99.Microseconds())/1000)
	}
	b.target(fmt.Sprintf("memory of an idle stream (%.0f KB), %d streams", median(mine)/1024, n), median(heaps), 1.15, "%.2f", "≤")
	b.target("the same, as pages resident", median(resident), 1.15, "%.2f", "≤")
	row := []string{
		fmt.Sprintf("p99 of an event's delay, added to the twin's %.1f ms, %d streams, in ms", median(twins), n),
		"", fmt.Sprintf("%.1f", median(delays)), "",
	}
	b.targets = append(b.targets, row)
	log.Println(row)
}

// slowResult is the outcome of many slow streams at one server.
type slowResult struct {
	heap, stacks, rss float64 // a stream; stacks are part of heap
	p50, p99          time.Duration
}

func slow(role string, up *process, n int) (slowResult, error) {
	var r slowResult
	p, err := start(role, "plain", up.addr)
	if err != nil {
		return r, err
	}
	defer p.stop()
	empty, err := p.ask("gc")
	if err != nil {
		return r, err
	}
	var (
		req      = request(gatewaytest.ChatStreamBody(modelSlow, 1<<10))
		watching atomic.Bool
		stopping atomic.Bool
		mu       sync.Mutex
		delays   []time.Duration
		wg       sync.WaitGroup
		cs       clients
		failure  error
	)
	opening := make(chan struct{}, 64)
	for i := range n {
		c, err := dial(p.addr, 4<<10)
		if err != nil {
			cs.close()
			return r, err
		}
		cs = append(cs, c)
		opening <- struct{}{}
		wg.Go(func() {
			err := c.watch(req, func() { <-opening }, func(d time.Duration) {
				if watching.Load() {
					mu.Lock()
					delays = append(delays, d)
					mu.Unlock()
				}
			})
			if !stopping.Load() {
				mu.Lock()
				failure = fmt.Errorf("stream %d: %w", i, err)
				mu.Unlock()
			}
		})
	}
	pause(slowGap) // all have sent their first, and nobody is new
	watching.Store(true)
	pause(3 * slowGap)
	watching.Store(false)
	full, err := p.ask("gc")
	if *profiles != "" {
		if _, err := p.ask("heap " + *profiles + "/streams-" + role + ".heap.prof"); err != nil {
			return r, err
		}
	}
	stopping.Store(true)
	cs.close()
	wg.Wait()
	if err == nil {
		err = failure
	}
	if err != nil || len(delays) == 0 {
		return r, fmt.Errorf("no delays: %w", err)
	}
	slices.Sort(delays)
	r.p50, r.p99 = delays[len(delays)/2], delays[len(delays)*99/100]
	each := func(before, after int64) float64 { return float64(after-before) / float64(n) }
	r.heap, r.stacks, r.rss = each(empty.Heap, full.Heap), each(empty.Stacks, full.Stacks), each(empty.RSS, full.RSS)
	return r, nil
}

func pause(d time.Duration) { <-time.After(d) }

// watch sends a request for a slow stream, and reports the delay of each event
// until the connection is closed. begun is called at the first.
func (c *client) watch(request []byte, begun func(), delay func(time.Duration)) error {
	first := true
	defer func() {
		if first {
			begun()
		}
	}()
	if _, err := c.conn.Write(request); err != nil {
		return err
	}
	if _, err := c.head(); err != nil {
		return err
	}
	for {
		n, err := c.chunk()
		if err != nil {
			return err
		}
		event, err := c.in.Peek(n)
		if err != nil {
			return err
		}
		now := time.Now().UnixNano()
		_, rest, _ := bytes.Cut(event, []byte(slowTime))
		number, _, _ := bytes.Cut(rest, []byte(","))
		sent, err := strconv.ParseInt(string(number), 10, 64)
		if err != nil {
			return err
		}
		if first {
			first = false
			begun()
		} else {
			delay(time.Duration(now - sent))
		}
		if _, err := c.in.Discard(n + 2); err != nil {
			return err
		}
	}
}
