package debugpage

import (
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

// TestRequestIsBounded counts what is over the bounds of a record. Skipped candidates
// leave room for attempts.
func TestRequestIsBounded(t *testing.T) {
	var r Request
	names := make([]string, MaxNames+2)
	for i := range names {
		names[i] = strconv.Itoa(i)
	}
	r.Ask(names)
	assert.Equal(t, names[:MaxNames], r.Names)
	assert.Equal(t, 2, r.NamesOmitted)
	assert.Equal(t, 2, r.Omitted)

	for range MaxSkipped + 3 {
		r.Step(Step{Outcome: Skipped})
	}
	assert.Len(t, r.Trail, MaxSkipped)
	assert.Equal(t, 5, r.Omitted)
	for range MaxSteps - MaxSkipped + 1 {
		r.Step(Step{Outcome: Failed})
	}
	assert.Len(t, r.Trail, MaxSteps)
	assert.Equal(t, Failed, r.Trail[MaxSteps-1].Outcome)
	assert.Equal(t, 6, r.Omitted)

	for range MaxNames + 1 {
		r.Reject(strings.Repeat("x", 2*maxName), "no_matching_models")
	}
	assert.Len(t, r.Rejected, MaxNames)
	assert.LessOrEqual(t, len(r.Rejected[0].Model), maxName+len("…"))
	assert.Equal(t, 7, r.Omitted)
	for range MaxNotes + 1 {
		r.Note("a note")
	}
	assert.Len(t, r.Notes, MaxNotes)
	assert.Equal(t, 8, r.Omitted)
}
