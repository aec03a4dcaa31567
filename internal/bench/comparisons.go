package main

// comparisons are rows for one question each.
func comparisons() []load {
	const small = 1 << 10
	return []load{
		{name: "examples/server with its log, 1 KB → 1.2 KB, 8 connections", variant: "server", model: modelSmall, size: small, conns: 8},
		{name: "examples/server with its log, 1 KB → 41 events, 8 connections", variant: "server", model: modelFast, size: small, conns: 8},
	}
}
