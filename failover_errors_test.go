package aigateway_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/require"
)

// failoverErrorBody is an error body of either format.
type failoverErrorBody struct {
	Type  string
	Error struct {
		Message, Type, Code string
		Param               *string
		Details             struct {
			ErrorCode string `json:"error_code"`
		}
	}
	RequestID string `json:"request_id"`
}

func failoverError(t *testing.T, body string) failoverErrorBody {
	t.Helper()
	var e failoverErrorBody
	require.NoError(t, json.Unmarshal([]byte(body), &e), body)
	return e
}
