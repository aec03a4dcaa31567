package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"time"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/reqbody"
)

// handlers measures in this process, without a network: allocations, scanning
// and selection.
func (b *bench) handlers() {
	if b.rows.MatchString("allocations") {
		b.allocations()
	}
	b.suite()
	if b.rows.MatchString("scan") {
		b.scan()
	}
	if b.rows.MatchString("selection") {
		b.selection()
	}
}

func (b *bench) allocations() {
	for _, c := range []struct {
		name   string
		size   int
		answer gatewaytest.Canned
	}{
		{"1 KB → 1.2 KB", 1 << 10, cannedAnswer()},
		{"215 KB → 1.2 KB", 215 << 10, cannedAnswer()},
	} {
		body := gatewaytest.ChatBody(modelSmall, c.size)
		p := &url.URL{Scheme: "http", Host: "p.internal"}
		t := allocs(gatewaytest.BareProxy(p, c.answer), body)
		g := allocs(inProcess("plain", c.answer), body)
		b.target(fmt.Sprintf("allocations a request, %s, in process, over the twin's %.0f", c.name, t), g-t, 25, "%.0f", "≤")
	}
}

func cannedAnswer() gatewaytest.Canned {
	return gatewaytest.Canned{ContentType: "application/json", Body: gatewaytest.ChatAnswer(1200)}
}

func inProcess(variant string, transport http.RoundTripper) http.Handler {
	cfg, err := variantConfig(variant)
	check(err)
	cfg.Transport = transport
	g, err := aigateway.New(cfg)
	check(err)
	return g
}

// serveOnce has a handler answer one request.
func serveOnce(h http.Handler, body []byte) {
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", io.NopCloser(bytes.NewReader(body)))
	r.ContentLength = int64(len(body))
	r.Header["Content-Type"] = []string{"application/json"}
	r.Header["Authorization"] = []string{"Bearer sk-client"}
	h.ServeHTTP(gatewaytest.Discard{}, r)
}

func allocs(h http.Handler, body []byte) float64 {
	const n = 1000
	serveOnce(h, body)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for range n {
		serveOnce(h, body)
	}
	runtime.ReadMemStats(&after)
	return float64((after.Mallocs - before.Mallocs) / n)
}

func (b *bench) scan() {
	body := gatewaytest.ChatBody(modelSmall, 215<<10)
	var d reqbody.Document
	var ratios, rates []float64
	for range *rounds {
		valid := timed(func() {
			if !json.Valid(body) {
				log.Fatal("the body is not valid")
			}
		})
		scan := timed(func() { check(reqbody.Scan(body, &d)) })
		ratios, rates = append(ratios, valid/scan), append(rates, float64(len(body))/scan)
	}
	b.target(fmt.Sprintf("scan of a 215 KB chat body (%.1f GB/s) to json.Valid", median(rates)), median(ratios), 10, "%.1f", "≥")
}

// timed returns the duration of f in nanoseconds: the median of many.
func timed(f func()) float64 {
	var times []float64
	for begin := time.Now(); time.Since(begin) < *window/4; {
		start := time.Now()
		f()
		times = append(times, float64(time.Since(start).Nanoseconds()))
	}
	return median(times)
}

// selection runs the package's own benchmark of selection, once a round. Rows to
// compare are measured at one time.
func (b *bench) selection() {
	line := regexp.MustCompile(`(?m)^BenchmarkSelection(?:(Anew)|/on_(?:the_)?(catalog|metrics)\S*)/(\d+)(?:-\d+)?\s+\d+\s+([\d.]+) ns/op`)
	var manys, flat, anews, amortised []float64
	for range *rounds {
		out, err := exec.Command("go", "test", "-run", "^$", "-bench", "^BenchmarkSelection(Anew)?$/^(on_|10+$)", "-benchtime", "50ms",
			"github.com/aigateway-go/aigateway").CombinedOutput()
		if err != nil {
			log.Fatalf("%v\n%s", err, out)
		}
		times := map[string]float64{}
		for _, m := range line.FindAllStringSubmatch(string(out), -1) {
			times[m[1]+m[2]+"/"+m[3]], err = strconv.ParseFloat(m[4], 64)
			check(err)
		}
		if len(times) < 9 {
			log.Fatalf("the benchmark of selection has other names now:\n%s", out)
		}
		many, anew := times["catalog/10000"], times["Anew/1000"]/1000
		manys, flat = append(manys, many), append(flat, many/times["catalog/10"])
		// A snapshot of the metrics holds for 100 ms. One request after it has the choice
		// made anew, and 1,000 requests share the cost, at 10,000 a second.
		anews, amortised = append(anews, anew), append(amortised, times["metrics/1000"]/1000+anew/1000)
	}
	b.target(fmt.Sprintf("selection, static strategy, 10,000 models (%.0f ns) to 10", median(manys)), median(flat), 1.1, "%.2f", "≤")
	b.target(fmt.Sprintf("selection, metric strategy, 1,000 models, amortised over 1,000 requests in 100 ms (%.0f µs anew), in µs", median(anews)), median(amortised), 2, "%.1f", "≤")
}
