package suite_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/aigateway-go/aigateway"
	"github.com/aigateway-go/aigateway/internal/gatewaytest"
	"github.com/aigateway-go/aigateway/internal/gatewaytest/testbed"
)

const (
	fieldEmbeddings = "/v1/embeddings"

	// The outcomes of a repeated error.
	fieldCools  = "cools down"    // the candidate, after five
	fieldBlames = "blames no one" // it was the request
)

// fieldOutcome sends a request to provider a, which always answers so, until a healthy
// provider would still be asked. It checks that b answers each time.
func fieldOutcome(t *testing.T, path, request string, answer http.HandlerFunc) (outcome string, cause aigateway.FailureCause) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		cfg := testbed.Config(1, "a", "b")
		cfg.FailoverPolicy = fieldCauses{&cause}
		s := testbed.NewScripts(t, cfg)
		s.Set("a1", answer)
		outcome = fieldBlames
		for range 6 {
			got := s.Post(path, request)
			require.NoError(t, got.Err)
			require.Equal(t, http.StatusOK, got.Status, got.Body)
			require.Contains(t, got.Body, "from b1")
			if routes := s.Routes(); len(routes) == 1 {
				outcome = fieldCools
			}
		}
	})
	return outcome, cause
}

// fieldCauses is the default policy. It keeps the cause of the last failure.
type fieldCauses struct{ last *aigateway.FailureCause }

func (c fieldCauses) NextStep(f aigateway.Failure) aigateway.Step {
	*c.last = f.Cause
	return aigateway.DefaultFailoverPolicy().NextStep(f)
}

// TestFieldSelfHostedFaults: the servers of one's own tell their failures by statuses that
// blame the request, and wrong requests by statuses blaming the server.
// The words say whose fault it was. An unfit server rests, and no client can put
// a healthy one to rest by its requests.
func TestFieldSelfHostedFaults(t *testing.T) {
	for _, tt := range []struct {
		name, path string
		status     int
		body       string
		cause      aigateway.FailureCause
	}{
		{"LM Studio, crashed (lmstudio-bug-tracker#1347)", fieldChat, 400, `{"error":"The model has crashed without additional information. (Exit code: 18446744072635812000)"}`, aigateway.CauseServer},
		{"LM Studio, unloaded (lmstudio-bug-tracker#914)", fieldChat, 400, `{"error":"Model is unloaded."}`, aigateway.CauseServer},
		{"LM Studio, no channel (mdc-ng#451)", fieldChat, 400, `{"error":"Channel Error"}`, aigateway.CauseServer},
		{"NVIDIA NIM (freellmapi#522, OmniRoute#8248, 9router#2527)", fieldChat, 400, `{"status":400,"title":"Bad Request","detail":"Function id '87ea0ddc': DEGRADED function cannot be invoked"}`, aigateway.CauseServer},
		{"an old vLLM (vllm#5060)", fieldChat, 400, `{"object":"error","message":"Background loop has errored already.","type":"BadRequestError","param":null,"code":400}`, aigateway.CauseServer},
		{"out of memory", fieldChat, 400, `{"object":"error","message":"CUDA out of memory. Tried to allocate 2.00 GiB","type":"BadRequestError","param":null,"code":400}`, aigateway.CauseServer},
		{"Xinference, its worker gone (inference#458, #666)", fieldChat, 400, `{"detail":"[address=127.0.0.1:23432, pid=50309] Remote server unixsocket:///6594101248 closed"}`, aigateway.CauseServer},
		{"FastChat, out of memory", fieldChat, 400, `{"object":"error","message":"**NETWORK ERROR DUE TO HIGH TRAFFIC. PLEASE REGENERATE OR REFRESH THIS PAGE.**","code":50002}`, aigateway.CauseServer},
		{"Open WebUI, without its upstream", fieldChat, 400, `{"detail":"Open WebUI: Server Connection Error"}`, aigateway.CauseServer},
		{"LiteLLM, without its database", fieldChat, 400, `{"error":{"message":"No connected db.","type":"no_db_connection","param":null,"code":"400"}}`, aigateway.CauseServer},

		{"LM Studio, nothing loaded (lms#107)", fieldChat, 404, `{"error":"No models loaded. Please load a model in the developer page or use the ` + "`lms load`" + ` command."}`, aigateway.CauseModel},
		{"LM Studio, nothing loaded, by 400", fieldChat, 400, `{"error":{"message":"No models loaded. Please load a model in the developer page or use the 'lms load' command.","type":"invalid_request_error","param":"model","code":null}}`, aigateway.CauseModel},
		{"LM Studio, not loadable (crush#2546)", fieldChat, 400, `{"error":{"message":"Failed to load model \"qwen/qwen3-coder-30b\". Error: Operation canceled."}}`, aigateway.CauseModel},
		{"llama-swap", fieldChat, 400, `{"error":"could not find real modelID for m"}`, aigateway.CauseModel},
		{"llama-swap, newer", fieldChat, 404, `{"error":"no router for requested model"}`, aigateway.CauseModel},
		{"llama.cpp as a router", fieldChat, 400, `{"error":{"code":400,"message":"model is not loaded","type":"invalid_request_error"}}`, aigateway.CauseModel},
		{"TabbyAPI", fieldChat, 400, `{"detail":"No models are currently loaded."}`, aigateway.CauseModel},
		{"Xinference (inference#1005, #1655)", fieldChat, 400, `{"detail":"[address=127.0.0.1:46891, pid=784] Model not found in the model list, uid: m"}`, aigateway.CauseModel},
		{"Speaches", fieldTranscribed, 404, `{"detail":"Model 'm' is not installed locally. You can download the model using ` + "`POST /v1/models`" + `"}`, aigateway.CauseModel},
		{"Triton", fieldChat, 400, `{"detail":"Unknown model: m"}`, aigateway.CauseModel},
		{"Ray Serve", fieldChat, 404, `{"error":{"message":"Unable to find m. Please ensure that the model exists and you have permission. (Request ID: x)","type":"NotFoundError","param":{},"code":404}}`, aigateway.CauseModel},
		{"FastChat", fieldChat, 400, `{"object":"error","message":"Only vicuna&&llama allowed now, your model m","code":40301}`, aigateway.CauseModel},
		{"mlx_lm.server", fieldChat, 404, `{"error":"404 Client Error. (Request ID: x)\n\nRepository Not Found for url: https://huggingface.co/api/models/m/revision/main."}`, aigateway.CauseModel},
		{"Jan", fieldChat, 409, `{"message":"Model has not been loaded, please load model into cortex.llamacpp"}`, aigateway.CauseModel},
		{"Lemonade", fieldChat, 400, `{"error":{"message":"No model loaded: m","type":"model_not_loaded"}}`, aigateway.CauseModel},
		{"LiteLLM (platform.publicai.co#6)", fieldChat, 400, `{"error":{"message":"{'error': '/chat/completions: Invalid model name passed in model=m. Call ` + "`/v1/models`" + ` to view available models for your key.'}","type":"None","param":"None","code":"400"}}`, aigateway.CauseModel},
		{"LiteLLM, an object in place of a message (litellm#8821)", fieldChat, 400, `{"error":{"message":{"error":"/chat/completions: Invalid model name passed in model=m. Call ` + "`/v1/models`" + ` to view available models for your key."},"type":"None","param":"None","code":"400"}}`, aigateway.CauseModel},
		{"a LiteLLM behind a LiteLLM (litellm#3142)", fieldChat, 400, `{"error":{"message":"litellm.BadRequestError: OpenAIException - Error code: 400 - {'error': {'message': \"400: {'error': 'Invalid model name passed in model=m'}\", 'type': 'None', 'param': 'None', 'code': 400}}","type":null,"param":null,"code":"400"}}`, aigateway.CauseModel},

		{"LM Studio, an endpoint that it has not, under 200", fieldRerank, 200, `{"error":"Unexpected endpoint or method. (POST /v1/rerank)"}`, aigateway.CauseEndpoint},

		{"llama.cpp, an image (llamastash#13, llama.cpp#13566)", fieldChat, 500, `{"error":{"code":500,"message":"image input is not supported - hint: if this is unexpected, you may need to provide the mmproj","type":"server_error"}}`, aigateway.CauseClient},
		{"llama.cpp, tools", fieldChat, 500, `{"error":{"code":500,"message":"tools param requires --jinja flag","type":"server_error"}}`, aigateway.CauseClient},
		{"llama.cpp, the order of the messages (jan#6254)", fieldChat, 500, `{"error":{"code":500,"message":"Conversation roles must alternate user/assistant/user/assistant/... at row 19, column 27:\n {%- if (message['role'] == 'user') %}","type":"server_error"}}`, aigateway.CauseClient},
		{"llama.cpp, the same, newer (picoclaw#207, llama.cpp#19851)", fieldChat, 500, `{"error":{"code":500,"message":"\n------------\nWhile executing CallExpression at line 47, column 32 in source:\n...== 0) %}↵            {{- raise_exception('After the optional system message, con...\n                                           ^\nError: Jinja Exception: After the optional system message, conversation roles must alternate user and assistant roles except for tool calls and results.","type":"server_error"}}`, aigateway.CauseClient},
		{"llama.cpp, the same, in double quotes (sdialog#122)", fieldChat, 500, `{"error":{"code":500,"message":"\n------------\nWhile executing CallExpression at line 19, column 27 in source:\n...% 2 == 0) -%}↵        {{ raise_exception(\"Conversation roles must alternate user...\n                                           ^\nError: Jinja Exception: Conversation roles must alternate user/assistant/user/assistant/...","type":"server_error"}}`, aigateway.CauseClient},
		{"Ollama, an image", fieldChat, 500, `{"error":{"message":"this model is missing data required for image input","type":"api_error","param":null,"code":null}}`, aigateway.CauseClient},
		{"text-embeddings-inference, a rerank of an embedding model", fieldRerank, 424, `{"error":"model is not a re-ranker model","error_type":"Backend"}`, aigateway.CauseClient},

		{"llama.cpp, an input over its batch (ramalama#2852, lemonade#3591)", fieldEmbeddings, 500, `{"error":{"code":500,"message":"input (596 tokens) is too large to process. increase the physical batch size (current batch size: 512)","type":"server_error"}}`, aigateway.CauseTooLarge},
		{"GPUStack, the same (gpustack#472)", fieldEmbeddings, 500, `{"error":{"code":500,"message":"input is too large to process, please increase the physical batch size","type":"server_error"}}`, aigateway.CauseTooLarge},
		{"Ollama, a long input (open-notebook#350, nano-brain#208)", fieldEmbeddings, 400, `{"error":{"message":"the input length exceeds the context length","type":"invalid_request_error","param":null,"code":null}}`, aigateway.CauseTooLarge},
		{"vLLM, no room for an answer", fieldChat, 400, `{"object":"error","message":"max_tokens must be at least 1, got -1067.","type":"BadRequestError","param":null,"code":400}`, aigateway.CauseTooLarge},
		{"SGLang, a long input", fieldChat, 400, `{"object":"error","message":"Input length (40000 tokens) exceeds the maximum allowed length (32768 tokens). Use a shorter input or enable --allow-auto-truncate.","type":"BadRequestError","param":null,"code":400}`, aigateway.CauseTooLarge},
		{"LiteLLM before a SGLang (sglang#3642)", fieldChat, 500, `{"error":{"message":"litellm.InternalServerError: OpenAIException - Error code: 400 - {'object': 'error', 'message': \"Requested token count exceeds the model's maximum context length of 4096 tokens. You requested a total of 4320 tokens.\", 'type': 'BadRequestError', 'param': None, 'code': 400}","type":null,"param":null,"code":"500"}}`, aigateway.CauseTooLarge},
	} {
		t.Run(tt.name, func(t *testing.T) {
			want := fieldBlames
			switch tt.cause {
			case aigateway.CauseServer, aigateway.CauseModel, aigateway.CauseEndpoint:
				want = fieldCools
			}
			outcome, cause := fieldOutcome(t, tt.path, testbed.ChatRequest, gatewaytest.JSON(tt.status, tt.body))
			assert.Equal(t, tt.cause, cause)
			assert.Equal(t, want, outcome)
		})
	}
}

// TestFieldEndpointUnder200: LM Studio tells a missing endpoint under status 200. The other
// endpoints of the model go on.
func TestFieldEndpointUnder200(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
		s.Set("a1", gatewaytest.JSON(200, `{"error":"Unexpected endpoint or method. (POST /v1/rerank)"}`))
		for range 6 {
			s.Post(fieldRerank, testbed.ChatRequest)
		}
		s.Set("a1", gatewaytest.Fitting("from a1"))
		s.Routes()
		s.Post(fieldRerank, testbed.ChatRequest)
		assert.Equal(t, []string{"b1"}, s.Routes())
		testbed.Ask(s.Harness)
		assert.Equal(t, []string{"a1"}, s.Routes())
	})
}

// TestFieldErrorsOfRequestsInStreams: a server with a begun stream tells by an event
// about a request too long, or wrong. It is not the server's fault, at the front of
// the stream and behind a part of the answer (llama.cpp#16109, vllm#40986).
func TestFieldErrorsOfRequestsInStreams(t *testing.T) {
	for _, tt := range []struct {
		name, events string
		cause        aigateway.FailureCause
		status       int // of the client, where no other provider is left
	}{
		{"vLLM, too long", fieldData(`{"error":{"message":"This model's maximum context length is 4096 tokens. However, you requested 5000","type":"BadRequestError","param":null,"code":400}}`, "[DONE]"), aigateway.CauseTooLarge, 400},
		{"vLLM, wrong", fieldData(`{"error":{"message":"Unsupported image","type":"BadRequestError","param":null,"code":400}}`, "[DONE]"), aigateway.CauseClient, 400},
		{"llama.cpp, too long", fieldData(`{"error":{"code":400,"message":"request (5000 tokens) exceeds the available context size (4096 tokens), try increasing it","type":"exceed_context_size_error","n_prompt_tokens":5000,"n_ctx":4096}}`), aigateway.CauseTooLarge, 400},
		{"llama.cpp, grown too long", fieldData(`{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}`), aigateway.CauseTooLarge, 500},
		{"llama.cpp, in a field of its own", "error: {\"code\":400,\"message\":\"the request exceeds the available context size\",\"type\":\"exceed_context_size_error\"}\n\n", aigateway.CauseTooLarge, 400},
		{"LM Studio, too long (lmstudio-bug-tracker#237)", "event: error\n" + fieldData(`{"error":{"message":"Trying to keep the first 5000 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens"}}`), aigateway.CauseTooLarge, 400},
		{"text-generation-inference, too long", fieldData(`{"error":{"message":"Input validation error: ` + "`inputs` tokens + `max_new_tokens`" + ` must be <= 4096. Given: 5000","http_status_code":422}}`), aigateway.CauseTooLarge, 422},
		{"text-generation-inference, too many", fieldData(`{"error":"Model is overloaded","error_type":"overloaded"}`), aigateway.CauseRateLimit, 429},
	} {
		t.Run(tt.name, func(t *testing.T) {
			outcome, cause := fieldOutcome(t, fieldChat, testbed.StreamRequest, gatewaytest.Stream(tt.events))
			assert.Equal(t, tt.cause, cause)
			if tt.cause != aigateway.CauseRateLimit {
				assert.Equal(t, fieldBlames, outcome)
			}
			synctest.Test(t, func(t *testing.T) {
				s := testbed.NewScripts(t, testbed.Config(1, "a"))
				s.Set("a1", gatewaytest.Stream(tt.events))
				assert.Equal(t, tt.status, testbed.AskStream(s.Harness).Status)
			})
			if tt.cause == aigateway.CauseRateLimit {
				return
			}
			synctest.Test(t, func(t *testing.T) {
				s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
				s.Set("a1", gatewaytest.Stream(gatewaytest.ChatDelta("half")+tt.events))
				for range 7 {
					testbed.AskStream(s.Harness)
					assert.Equal(t, []string{"a1"}, s.Routes())
					res := s.Result()
					require.NotNil(t, res.Error)
					assert.Equal(t, aigateway.CodeStreamBroken, res.Error.Code)
					assert.Contains(t, res.ModelsTried[0].RequestsMade[0].Error, "the upstream sent an error in its stream: ", "in its words")
				}
			})
		})
	}
}

// TestFieldKeysOfRelays: relays tell by 401 of a key without the right to one model, and by 400
// of an expired one.
func TestFieldKeysOfRelays(t *testing.T) {
	for _, tt := range []struct {
		name   string
		status int
		body   string
		cause  aigateway.FailureCause
	}{
		{"LiteLLM, by 401", 401, `{"error":{"message":"key not allowed to access model. This key can only access models=['x']. Tried to access m","type":"key_model_access_denied","param":"model","code":"401"}}`, aigateway.CauseScope},
		{"LiteLLM, by 403 (litellm#38572)", 403, `{"error":{"message":"team not allowed to access model. This team can only access models=['x']. Tried to access m","type":"team_model_access_denied","param":"model","code":"403"}}`, aigateway.CauseScope},
		{"LiteLLM, older", 401, `{"error":{"message":"Authentication Error, API Key not allowed to access model. This token can only access models=['x']. Tried to access m","type":"auth_error","param":"None","code":"401"}}`, aigateway.CauseScope},
		{"LiteLLM, expired", 400, `{"error":{"message":"Authentication Error - Expired Key. Key Expiry time 2026-01-01 and current time 2026-02-01","type":"expired_key","param":"None","code":"400"}}`, aigateway.CauseDeadKey},
		{"no money behind a LiteLLM", 400, `{"error":{"message":"litellm.BadRequestError: AnthropicException - Your credit balance is too low to access the Anthropic API.","type":"None","param":"None","code":"400"}}`, aigateway.CauseDeadKey},
		{"FastAPI, no key", 403, `{"detail":"Not authenticated"}`, aigateway.CauseDeadKey},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, cause := fieldOutcome(t, fieldChat, testbed.ChatRequest, gatewaytest.JSON(tt.status, tt.body))
			assert.Equal(t, tt.cause, cause)
		})
	}
}

// TestFieldFinishWords: TensorRT-LLM ends an abandoned answer with a word of its own.
// Other servers write a word in place of null into each chunk: it ends nothing.
func TestFieldFinishWords(t *testing.T) {
	finish := func(word string) string {
		return fieldData(`{"choices":[{"index":0,"delta":{"content":"half"},"finish_reason":null}]}`, `{"choices":[{"index":0,"delta":{},"finish_reason":"`+word+`"}]}`, "[DONE]")
	}
	for _, word := range []string{"cancelled", "timeout", "abort"} {
		t.Run(word, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := testbed.NewScripts(t, testbed.Config(1, "a", "b"))
				s.Set("a1", gatewaytest.Stream(finish(word)))
				got := testbed.AskStream(s.Harness)
				require.Error(t, got.Err)
				require.NotNil(t, s.Result().Error)
				assert.Equal(t, aigateway.CodeStreamBroken, s.Result().Error.Code)
				s.Set("a1", gatewaytest.JSON(200, `{"choices":[{"index":0,"message":{"role":"assistant","content":""},"finish_reason":"`+word+`"}]}`))
				assert.Contains(t, testbed.Ask(s.Harness).Body, "from b1")
			})
			var cfg aigateway.Config
			var res *aigateway.Result
			cfg.Hooks = testbed.KeepResult(&res)
			translateProvider(t, &cfg, "chat", aigateway.TranslateOn, translateChat, gatewaytest.JSON(200, `{"choices":[{"index":0,"message":{"role":"assistant","content":"half"},"finish_reason":"`+word+`"}]}`))
			resp, got := requestPost(t, testbed.Serve(t, cfg)+fieldMessages, nil, translateAskMsgs)
			assert.Equal(t, http.StatusServiceUnavailable, resp.StatusCode, got)
			assert.Contains(t, res.ModelsTried[0].RequestsMade[0].Error, "the provider ended the answer with an error")
		})
	}
	for _, word := range []string{"", "null", "None"} {
		t.Run("no word: "+word, func(t *testing.T) {
			chunk := `{"choices":[{"index":0,"delta":{"content":"hi"},"finish_reason":"` + word + `"}]}`
			synctest.Test(t, func(t *testing.T) {
				s := testbed.NewScripts(t, testbed.Config(1, "a"))
				s.Set("a1", gatewaytest.Stream(fieldData(chunk, chunk)))
				require.Error(t, testbed.AskStream(s.Harness).Err, "it is cut off")
				assert.Equal(t, aigateway.CodeStreamBroken, s.Result().Error.Code)
			})
			var cfg aigateway.Config
			translateProvider(t, &cfg, "chat", aigateway.TranslateOn, translateChat, gatewaytest.Stream(fieldData(chunk, chunk, `{"choices":[{"index":0,"delta":{},"finish_reason":"length"}]}`, "[DONE]")))
			resp, got := requestPost(t, testbed.Serve(t, cfg)+fieldMessages, nil, `{"stream":true,`+translateAskMsgs[1:])
			require.Equal(t, http.StatusOK, resp.StatusCode)
			assert.Contains(t, got, `"stop_reason":"max_tokens"`)
			assert.NotContains(t, got, `"error"`)
		})
	}
}

// TestFieldBareNames: Ollama lists NAME:latest, and takes NAME for it. People ask for NAME
// (ogx#1903, localOllamaRAG#129, codecompanion.nvim#68). A name of the config gets
// the facts of its namesake, and stands for it alone.
func TestFieldBareNames(t *testing.T) {
	ollama := func() http.Handler {
		mux := http.NewServeMux()
		mux.HandleFunc("GET /v1/models", gatewaytest.JSON(200, `{"object":"list","data":[{"id":"qwen3:latest","object":"model"},{"id":"qwen3:8b","object":"model"},{"id":"both:latest"},{"id":"both"}]}`))
		mux.HandleFunc("GET /api/tags", gatewaytest.JSON(200, `{"models":[{"name":"qwen3:latest","digest":"d1"}]}`))
		mux.HandleFunc("GET /api/ps", gatewaytest.JSON(200, `{"models":[{"name":"qwen3:latest","context_length":4096}]}`))
		return mux
	}
	for _, tt := range []struct {
		listed []string
		asked  map[string]string // the model that goes out
		ids    []string          // of the list for clients
	}{
		{nil, map[string]string{"qwen3": "qwen3:latest", "QWEN3:latest": "qwen3:latest", "qwen3:8b": "qwen3:8b", "both": "both"}, []string{"both", "both:latest", "qwen3", "qwen3:8b", "qwen3:latest"}},
		{[]string{"qwen3"}, map[string]string{"qwen3": "qwen3"}, []string{"both", "both:latest", "qwen3", "qwen3:8b"}},
	} {
		t.Run(fmt.Sprint(tt.listed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cfg := testbed.Config(0, "ollama")
				cfg.Providers[0].Discover, cfg.Providers[0].Models = aigateway.DiscoverOn, nil
				for _, id := range tt.listed {
					cfg.Providers[0].Models = append(cfg.Providers[0].Models, aigateway.Model{ID: id})
				}
				g := running(t, cfg, map[string]http.Handler{"ollama": ollama()})
				synctest.Wait()
				for name, want := range tt.asked {
					res, err := g.Explain(httptest.NewRequest(http.MethodPost, fieldChat, strings.NewReader(`{"model":"`+name+`"}`)))
					require.NoError(t, err)
					require.Len(t, res.ModelsTried, 1, name)
					assert.Equal(t, want, res.ModelsTried[0].Model, name)
				}
				var ids []string
				for id, m := range offers(t, g) {
					ids = append(ids, id)
					if id == "qwen3" || id == "qwen3:latest" {
						assert.EqualValues(t, 4096, m["context_window"])
					}
				}
				assert.ElementsMatch(t, tt.ids, ids)
			})
		})
	}
}
