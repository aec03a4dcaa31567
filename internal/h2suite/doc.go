// Package h2suite plays hostile HTTP/2 upstreams and clients against the gateway, frame
// by frame. Each attack must end bounded in time and in bytes, with the right error.
// No goroutine may be left. Other streams of the connection must be unharmed, unless
// HTTP/2 ends them too.
//
// It is a module of its own: golang.org/x/net stays out of the gateway's go.mod.
package h2suite
