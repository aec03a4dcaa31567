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
	"runtime"
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
		t := allocs(gatewaytest.Yardstick(p, c.answer), body)
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

// timed is how long f takes, in nanoseconds: the median of many.
func timed(f func()) float64 {
	var times []float64
	for begin := time.Now(); time.Since(begin) < *window/4; {
		start := time.Now()
		f()
		times = append(times, float64(time.Since(start).Nanoseconds()))
	}
	return median(times)
}

// selection measures what the number of models and a metric strategy add to a
// whole request.
func (b *bench) selection() {
	body := gatewaytest.ChatBody(modelSmall, 1<<10)
	side := func(variant string) func() float64 {
		h := inProcess(variant, cannedAnswer())
		return func() float64 {
			n := 0
			begin := time.Now()
			for time.Since(begin) < *window {
				for range 50 {
					serveOnce(h, body)
				}
				n += 50
			}
			return float64(time.Since(begin).Nanoseconds()) / float64(n) / 1000
		}
	}
	few, many := side("models:10"), side("models:10000")
	plain, metric := side("models:1000"), side("metric:1000")
	var flat, added []float64
	for range *rounds {
		f, m := few(), many()
		flat = append(flat, m/f)
		p, q := plain(), metric()
		added = append(added, q-p)
	}
	b.target("a request with 10,000 models to one with 10, static strategy", median(flat), 1.1, "%.2f", "≤")
	b.target("what a metric strategy over 1,000 models adds to a request, in µs", median(added), 2, "%.1f", "≤")
}
