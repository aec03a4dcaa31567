package aigateway

import (
	"context"

	"github.com/aigateway-go/aigateway/internal/usage"
)

// TokenCounter counts the tokens of a prompt, for max_input_tokens. It is asked
// once a candidate, from many goroutines at once, and only where the body has
// more bytes than tokens are allowed.
type TokenCounter interface {
	// CountTokens returns how many tokens a request's body has for a model. The
	// body is the client's, JSON or a form, and must be neither changed nor
	// kept. An error refuses the candidate, as a prompt that is too large does.
	CountTokens(ctx context.Context, model string, body []byte) (int64, error)
}

// TokenCounterFunc is a function that is a [TokenCounter].
type TokenCounterFunc func(ctx context.Context, model string, body []byte) (int64, error)

// CountTokens calls f.
func (f TokenCounterFunc) CountTokens(ctx context.Context, model string, body []byte) (int64, error) {
	return f(ctx, model, body)
}

// estimate counts by bytes and scripts, as no tokenizer is small enough to ship.
type estimate struct{}

// CountTokens estimates; the model makes no difference.
func (estimate) CountTokens(_ context.Context, _ string, body []byte) (int64, error) {
	return usage.Estimate(body), nil
}
