package aigateway

import (
	"context"

	"github.com/aigateway-go/aigateway/internal/usage"
)

// TokenCounter counts the tokens of a prompt, for max_input_tokens. It is called
// once a candidate, from many goroutines at once, and only if the body has more
// bytes than the limit has tokens.
//
// If nil, the tokens are estimated from the body's bytes. Against OpenAI's
// o200k_base the estimate is up to a quarter too high, and hardly ever too low:
//
//   - English, code and chats with tools: about 20 % too high
//   - other languages: 10 to 15 %
//   - Japanese, Korean, emoji, numbers and logs: 0 to 10 %
//
// Random letters are estimated at half of their tokens. An image, a recording or a
// document counts 1600 tokens, about the most for an image. Recordings and
// documents may cost far more: bring a counter for them.
type TokenCounter interface {
	// CountTokens returns the number of tokens of a request's body for a model. The
	// body is the client's, JSON or a form. It must not be changed or kept. An
	// error refuses the candidate, like a prompt that is too large.
	CountTokens(ctx context.Context, model string, body []byte) (int64, error)
}

// TokenCounterFunc makes a function a [TokenCounter].
type TokenCounterFunc func(ctx context.Context, model string, body []byte) (int64, error)

// CountTokens calls f.
func (f TokenCounterFunc) CountTokens(ctx context.Context, model string, body []byte) (int64, error) {
	return f(ctx, model, body)
}

// estimate counts by the scripts and lengths of words. A tokenizer would be too
// large to ship.
type estimate struct{}

// CountTokens estimates, whatever the model is.
func (estimate) CountTokens(_ context.Context, _ string, body []byte) (int64, error) {
	return usage.Estimate(body), nil
}
