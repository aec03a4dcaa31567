package main

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"strings"
)

// hosts are the names that the server answers to. A page whose own name is made to
// lead to this machine (DNS rebinding) counts as the same origin for its browser: only
// the Host header gives it away.
type hosts map[string]bool

// anyHost in the list stands for all names.
const anyHost = "*"

// parseHosts reads the list of -hosts: names and addresses without ports.
func parseHosts(list string) (hosts, error) {
	h := hosts{}
	for name := range fields(list) {
		switch addr, err := netip.ParseAddr(strings.Trim(name, "[]")); {
		case err == nil:
			h[addr.String()] = true
		case name == anyHost || isName(name):
			h[normalHost(name)] = true
		default:
			return nil, fmt.Errorf("%q must be a name or an address, without scheme and port", name)
		}
	}
	return h, nil
}

// isName reports whether s can be the name of a host.
func isName(s string) bool { return s != "." && !strings.ContainsAny(s, "/\\:@?#*[] ") }

// allow reports whether a server that listens on an address answers to a Host header.
// Loopback names and listed names are always hosts. Beyond loopback, IP addresses are
// too: no DNS can lead them elsewhere.
func (h hosts) allow(listener net.Addr, header string) bool {
	host := normalHost(header)
	if h[anyHost] || h[host] || isLoopback(host) {
		return true
	}
	_, err := netip.ParseAddr(host)
	return err == nil && !isLoopbackAddr(listener)
}

// fields yields the parts of a list with commas.
func fields(list string) func(yield func(string) bool) {
	return func(yield func(string) bool) {
		for part := range strings.SplitSeq(list, ",") {
			if part = strings.TrimSpace(part); part != "" && !yield(part) {
				return
			}
		}
	}
}

// normalHost is a host without its port, brackets and final dot, in lower case.
func normalHost(header string) string {
	host := (&url.URL{Host: header}).Hostname()
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// isLoopback takes a normal host. Browsers resolve localhost and all names under it
// to loopback themselves.
func isLoopback(host string) bool {
	addr, err := netip.ParseAddr(host)
	if err == nil {
		return addr.Unmap().IsLoopback() && addr.Zone() == ""
	}
	return host == "localhost" || strings.HasSuffix(host, ".localhost")
}

func isLoopbackAddr(addr net.Addr) bool {
	tcp, ok := addr.(*net.TCPAddr)
	return ok && tcp.IP.IsLoopback()
}
