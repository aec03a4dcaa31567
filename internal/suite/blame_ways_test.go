package suite_test

import (
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"
)

// blameWays are the ways of the simulation. Most aim at the good provider, which
// is asked first; the ways "everywhere" fail at each provider alike.
func blameWays() []blameWay {
	type upstream = func(provider string, r *http.Request) (*http.Response, error)
	at := func(only string, status int, code, message string) upstream {
		return func(provider string, r *http.Request) (*http.Response, error) {
			if only != "" && provider != only {
				return nil, nil
			}
			return blameError(r, status, code, message)
		}
	}
	inTurn := func(statuses ...int) upstream {
		var n atomic.Int64
		return func(_ string, r *http.Request) (*http.Response, error) {
			return blameError(r, statuses[int(n.Add(1))%len(statuses)], "", "not like this")
		}
	}
	silent := func(only string) upstream {
		return func(provider string, r *http.Request) (*http.Response, error) {
			if only != "" && provider != only {
				return nil, nil
			}
			<-r.Context().Done()
			return nil, r.Context().Err()
		}
	}
	broken := func(contentType string, parts ...blamePart) upstream {
		return func(provider string, r *http.Request) (*http.Response, error) {
			if provider != "good" {
				return nil, nil
			}
			return blameAnswer(r, 200, contentType, parts...), nil
		}
	}
	leaving := func(after time.Duration) func(*blameClient, int) {
		return func(c *blameClient, _ int) { c.leaves = after }
	}
	const content = `data: {"choices":[{"index":0,"delta":{"content":"Hel"},"finish_reason":null}]}` + "\n\n"
	return []blameWay{
		{name: "400", upstream: at("good", 400, "invalid_value", "no such parameter"), got: "200"},
		{name: "400 everywhere", upstream: at("", 400, "invalid_value", "no such parameter"), got: "400"},
		{name: "401 for a credential in the wrong form", got: "200",
			upstream: func(_ string, r *http.Request) (*http.Response, error) {
				if r.Header.Get("X-Api-Key") != "" {
					return nil, nil
				}
				return blameError(r, 401, "", "x-api-key is missing")
			},
			client: func(c *blameClient, _ int) {
				c.path, c.body = "/v1/messages", `{"model":"m","max_tokens":9,"system":"hostile","messages":[]}`
				c.header.Set("Authorization", "Bearer sk-hostile-0123456789")
			}},
		{name: "401 for a beta that the key may not use", upstream: at("good", 401, "", "not in your plan"), got: "200",
			client: func(c *blameClient, _ int) { c.header.Set("Openai-Beta", "assistants=v2") }},
		{name: "402 for its own `max_tokens`", got: "200",
			upstream: at("good", 402, "402", "This request requires more credits, or fewer max_tokens. You requested up to 65536 tokens, but can only afford 1234.")},
		{name: "403", upstream: at("good", 403, "", "not this region"), got: "200"},
		{name: "403 everywhere", upstream: at("", 403, "", "not this region"), got: "403"},
		{name: "404 of a file", upstream: at("good", 404, "", "No vector store found with id vs_1"), got: "200"},
		{name: "408", upstream: at("good", 408, "", "too slow"), got: "200"},
		{name: "409", upstream: at("good", 409, "", "somebody else is at it"), got: "200"},
		{name: "413 and 429 of this request alone", got: "200",
			upstream: at("good", 429, "rate_limit_exceeded", "Request too large for m: Limit 30000, Requested 90000. Reduce the tokens.")},
		{name: "every other 4xx in turn", got: "405, 422, 451",
			upstream: inTurn(405, 406, 410, 411, 412, 413, 414, 415, 416, 417, 418, 421, 422, 423, 425, 426, 428, 431, 451)},
		{name: "a prompt that is refused for its content", upstream: at("good", 400, "content_filter", "filtered"), got: "400"},
		{name: "a prompt that crashes the upstream into 500", upstream: at("good", 500, "", "CUDA error"), got: "200"},
		{name: "a prompt that crashes each upstream into 500", upstream: at("", 500, "", "CUDA error"), got: "503"},
		{name: "a prompt that crashes each upstream into 503", upstream: at("", 503, "", "restarting"), got: "503"},
		{name: "a prompt answered by 424, 499, 501 and 529 in turn", got: "503", upstream: inTurn(424, 499, 501, 529)},
		{name: "a prompt that has the upstream cut the connection", got: "200",
			upstream: func(provider string, _ *http.Request) (*http.Response, error) {
				if provider != "good" {
					return nil, nil
				}
				return nil, errBlameReset
			}},
		{name: "a prompt that times out", upstream: silent("good"), got: "200"},
		{name: "a prompt that times out everywhere", upstream: silent(""), got: "504"},
		{name: "a prompt whose answer is not JSON", upstream: broken("application/json", blamePart{0, `{"choices":[`}), got: "200"},
		{name: "a prompt whose stream breaks after its first content", got: "cut",
			upstream: broken("text/event-stream", blamePart{0, content}, blamePart{100 * time.Millisecond, "!"}),
			client:   func(c *blameClient, _ int) { c.body = strings.Replace(c.body, `"stream":false`, `"stream":true`, 1) }},
		{name: "leaving before the answer", client: leaving(50 * time.Millisecond), got: "left"},
		{name: "leaving as the answer begins", client: leaving(101 * time.Millisecond), got: "left"},
		{name: "leaving in the midst of a stream", got: "left", client: leaving(300 * time.Millisecond),
			upstream: broken("text/event-stream", blamePart{0, content}, blamePart{time.Minute, content})},
		{name: "leaving a silent upstream just before the timeout", upstream: silent(""), client: leaving(blameTimeout - time.Millisecond), got: "left"},
		{name: "made-up models", got: "200",
			upstream: at("good", 404, "model_not_found", "The model does not exist"),
			client: func(c *blameClient, n int) {
				c.body = strings.Replace(c.body, `"model":"m"`, fmt.Sprintf(`"models":["good:made-up-%d","other:m"]`, n), 1)
			}},
		{name: "names that nobody knows", got: "422",
			client: func(c *blameClient, n int) {
				c.body = strings.Replace(c.body, `"m"`, fmt.Sprintf(`"nobody-knows-%d"`, n), 1)
			}},
		{name: "odd credentials", got: "200",
			client: func(c *blameClient, n int) {
				odd := []string{"Bearer", "Basic b2RkOm9kZA==", "Bearer \t x", "Bearer " + strings.Repeat("x", 4000), "sk-good-0123456789", "Bearer sk-other-0123456789"}
				c.header.Set("Authorization", odd[n%len(odd)])
				c.header.Set("X-Api-Key", odd[(n+1)%len(odd)])
			}},
		{name: "odd content types and bodies", got: "200, 400",
			client: func(c *blameClient, n int) {
				odd := []string{"text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x", "application/json; charset=utf-7", "\x00"}
				c.header.Set("Content-Type", odd[n%len(odd)])
				if n%3 == 0 {
					c.body = c.body[:len(c.body)/2]
				}
			}},
		{name: "reading slowly", got: "cut", every: 500 * time.Millisecond, client: func(c *blameClient, _ int) { c.w.slow = blamePatience + time.Second }},
		{name: "sending slowly", got: "408", every: 500 * time.Millisecond,
			client: func(c *blameClient, _ int) { c.reader = &blameDrip{c.w, c.body, 500 * time.Millisecond} }},
		{name: "a body that never comes", got: "408", every: 500 * time.Millisecond,
			client: func(c *blameClient, _ int) { c.reader = &blameDrip{c.w, c.body, time.Hour} }},
		{name: "huge answers", got: "200", every: 3 * time.Second,
			upstream: func(_ string, r *http.Request) (*http.Response, error) {
				text := strings.Repeat("x", 2<<20)
				resp := blameAnswer(r, 200, "application/json")
				resp.Body = io.NopCloser(strings.NewReader(`{"choices":[{"index":0,"message":{"role":"assistant","content":"` + text + `"},"finish_reason":"stop"}]}`))
				return resp, nil
			}},
	}
}
