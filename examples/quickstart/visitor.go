package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/aigateway-go/aigateway"
)

// request is the body of a chat request.
type request struct {
	Model    string    `json:"model,omitempty"`
	Models   []string  `json:"models,omitempty"`
	Stream   bool      `json:"stream,omitempty"`
	Messages []message `json:"messages,omitempty"`
}

type message struct {
	Role    string `json:"role"`
	Content string `json:"content"`
}

// answer is the answer to a request, with the gateway's Result.
type answer struct {
	status int
	text   string // what the model said, or the error's message
	code   string // the error's
	result *aigateway.Result
}

// visitor is a client of the gateway: plain HTTP, one request after the other.
type visitor struct {
	url     string
	out     io.Writer
	results <-chan *aigateway.Result
	seen    func() // called at the first token of a stream
}

// ask sends a request. It shows the question, the attempts and the answer.
func (v *visitor) ask(ctx context.Context, ask request) (answer, error) {
	v.show("asked", "%s", asJSON(ask))
	a, err := v.post(ctx, ask)
	if err != nil {
		return a, err
	}
	v.showResult(a.result)
	switch {
	case a.code != "":
		v.show("answered", "%d %s: %s", a.status, a.code, a.text)
	case ask.Stream:
		v.show("answered", "%d with the stream above", a.status)
	default:
		v.show("answered", "%d %s", a.status, a.text)
	}
	return a, nil
}

// post sends a request and reads the answer. Tokens of a stream are shown as they
// come.
func (v *visitor) post(ctx context.Context, ask request) (answer, error) {
	ask.Messages = []message{{Role: "user", Content: "Who is there?"}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, v.url, strings.NewReader(asJSON(ask)))
	if err != nil {
		return answer{}, err
	}
	req.Header.Set("Content-Type", "application/json")
	start := time.Now()
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	a := answer{status: resp.StatusCode}
	if ask.Stream && resp.StatusCode == http.StatusOK {
		a.text, err = v.readStream(resp.Body, start)
	} else {
		err = a.read(resp.Body)
	}
	if err != nil {
		return a, err
	}
	select {
	case a.result = <-v.results:
		return a, nil
	case <-ctx.Done():
		return a, context.Cause(ctx)
	}
}

// read reads an answer without a stream.
func (a *answer) read(body io.Reader) error {
	var b struct {
		Choices []struct {
			Message message `json:"message"`
		} `json:"choices"`
		Error struct {
			Code    string `json:"code"`
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.NewDecoder(body).Decode(&b); err != nil {
		return err
	}
	a.text, a.code = b.Error.Message, b.Error.Code
	if len(b.Choices) > 0 {
		a.text = b.Choices[0].Message.Content
	}
	return nil
}

// readStream shows each token as it arrives, and at the end the time of each.
func (v *visitor) readStream(body io.Reader, start time.Time) (text string, err error) {
	var arrivals []string
	lines := bufio.NewScanner(body)
	for lines.Scan() {
		data, ok := bytes.CutPrefix(lines.Bytes(), []byte("data: "))
		if !ok || string(data) == "[DONE]" {
			continue
		}
		var chunk struct {
			Choices []struct {
				Delta message `json:"delta"`
			} `json:"choices"`
		}
		if err := json.Unmarshal(data, &chunk); err != nil {
			return text, err
		}
		if len(chunk.Choices) == 0 || chunk.Choices[0].Delta.Content == "" {
			continue
		}
		if text == "" {
			v.seen()
			v.label("streams")
		}
		text += chunk.Choices[0].Delta.Content
		fmt.Fprint(v.out, chunk.Choices[0].Delta.Content)
		arrivals = append(arrivals, fmt.Sprint(time.Since(start).Milliseconds()))
	}
	fmt.Fprintln(v.out)
	v.show("arrived", "after %s ms", strings.Join(arrivals, ", "))
	return text, lines.Err()
}

// showResult shows each attempt, and the strategy that chose if the client left the
// choice.
func (v *visitor) showResult(res *aigateway.Result) {
	for _, s := range res.ModelSelection {
		if s.ClientModel == "" && len(s.ModelsToTry) > 0 {
			v.show("chosen", "%s by %s", strings.Join(s.ModelsToTry, ", "), s.Strategy)
		}
	}
	for _, m := range res.ModelsTried {
		for _, a := range m.RequestsMade {
			v.show("tried", "%s:%s, %s", a.Provider, a.Model, outcome(a))
		}
	}
	if len(res.ModelsTried) == 0 {
		v.show("tried", "nothing")
	}
}

// outcome describes the end of an attempt in a few words.
func outcome(a aigateway.Attempt) string {
	if a.Error != "" {
		reason, _, _ := strings.Cut(a.Error, ":")
		return reason
	}
	text := fmt.Sprintf("%d in %.1f ms", a.Response.StatusCode, a.UpstreamLatency.TotalMS)
	if a.Request.APIKey != "" {
		text += ", with the key " + a.Request.APIKey
	}
	return text
}

// show prints one line about a request.
func (v *visitor) show(label, format string, args ...any) {
	v.label(label)
	fmt.Fprintf(v.out, format+"\n", args...)
}

func (v *visitor) label(label string) { fmt.Fprintf(v.out, "   %-9s ", label) }

// asJSON is a request as it is sent.
func asJSON(ask request) string {
	b, err := json.Marshal(ask)
	if err != nil {
		return err.Error() // it is made of strings
	}
	return string(b)
}
