package redistest

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestServer(t *testing.T) {
	s, err := Start()
	require.NoError(t, err)
	defer s.Close()
	out, err := s.CLI("SET", "a", "b")
	require.NoError(t, err)
	assert.Equal(t, "OK", out)
	s.Kill()
	require.NoError(t, s.Restart())
	out, err = s.CLI("GET", "a")
	require.NoError(t, err)
	assert.Empty(t, out, "a killed server forgets")
}

func TestCluster(t *testing.T) {
	c, err := StartCluster()
	require.NoError(t, err)
	defer c.Close()
	assert.Len(t, c.Nodes, 3)
}

func TestSentinel(t *testing.T) {
	s, err := StartSentinel()
	require.NoError(t, err)
	defer s.Close()
}
