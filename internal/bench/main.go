// Command bench measures the gateway beside a bare reverse proxy, its twin (see
// gatewaytest.BareProxy), and prints the ratios as docs/performance.md shows
// them.
//
// The server under test, its upstream and the client are three processes. The
// CPU time and the memory of the server are its own: getrusage and /proc report
// that process. All three share the machine; client and upstream speak HTTP by
// hand and leave most of it to the server. Gateway and twin take turns, in
// rounds, and each ratio is the median of the rounds' ratios: a slow moment of
// the machine hits both.
//
// Rows may have another server in the place of either: examples/server, nginx, or a
// gateway with other settings (see comparisons). In-process rows are benchmarks of
// internal/suite.
//
// -profile DIR leaves a CPU profile of the gateway for each row there.
package main

import (
	"cmp"
	"flag"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway/internal/chart"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
)

var (
	role     = flag.String("role", "", "what to be; this is how the program starts its other processes")
	variant  = flag.String("variant", "", "which gateway to be")
	upstream = flag.String("upstream", "", "the upstream's address")

	rounds   = flag.Int("rounds", 7, "rounds of which the median counts")
	window   = flag.Duration("window", 400*time.Millisecond, "how long one side is loaded in a round")
	only     = flag.String("only", ".", "a pattern of the rows to measure")
	profiles = flag.String("profile", "", "the folder to write CPU profiles to")
	idle     = flag.Int("streams", 10_000, "how many slow streams to open at once, as far as files allow")
	draw     = flag.String("draw", "", "draw the charts of the documents in this folder, and measure nothing")
	update   = flag.String("update", "", "the Markdown file to write the tables to, between its bench markers")
)

func main() {
	log.SetFlags(0)
	flag.Parse()
	if *role != "" {
		check(child(*role, *variant, *upstream))
		return
	}
	if *draw != "" {
		check(chart.Write(*draw))
		return
	}
	b := &bench{rows: regexp.MustCompile(*only)}
	b.run()
	b.print(os.Stdout)
	if *update != "" {
		check(b.write(*update))
		check(chart.Write(filepath.Dir(*update)))
	}
}

func check(err error) {
	if err != nil {
		cleanup()
		log.Fatal(err)
	}
}

// cleanup ends the servers and removes the files that would outlive this process.
var cleanup = func() {}

// bench collects the tables.
type bench struct {
	rows    *regexp.Regexp
	targets [][]string
	socket  [][]string
}

// load is a row measured over sockets.
type load struct {
	name    string
	variant string // of the server under test; if empty, the plain gateway
	base    string // of the server it is compared with; if empty, the twin
	format  string // of the requests to the server under test; if empty, chat
	model   string
	size    int
	conns   int

	// The targets of the ratios: the least rate and the most CPU time. Zero is none.
	rate, cpu float64
}

func loads() []load {
	const small, medium, prompt, huge = 1 << 10, 16 << 10, 215 << 10, 4 << 20
	list := []load{}
	for _, conns := range []int{1, 8, 64} {
		for _, size := range []int{small, medium, prompt, huge} {
			l := load{name: fmt.Sprintf("%s → 1.2 KB, %s", bytesText(size), connsText(conns)), model: modelSmall, size: size, conns: conns}
			switch {
			case size == small && conns == 8:
				l.rate, l.cpu = 0.95, 1.15
			case size == prompt && conns == 8:
				l.cpu = 1.10
			}
			list = append(list, l)
		}
		l := load{name: fmt.Sprintf("1 KB → 1 MB, %s", connsText(conns)), model: modelLarge, size: small, conns: conns}
		list = append(list, l)
		l = load{name: fmt.Sprintf("1 KB → %d events, %s", streamEvents, connsText(conns)), model: modelFast, size: small, conns: conns}
		if conns == 8 {
			l.rate = 0.95
		}
		list = append(list, l)
	}
	for _, v := range []struct{ variant, name string }{
		{"keys", "three keys"},
		{"static", "static strategy"},
		{"metric", "metric strategy"},
		{"random", "random strategy"},
		{"dead", "dead primary"},
		{"models:10", "10 models"},
		{"models:1000", "1,000 models"},
		{"models:10000", "10,000 models"},
	} {
		list = append(list, load{name: v.name + ", 1 KB → 1.2 KB, 8 connections", variant: v.variant, model: modelSmall, size: small, conns: 8})
	}
	list = append(list, comparisons()...)
	for i := range list {
		list[i].variant = cmp.Or(list[i].variant, "plain")
		list[i].base = cmp.Or(list[i].base, "twin")
	}
	return list
}

func (b *bench) run() {
	up, err := start("upstream", "", "")
	check(err)
	defer up.stop()
	f := &fleet{up: up, running: map[string]*process{}}
	cleanup = f.stop
	for _, l := range loads() {
		if b.rows.MatchString(l.name) {
			b.load(l, f.server(l.variant), f.server(l.base))
		}
	}
	if b.rows.MatchString("first event") {
		b.firstEvent(f.server("plain"), f.server("twin"))
	}
	f.stop()
	cleanup = func() {}
	b.handlers()
	if b.rows.MatchString("peak memory") {
		b.peak(up)
	}
	if b.rows.MatchString("idle streams") {
		b.streams(up)
	}
}

// load measures one row: throughput, and the CPU time of the server.
func (b *bench) load(l load, gateway, twin *process) {
	side := func(p *process, req []byte) func(time.Duration) (rate, cpu float64) {
		cs, err := connect(p.addr, l.conns)
		check(err)
		run := func(d time.Duration) (rate, cpu float64) {
			before := p.cpu()
			rate, n, err := cs.load(req, d)
			check(err)
			return rate, float64((p.cpu() - before).Microseconds()) / float64(n)
		}
		run(*window / 4) // to warm up
		return run
	}
	g, t := side(gateway, inFormat(l.format, chatBody(l.model, l.size))), side(twin, request(chatBody(l.model, l.size)))
	if *profiles != "" && !gateway.foreign {
		file := regexp.MustCompile(`[^\w]+`).ReplaceAllString(l.name, "-") + ".prof"
		_, err := gateway.ask("profile " + filepath.Join(*profiles, file))
		check(err)
		g(2 * time.Second)
		_, err = gateway.ask("end")
		check(err)
	}
	var rates, cpus, gRates, gCPUs, tCPUs []float64
	for round := range *rounds {
		var gRate, gCPU, tRate, tCPU float64
		if round%2 == 0 {
			tRate, tCPU = t(*window)
			gRate, gCPU = g(*window)
		} else {
			gRate, gCPU = g(*window)
			tRate, tCPU = t(*window)
		}
		rates, cpus = append(rates, gRate/tRate), append(cpus, gCPU/tCPU)
		gRates, gCPUs, tCPUs = append(gRates, gRate), append(gCPUs, gCPU), append(tCPUs, tCPU)
	}
	row := []string{
		l.name, fmt.Sprintf("%.0f", median(gRates)), fmt.Sprintf("%.2f", median(rates)),
		fmt.Sprintf("%.0f µs", median(gCPUs)), fmt.Sprintf("%.0f µs", median(tCPUs)), fmt.Sprintf("%.2f", median(cpus)),
	}
	b.socket = append(b.socket, row)
	log.Println(strings.Join(row, " | "))
	if l.rate > 0 {
		b.target("requests a second, "+l.name, median(rates), l.rate, "%.2f", "≥")
	}
	if l.cpu > 0 {
		b.target("CPU a request, "+l.name, median(cpus), l.cpu, "%.2f", "≤")
	}
}

// target notes a row with a target.
func (b *bench) target(name string, value, limit float64, format, sign string) {
	met := "yes"
	if sign == "≤" && value > limit || sign == "≥" && value < limit {
		met = "no"
	}
	row := []string{name, sign + " " + fmt.Sprintf(format, limit), fmt.Sprintf(format, value), met}
	b.targets = append(b.targets, row)
	log.Println("target: " + strings.Join(row, " | "))
}

// firstEvent measures the time that the gateway adds to the first event of a
// stream. Both sides and the upstream itself take turns request by request.
func (b *bench) firstEvent(gateway, twin *process) {
	req := request(gatewaytest.ChatStreamBody(modelFast, 1<<10))
	sides := []*client{}
	for _, addr := range []string{gateway.addr, twin.addr} {
		c, err := dial(addr, 64<<10)
		check(err)
		defer c.conn.Close()
		sides = append(sides, c)
	}
	var added, twins []float64
	for range *rounds {
		times := [2][]float64{}
		for i := range 600 {
			for s, c := range sides {
				var first time.Time
				begin := time.Now()
				check(c.do(req, &first))
				if i >= 100 {
					times[s] = append(times[s], float64(first.Sub(begin).Nanoseconds())/1000)
				}
			}
		}
		added = append(added, median(times[0])-median(times[1]))
		twins = append(twins, median(times[1]))
	}
	b.target(fmt.Sprintf("time to the first event, added to the twin's %.0f µs, 1 connection, in µs", median(twins)), median(added), 15, "%.0f", "≤")
}

func median(v []float64) float64 {
	v = slices.Sorted(slices.Values(v))
	if len(v) == 0 {
		return 0
	}
	return (v[(len(v)-1)/2] + v[len(v)/2]) / 2
}

func bytesText(n int) string {
	if n >= 1<<20 {
		return fmt.Sprintf("%d MB", n>>20)
	}
	return fmt.Sprintf("%d KB", n>>10)
}

func connsText(n int) string {
	if n == 1 {
		return "1 connection"
	}
	return fmt.Sprintf("%d connections", n)
}

// machine names the machine of the numbers.
func machine() string {
	model := runtime.GOARCH
	if info, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		if m := regexp.MustCompile(`model name\s*: (.*)`).FindSubmatch(info); m != nil {
			model = string(m[1])
		}
	}
	return fmt.Sprintf("%s, %d cores, %s, %s", model, runtime.NumCPU(), runtime.GOOS, runtime.Version())
}
