package main

// comparisons are rows for one question each. The name of a row that is not compared
// with the twin says with which server it is.
func comparisons() []load {
	const (
		small = 1 << 10
		whole = "1 KB → 1.2 KB, 8 connections"
		event = "1 KB → 41 events, 8 connections"
	)
	return []load{
		{name: "examples/server with its log, " + whole, variant: "server", model: modelSmall, size: small, conns: 8, cpu: 1},
		{name: "examples/server with its log, " + event, variant: "server", model: modelFast, size: small, conns: 8, cpu: 1},
		{name: "examples/server without its log, " + whole, variant: "server-quiet", model: modelSmall, size: small, conns: 8, rate: 1.05, cpu: 0.90},
		{name: "TLS and HTTP/2 upstream, " + whole, variant: "tls", base: "tls twin", model: modelSmall, size: small, conns: 8, rate: 1},
		{name: "TLS and HTTP/2 upstream, " + event, variant: "tls", base: "tls twin", model: modelFast, size: small, conns: 8, rate: 1},
	}
}
