package main

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// TestSoak runs it as short as it makes sense.
func TestSoak(t *testing.T) {
	var out strings.Builder
	require.NoError(t, run(&out, time.Second, 16, 1), out.String())
	assert.Contains(t, out.String(), "end      goroutines ")
}

func TestFigures(t *testing.T) {
	begin := figures{goroutines: 10, connections: 0, heap: 4 << 20}
	require.NoError(t, begin.compare(begin))
	assert.EqualError(t, begin.compare(figures{goroutines: 20, connections: 3, heap: 40 << 20}),
		"10 goroutines are left\n3 connections are left\nthe heap has grown by 36.0 MiB")
}
