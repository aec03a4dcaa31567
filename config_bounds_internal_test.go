package aigateway

import (
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
	assert.Equal(t, Config{
		PerRequestTimeout: "3m0s", TotalTimeout: "6m0s", MaxAttempts: 10, StreamCommit: CommitFirstContent, OnError: OnErrorHalt,
		EmptyAnswers: EmptyRelay, Refusals: RefusalRelay,
	}, withDefaults(Config{}))
	given := Config{
		PerRequestTimeout: "1s", TotalTimeout: "2s", MaxAttempts: 1, StreamCommit: CommitComplete, OnError: OnErrorContinue,
		EmptyAnswers: EmptyFail, Refusals: RefusalFailOver,
	}
	assert.Equal(t, given, withDefaults(given))
}
