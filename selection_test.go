package aigateway_test

import (
	"errors"

	"github.com/aigateway-go/aigateway"
)

// selectionTried lists the models of a Result in the order of their turn.
func selectionTried(res *aigateway.Result) []string {
	var tried []string
	for _, m := range res.ModelsTried {
		tried = append(tried, m.Provider+":"+m.Model)
	}
	return tried
}

// selectionCode is the code of a request's error, empty without one.
func selectionCode(err error) aigateway.Code {
	var e *aigateway.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return ""
}
