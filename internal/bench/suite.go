package main

import (
	"fmt"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// suiteRow is a row measured by a benchmark of internal/suite. The benchmark compares
// the gateway with another side, in one process.
type suiteRow struct {
	name  string
	bench string // its path, without the side
	other string // the other side's name in the benchmark
	time  float64
	// Zero is no target. added is of the gateway's time over the other's, in µs, and
	// allocs of its allocations.
	added, allocs float64
}

func suiteRows() []suiteRow {
	return []suiteRow{
		{name: "handler in process, 1 KB → 1.2 KB", bench: "Handler/1KB", other: "bare_proxy", time: 0.90, allocs: 10},
		{name: "handler in process, 1 KB → 41 events", bench: "Handler/41_events", other: "bare_proxy", time: 1.25},
		{name: "handler in process, 1 KB → 1 MB", bench: "Handler/1MB_answer", other: "bare_proxy", time: 2},
		{name: "Gateway.Client to http.Client, 1 KB → 1.2 KB", bench: "InProcess/1KB", other: "straight", added: 15, allocs: 60},
		{name: "Gateway.Client to http.Client, 1 KB → 41 events", bench: "InProcess/41_events", other: "straight", time: 1.05},
		{name: "Gateway.Client to http.Client, 215 KB → 1.2 KB", bench: "InProcess/215KB", other: "straight", time: 1.05},
	}
}

// suite runs the benchmarks of the rows, each once a round.
func (b *bench) suite() {
	folder, err := os.MkdirTemp("", "bench")
	check(err)
	cleanup = func() { os.RemoveAll(folder) }
	binary := filepath.Join(folder, "suite.test")
	for _, r := range suiteRows() {
		if !b.rows.MatchString(r.name) {
			continue
		}
		if _, err := os.Stat(binary); err != nil {
			out, err := exec.Command("go", "test", "-c", "-o", binary, "github.com/aigateway-go/aigateway/internal/suite").CombinedOutput()
			if err != nil {
				check(fmt.Errorf("%w\n%s", err, out))
			}
		}
		b.suiteRow(r, binary)
	}
	cleanup()
	cleanup = func() {}
}

func (b *bench) suiteRow(r suiteRow, binary string) {
	path := "^Benchmark" + strings.ReplaceAll(r.bench, "/", "$/^") + "$"
	out, err := exec.Command(binary, "-test.run", "^$", "-test.bench", path, "-test.benchtime", "200ms", "-test.count", strconv.Itoa(*rounds)).CombinedOutput()
	if err != nil {
		check(fmt.Errorf("%w\n%s", err, out))
	}
	value := func(side, unit string) float64 {
		v := values(string(out), "Benchmark"+r.bench+"/"+side, unit)
		if len(v) == 0 {
			check(fmt.Errorf("the benchmark %s has no %s of %s:\n%s", r.bench, unit, side, out))
		}
		return median(v)
	}
	mine, other := value("ratio", "mine-ns")/1000, value("ratio", "other-ns")/1000
	allocs, others := value("gateway", "allocs/op"), value(r.other, "allocs/op")
	b.figure(fmt.Sprintf("%s: time (%.0f µs to %.0f µs)", r.name, mine, other), value("ratio", "ratio"), r.time, "%.2f")
	if r.added > 0 {
		b.figure(r.name+": time added, in µs", value("ratio", "added-ns")/1000, r.added, "%.0f")
	}
	b.figure(fmt.Sprintf("%s: allocations over the other's %.0f", r.name, others), allocs-others, r.allocs, "%.0f")
}

// figure notes a row that has a target, unless it is zero.
func (b *bench) figure(name string, value, limit float64, format string) {
	if limit > 0 {
		b.target(name, value, limit, format, "≤")
		return
	}
	row := []string{name, "", fmt.Sprintf(format, value), ""}
	b.targets = append(b.targets, row)
	log.Println(strings.Join(row, " | "))
}

// values are those of one unit, of all runs of a benchmark.
func values(out, name, unit string) (list []float64) {
	line := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + `(?:-\d+)?\s.*?(-?[\d.]+) ` + regexp.QuoteMeta(unit) + `(?:\s|$)`)
	for _, m := range line.FindAllStringSubmatch(out, -1) {
		v, err := strconv.ParseFloat(m[1], 64)
		check(err)
		list = append(list, v)
	}
	return list
}
