// Package h2suite plays hostile HTTP/2 peers against the gateway, frame by frame: as
// an upstream, and as a client. Each attack must end bounded in time and in bytes,
// with the right error, without a goroutine left, and without harm to the other
// streams of its connection unless HTTP/2 ends them too.
//
// It is a module of its own, so that golang.org/x/net stays out of the gateway's
// go.mod.
package h2suite
