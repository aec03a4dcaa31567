package apierror_test

import (
	"cmp"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

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
	"model": aigateway.CauseModel, "no_endpoint": aigateway.CauseEndpoint, "other_key": aigateway.CauseConflict,
	"denied": aigateway.CauseForbidden,
	"server": aigateway.CauseServer, "request": aigateway.CauseClient,
}

// cause is what a gateway must make of a row's words.
func cause(row apierror.Row, status int) aigateway.FailureCause {
	switch {
	case status == http.StatusOK && row.Class == "server":
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
	onward   bool // a refusal goes on
}

func (s *saying) NextStep(f aigateway.Failure) aigateway.Step {
	if s.asked++; s.asked == 1 {
		s.failed = f
	}
	if s.onward && f.Cause == aigateway.CauseRefusal {
		return aigateway.StepNextCandidate
	}
	return aigateway.DefaultFailoverPolicy().NextStep(f)
}

// exchange is a request of a surface, and an answer of a to it.
type exchange struct {
	path    string // of chat if empty
	stream  bool
	status  int
	header  http.Header
	body    string // of an event if stream
	refusal aigateway.Refusals
}

// say sends the request to a gateway in front of a, which says the words, and b.
func say(t *testing.T, x exchange) *saying {
	s := &saying{onward: x.refusal == aigateway.RefusalsFailOver}
	cfg := testbed.Config(1, "a", "b")
	cfg.FailoverPolicy, cfg.Refusals = s, x.refusal
	path := cmp.Or(x.path, "/v1/chat/completions")
	cfg.Transport = gatewaytest.TransportFunc(func(r *http.Request) (*http.Response, error) {
		w := httptest.NewRecorder()
		if r.URL.Host != "a.internal" {
			gatewaytest.Fitting("from b")(w, r)
			return w.Result(), nil
		}
		for name, values := range x.header {
			w.Header()[name] = values
		}
		w.Header().Set("Content-Type", "application/json")
		if x.stream {
			w.Header().Set("Content-Type", "text/event-stream")
		}
		w.WriteHeader(x.status)
		io.WriteString(w, x.body)
		return w.Result(), nil
	})
	g, err := aigateway.New(cfg)
	require.NoError(t, err)
	request := testbed.ChatRequest
	if x.stream {
		request = testbed.StreamRequest
	}
	r := httptest.NewRequest(http.MethodPost, path, strings.NewReader(request))
	r.Header.Set("Content-Type", "application/json")
	ctx := aigateway.WithResult(r.Context())
	s.w = httptest.NewRecorder()
	func() {
		// A stream without an end is aborted.
		defer func() {
			if v := recover(); v != nil {
				require.Equal(t, any(http.ErrAbortHandler), v)
			}
		}()
		g.ServeHTTP(s.w, r.WithContext(ctx))
	}()
	res, ok := aigateway.ResultFromContext(ctx)
	require.True(t, ok)
	if len(res.ModelsTried) > 0 && len(res.ModelsTried[0].RequestsMade) > 0 {
		s.cooldown = res.ModelsTried[0].RequestsMade[0].CooldownMS
	}
	return s
}

// TestEveryRowThroughAGateway sends each row of the table through a whole gateway: as a
// JSON answer with its status and with status 200, and as the first event of a stream.
// The row decides the cause, the cooldown of the key, and who answers.
func TestEveryRowThroughAGateway(t *testing.T) {
	rows, said := apierror.Rows(), map[string]int{}
	synctest.Test(t, func(t *testing.T) {
		for _, row := range rows {
			for _, body := range row.Bodies {
				if row.Status >= 400 {
					said["statuses"]++
					check(t, row, row.Status, "JSON: "+body, say(t, exchange{status: row.Status, header: row.Header, body: body}))
				}
				if row.Header != nil {
					continue
				}
				at := placeOf(body)
				if at.unknown {
					said["no surface"]++
					continue
				}
				if !at.event && row.Status >= 300 || at.answer && !at.event || row.Place == "base_resp" {
					said["JSON under 200"]++
					x := exchange{path: at.path, status: http.StatusOK, body: body}
					under200(t, row, at.answer, "JSON under 200: ", x)
				}
				if !at.json {
					said["events"]++
					x := exchange{path: at.path, stream: true, status: http.StatusOK, body: "data: " + body + "\n\n"}
					under200(t, row, at.answer, "event: ", x)
				}
			}
		}
	})
	t.Logf("%d rows, %v", len(rows), said)
	assert.Greater(t, said["statuses"], 500)
	assert.Greater(t, said["JSON under 200"], 500)
	assert.Greater(t, said["events"], 500)
}

// place says where a body may stand.
type place struct {
	path    string
	answer  bool // a declined answer, and not an error
	json    bool // a whole answer only
	event   bool // an event only
	unknown bool // Google's own format, which no surface has
}

// placeOf tells the place of a body by its members.
func placeOf(body string) (p place) {
	has := func(text string) bool { return strings.Contains(body, text) }
	p.path = "/v1/chat/completions"
	switch {
	case has(`"candidates"`), has(`"promptFeedback"`):
		p.unknown = true
	case has(`"type":"response.failed"`):
		p.path, p.event = "/v1/responses", true
	case has(`"type":"response.incomplete"`):
		p.path, p.answer, p.event = "/v1/responses", true, true
	case has(`"incomplete_details"`), has(`"output"`):
		p.path, p.answer, p.json = "/v1/responses", true, true
	case has(`"type":"message_delta"`):
		p.path, p.answer, p.event = "/v1/messages", true, true
	case has(`"type":"message"`):
		p.path, p.answer, p.json = "/v1/messages", true, true
	case has(`"choices":[`) && has(`"error"`):
	case has(`"choices":[`) && has(`"delta"`):
		p.answer, p.event = true, true
	case has(`"choices":[`):
		p.answer, p.json = true, true
	}
	return p
}

// under200 sends words under status 200. A declined answer is an answer, and is one
// to go on from under refusals: fail_over.
func under200(t *testing.T, row apierror.Row, answer bool, what string, x exchange) {
	t.Helper()
	what += x.body
	if !answer {
		check(t, row, http.StatusOK, what, say(t, x))
		return
	}
	s := say(t, x)
	assert.Zero(t, s.asked, "%s %s", row.Name, what)
	assert.Contains(t, s.w.Body.String(), x.body[:20], what)
	x.refusal = aigateway.RefusalsFailOver
	s = say(t, x)
	if row.Veto {
		return
	}
	assert.Equal(t, aigateway.CauseRefusal, s.failed.Cause, "%s %s", row.Name, what)
	assert.Contains(t, s.w.Body.String(), "from b", what)
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

// TestEveryHintThroughAGateway sends each row of hints.tsv: under 429 the key rests for
// the wait, and the failure has it under every status.
func TestEveryHintThroughAGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range apierror.HintRows(time.Now()) {
			s := say(t, exchange{status: http.StatusTooManyRequests, header: row.Header, body: row.Body})
			assert.Equal(t, row.Wait, s.failed.RetryAfter, row.Name)
			assert.InDelta(t, min(row.Wait, 10*time.Minute).Milliseconds(), s.cooldown, 1, row.Name)
			assert.Contains(t, s.w.Body.String(), "from b", row.Name)
			s = say(t, exchange{status: http.StatusServiceUnavailable, header: row.Header, body: row.Body})
			assert.Equal(t, row.Wait, s.failed.RetryAfter, row.Name)
			for _, stream := range []bool{false, true} {
				body := row.Body
				if stream {
					body = "data: " + body + "\n\n"
				}
				s = say(t, exchange{stream: stream, status: http.StatusOK, header: row.Header, body: body})
				assert.Equal(t, row.Wait, s.failed.RetryAfter, "%s under 200, stream %t", row.Name, stream)
				assert.Contains(t, s.w.Body.String(), "from b", row.Name)
			}
		}
	})
}

// TestEveryStatusThroughAGateway sends each row of statuses.tsv under status 200. The
// failure has the status that the words stand for.
func TestEveryStatusThroughAGateway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, row := range apierror.StatusRows() {
			for _, stream := range []bool{false, true} {
				body := row.Body
				if stream {
					body = "data: " + body + "\n\n"
				}
				s := say(t, exchange{stream: stream, status: http.StatusOK, body: body})
				require.NotZero(t, s.asked, "%s: %s", row.Name, body)
				assert.Equal(t, row.Status, s.failed.Status, "%s: %s", row.Name, body)
			}
		}
	})
}
