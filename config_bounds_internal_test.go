package aigateway

import (
	"reflect"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBoundsOfConfig(t *testing.T) {
	var p problems
	assert.Equal(t, 3*time.Minute, p.duration("per_request_timeout", ""))
	assert.Equal(t, 3*time.Minute, p.duration("per_request_timeout", "0"))
	assert.Equal(t, time.Second, p.duration("total_timeout", "1s"))
	assert.Zero(t, p.duration("first_token_timeout", ""))
	assert.Equal(t, 10, p.number("max_attempts", 0))
	assert.Equal(t, 100, p.number("max_attempts", 100))
	assert.Zero(t, p.number("max_retries", 0))
	require.Empty(t, p)
	p.number("max_attempts", 101)
	p.number("max_attempts", -1)
	p.number("max_input_tokens", 500_001)
	require.Len(t, p, 3)
	assert.EqualError(t, p[0], `max_attempts: "101": must be from 1 to 100`)
	assert.EqualError(t, p[1], `max_attempts: "-1": must be from 1 to 100`)
	assert.EqualError(t, p[2], `max_input_tokens: "500001": must be from 0 to 500000`)
}

func TestWithDefaults(t *testing.T) {
	got := withDefaults(Config{})
	assert.Equal(t, Duration("3m0s"), got.PerRequestTimeout)
	assert.Equal(t, 10, got.MaxAttempts)
	assert.Equal(t, CommitFirstContent, got.StreamCommit)
	assert.Equal(t, OnErrorHalt, got.OnError)
	assert.Empty(t, got.FirstTokenTimeout)
	again := withDefaults(got)
	assert.True(t, reflect.DeepEqual(got, again))

	given := Config{PerRequestTimeout: "1s", TotalTimeout: "2s", MaxAttempts: 1, StreamCommit: CommitComplete, OnError: OnErrorContinue}
	got = withDefaults(given)
	assert.Equal(t, given.PerRequestTimeout, got.PerRequestTimeout)
	assert.Equal(t, given.MaxAttempts, got.MaxAttempts)
	assert.Equal(t, given.StreamCommit, got.StreamCommit)
	assert.Equal(t, given.OnError, got.OnError)
}
