package aigateway_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/sharedtest"
)

func TestRunEndsWithItsContextAndMayRunAgain(t *testing.T) {
	for name, cfg := range map[string]aigateway.Config{
		"alone": {}, "in a fleet": {Shared: sharedtest.Memory(), SharedSecret: []byte("secret")},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				g, err := aigateway.New(cfg)
				require.NoError(t, err)
				for range 2 {
					ctx, cancel := context.WithCancelCause(t.Context())
					ended := make(chan error)
					go func() { ended <- g.Run(ctx) }()
					synctest.Wait()
					assert.ErrorContains(t, g.Run(ctx), "already running")
					time.AfterFunc(10*time.Second, func() { cancel(errors.New("enough")) })
					assert.EqualError(t, <-ended, "enough")
				}
			})
		})
	}
}

func TestSharedNeedsASecret(t *testing.T) {
	_, err := aigateway.New(aigateway.Config{Shared: sharedtest.Memory()})
	var ce *aigateway.ConfigError
	require.ErrorAs(t, err, &ce)
	assert.Equal(t, "SharedSecret", ce.Path)
}
