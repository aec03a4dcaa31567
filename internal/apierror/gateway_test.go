package apierror_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/apierror"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

// causes are the causes of the classes, under a status of errors.
var causes = map[string]aigateway.FailureCause{
	"refusal": aigateway.CauseRefusal, "too_large": aigateway.CauseTooLarge, "scopes": aigateway.CauseScope, "dead_key": aigateway.CauseDeadKey,
	"model": aigateway.CauseModel, "no_endpoint": aigateway.CauseEndpoint,
}

// cause is what a gateway must make of a row's words.
func cause(row apierror.Row, status int) aigateway.FailureCause {
	switch {
	case status == http.StatusOK && row.Class != "refusal" && row.Class != "dead_key":
		return aigateway.CauseAnswer
	case row.Class == "limited" && row.WholeKey:
		return aigateway.CauseQuota
	case row.Class == "limited":
		return aigateway.CauseRateLimit
	}
	return causes[row.Class]
}

// saying is one answer of provider a, and what the gateway did with it.
type saying struct {
	failed   aigateway.Failure
	asked    int // failures that the policy was asked about
	cooldown float64
	w        *httptest.ResponseRecorder
}

func (s *saying) NextStep(f aigateway.Failure) aigateway.Step {
	if s.asked++; s.asked == 1 {
		s.failed = f
	}
	return aigateway.DefaultFailoverPolicy().NextStep(f)
}

// say sends a request to a gateway in front of a, which says the words, and b.
func say(t *testing.T, request string, status int, header http.Header, contentType, body string) *saying {
	s := &saying{}
	cfg := testbed.Config(1, "a", "b")
	cfg.FailoverPolicy = s
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		switch {
		case r.URL.Host == "a.internal":
			for name, values := range header {
				w.Header()[name] = values
			}
			w.Header().Set("Content-Type", contentType)
			w.WriteHeader(status)
			io.WriteString(w, body)
		case request == testbed.StreamRequest:
			gatewaytest.Stream(gatewaytest.ChatDelta("from b"), gatewaytest.ChatStop+gatewaytest.ChatDone)(w, r)
		default:
			gatewaytest.Chat("from b")(w, r)
		}
		return w.Result(), nil
	})
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	r := httptest.NewRequest(http.MethodPost, "/v1/chat/completions", strings.NewReader(request))
	r.Header.Set("Content-Type", "application/json")
	ctx := aigateway.WithResult(r.Context())
	s.w = httptest.NewRecorder()
	g.ServeHTTP(s.w, r.WithContext(ctx))
	res, ok := aigateway.ResultFromContext(ctx)
	require.True(t, ok)
	if len(res.ModelsTried) > 0 && len(res.ModelsTried[0].RequestsMade) > 0 {
		s.cooldown = res.ModelsTried[0].RequestsMade[0].CooldownMS
	}
	return s
}

// TestEveryRowThroughAGateway sends each row of the table through a whole gateway: as a
// JSON answer with its status, and as the first event of a stream. The row decides the
// cause, the cooldown of the key, and who answers.
func TestEveryRowThroughAGateway(t *testing.T) {
	rows, said := apierror.Rows(), 0
	synctest.Test(t, func(t *testing.T) {
		for _, row := range rows {
			for _, body := range row.Bodies {
				if status := row.Status; status >= 400 {
					said++
					s := say(t, testbed.ChatRequest, status, row.Header, "application/json", body)
					check(t, row, status, "JSON: "+body, s)
				}
				if row.Header == nil && isError(body) {
					said++
					s := say(t, testbed.StreamRequest, http.StatusOK, nil, "text/event-stream", "data: "+body+"\n\n")
					check(t, row, http.StatusOK, "event: "+body, s)
				}
			}
		}
	})
	t.Logf("%d rows, %d answers", len(rows), said)
	assert.Greater(t, said, 700)
}

// isError reports whether a body is an error, and not an answer that was declined.
func isError(body string) bool {
	return strings.HasPrefix(body, `{"error":`)
}

// check compares what a gateway did with what its row says.
func check(t *testing.T, row apierror.Row, status int, what string, s *saying) {
	t.Helper()
	name := row.Name + " " + what
	require.NotZero(t, s.asked, "%s: no failure", name)
	want := cause(row, status)
	if row.Veto {
		if causes[row.Class] != "" {
			assert.NotEqual(t, causes[row.Class], s.failed.Cause, name)
		}
		return
	}
	assert.Equal(t, want, s.failed.Cause, name)
	switch want {
	case aigateway.CauseRefusal:
		assert.NotContains(t, s.w.Body.String(), "from b", name)
		assert.Zero(t, s.cooldown, name)
		return
	case aigateway.CauseDeadKey, aigateway.CauseQuota, aigateway.CauseRateLimit:
		assert.Positive(t, s.cooldown, name)
	case aigateway.CauseTooLarge, aigateway.CauseModel, aigateway.CauseEndpoint:
		assert.Zero(t, s.cooldown, name)
	}
	assert.Equal(t, http.StatusOK, s.w.Code, name)
	assert.Contains(t, s.w.Body.String(), "from b", name)
}
