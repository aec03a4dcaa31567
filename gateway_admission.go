package aigateway

import "context"

// Admission admits requests, or refuses them: budgets and rules of the embedding
// service.
//
// Admit is called once a request on every surface but models, from many goroutines at
// once, after the body was read and the limits of the client were met, and before
// anything is chosen. The request belongs to it. An [*Error] is the answer to the
// client, in its format. Any other error is 403 not_admitted, and its text goes to
// the log.
//
// done is called exactly once when the request has ended, unless it is nil: also
// after an error, and when the client has left. The Result belongs to it, and has
// the tokens and the cost.
type Admission interface {
	Admit(ctx context.Context, r *ClientRequest) (done func(*Result), err error)
}

// AdmissionFunc is a function that is an [Admission].
type AdmissionFunc func(ctx context.Context, r *ClientRequest) (done func(*Result), err error)

// Admit calls f.
func (f AdmissionFunc) Admit(ctx context.Context, r *ClientRequest) (func(*Result), error) {
	return f(ctx, r)
}
