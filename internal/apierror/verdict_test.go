package apierror

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestClassify(t *testing.T) {
	refusal := func(p Part) Verdict { return Verdict{Kind: Refusal, Part: p} }
	dead := func(c Cause, r Reach) Verdict { return Verdict{Kind: DeadKey, Cause: c, Reach: r} }
	kind := func(k Kind) Verdict { return Verdict{Kind: k} }
	limited := func(r Reach) Verdict { return Verdict{Kind: RateLimited, Reach: r} }
	denied := Verdict{Kind: Denied, Reach: ReachModel}
	for name, group := range map[string][]struct {
		name   string
		status int
		body   string
		want   Verdict
	}{
		"dead keys as they were seen": {
			{"Google, a list", 400, `[{"error":{"code":400,"message":"API key not valid. Please pass a valid API key.","status":"INVALID_ARGUMENT","details":[{"@type":"type.googleapis.com/google.rpc.ErrorInfo","reason":"API_KEY_INVALID","domain":"googleapis.com"}]}}]`, dead(CauseInvalid, ReachKey)},
			{"Google, an object without details", 400, `{"error":{"code":400,"message":"API key expired. Please renew the API key.","status":"INVALID_ARGUMENT"}}`, dead(CauseInvalid, ReachKey)},
			{"Anthropic, no credit", 400, `{"type":"error","error":{"type":"invalid_request_error","message":"Your credit balance is too low to access the Anthropic API. Please go to Plans & Billing to upgrade or purchase credits."}}`, dead(CauseNoMoney, ReachAccount)},
			{"Anthropic, disabled", 403, `{"type":"error","error":{"type":"permission_error","message":"This organization has been disabled."}}`, dead(CauseSuspended, ReachAccount)},
			{"xAI, an old code", 400, `{"code":"Client specified an invalid argument","error":"Incorrect API key provided: xa***1f. You can obtain an API key from https://console.x.ai."}`, dead(CauseInvalid, ReachKey)},
			{"xAI, a new code", 400, `{"code":"invalid-argument","error":"Incorrect API key provided: xa***1f."}`, dead(CauseInvalid, ReachKey)},
			{"xAI, spent", 429, `{"code":"Some resource has been exhausted","error":"Your team 1f has either used all available credits or reached its monthly spending limit."}`, dead(CauseNoMoney, ReachAccount)},
			{"OpenAI, quota", 429, `{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":"insufficient_quota"}}`, dead(CauseNoMoney, ReachAccount)},
			{"OpenAI, quota without a code", 429, `{"error":{"message":"You exceeded your current quota, please check your plan and billing details.","type":"insufficient_quota","param":null,"code":null}}`, dead(CauseNoMoney, ReachAccount)},
			{"OpenAI, quota by its text", 429, `{"error":"You exceeded your current quota, please check your plan and billing details."}`, dead(CauseNoMoney, ReachAccount)},
			{"OpenAI, hard limit under 400", 400, `{"error":{"code":"billing_hard_limit_reached","message":"Billing hard limit has been reached","param":null,"type":"invalid_request_error"}}`, dead(CauseNoMoney, ReachAccount)},
			{"OpenAI, a project's limit", 429, `{"error":{"code":"project_spend_limit_exceeded","message":"…","type":"insufficient_quota"}}`, dead(CauseSpent, ReachProject)},
			{"DeepSeek", 402, `{"error":{"message":"Insufficient Balance","type":"unknown_error","param":null,"code":"invalid_request_error"}}`, dead(CauseNoMoney, ReachAccount)},
			{"DeepSeek, invalid", 401, `{"error":{"message":"Authentication Fails, Your api key: ****abcd is invalid","type":"authentication_error","param":null,"code":"invalid_request_error"}}`, dead(CauseInvalid, ReachKey)},
			{"Fireworks", 412, `{"error":{"object":"error","type":"invalid_request_error","code":"invalid_request_error","message":"Account me is suspended, possibly due to reaching the monthly spending limit or failure to pay past invoices."}}`, dead(CauseNoMoney, ReachAccount)},
			{"Moonshot", 429, `{"error":{"type":"exceeded_current_quota_error","message":"Your account org-1<ak-2> is suspended due to insufficient balance, please recharge your account"}}`, dead(CauseNoMoney, ReachAccount)},
			{"Groq", 400, `{"error":{"message":"Organization has been restricted. Please reach out to support.","type":"invalid_request_error","code":"organization_restricted"}}`, dead(CauseSuspended, ReachAccount)},
			{"Cerebras", 401, `{"message":"Wrong API Key","type":"invalid_request_error","param":"api_key","code":"wrong_api_key"}`, dead(CauseInvalid, ReachKey)},
			{"Mistral", 401, `{"detail":"Unauthorized"}`, dead(CauseInvalid, ReachKey)},
			{"MiniMax, under 200", 200, `{"id":"","choices":null,"base_resp":{"status_code":1008,"status_msg":"insufficient balance"}}`, dead(CauseNoMoney, ReachAccount)},
			{"MiniMax, invalid, under 200", 200, `{"base_resp":{"status_code":2049,"status_msg":"invalid api key"}}`, dead(CauseInvalid, ReachKey)},
			{"Zhipu", 429, `{"error":{"code":"1113","message":"您的账户已欠费，请充值后重试。"}}`, dead(CauseNoMoney, ReachAccount)},
			{"Zhipu, a number", 429, `{"error":{"code":1113,"message":"Insufficient balance or no resource package. Please recharge."}}`, dead(CauseNoMoney, ReachAccount)},
			{"OpenRouter's key", 403, `{"error":{"message":"Key limit exceeded (monthly limit). Manage it using https://openrouter.ai/settings/keys","code":403}}`, dead(CauseSpent, ReachKey)},
			{"through a relay", 400, `{"error":{"message":"litellm.BadRequestError: AnthropicException - Your credit balance is too low to access the Anthropic API.","type":null,"param":null,"code":"400"}}`, dead(CauseNoMoney, ReachAccount)},
			{"a document in a message", 400, `{"error":{"message":"{\"type\":\"error\",\"error\":{\"type\":\"invalid_request_error\",\"message\":\"Your credit balance is too low\"}}"}}`, dead(CauseNoMoney, ReachAccount)},
			{"Anthropic, spent", 400, `{"type":"error","error":{"type":"invalid_request_error","message":"You have reached your specified API usage limits. You will regain access on 2026-12-01 at 00:00 UTC."}}`, dead(CauseSpent, ReachAccount)},
			{"xAI, blocked", 403, `{"code":"The caller does not have permission to execute the specified operation","error":"Team's API key is currently blocked: xai-…ab"}`, dead(CauseSuspended, ReachKey)},
			{"Google, suspended", 403, `[{"error":{"code":403,"message":"Permission denied: Consumer 'api_key:AIza' has been suspended.","status":"PERMISSION_DENIED"}}]`, dead(CauseSuspended, ReachProject)},
			{"401 without words", 401, ``, dead(CauseInvalid, ReachKey)},
			{"402 without words", 402, `<html>Pay</html>`, dead(CauseNoMoney, ReachAccount)},
			{"an event that is a 401", 200, `{"type":"error","error":{"type":"authentication_error","message":"invalid x-api-key"}}`, dead(CauseInvalid, ReachKey)},
		},
		"dead keys in shapes of their own": {
			{"AWS in capitals", 403, `{"Message":"Authentication failed: Please make sure your API Key is valid."}`, dead(CauseInvalid, ReachKey)},
			{"AWS without its header", 403, `{"message":"The security token included in the request is expired"}`, dead(CauseInvalid, ReachKey)},
			{"a signature", 403, `{"message":"The request signature we calculated does not match the signature you provided."}`, dead(CauseInvalid, ReachKey)},
			{"Tencent, under 200", 200, `{"Response":{"Error":{"Code":"invalid_api_key","Message":"m"},"RequestId":"1"}}`, dead(CauseInvalid, ReachKey)},
			{"Apigee, under 200", 200, `{"fault":{"faultstring":"Incorrect API key provided","detail":{"errorcode":"oauth.v2.InvalidApiKey"}}}`, dead(CauseInvalid, ReachKey)},
			{"a code of Apigee", 400, `{"fault":{"faultstring":"m","detail":{"errorcode":"invalid_api_key"}}}`, dead(CauseInvalid, ReachKey)},
			{"a curly apostrophe", 403, `{"error":{"message":"Your newly created team doesn’t have any credits yet."}}`, dead(CauseNoMoney, ReachAccount)},
			{"Google's bill", 403, `[{"error":{"code":403,"message":"This API method requires billing to be enabled. Please enable billing on project #1","status":"PERMISSION_DENIED"}}]`, dead(CauseNoMoney, ReachProject)},
			{"a deactivated account", 403, `{"error":{"message":"The OpenAI account associated with this API key has been deactivated.","type":"invalid_request_error","code":null}}`, dead(CauseSuspended, ReachAccount)},
			{"a banned user", 403, `{"error":{"message":"用户已被封禁 (request id: 1)","type":"new_api_error"}}`, dead(CauseSuspended, ReachAccount)},
		},
		"no dead keys": {
			{"bytes that are no text", 400, "API key not valid\x00\x01", kind(Unknown)},
			{"no access to a model", 403, `{"message":"You don't have access to the model with the specified model ID."}`, denied},
			{"a relay's token without the model", 403, `{"error":{"message":"该令牌无权访问模型 m","type":"new_api_error"}}`, denied},
			{"a prompt that is quoted", 400, `{"error":{"message":"Invalid value: 'API key not valid'. Supported values are: 'low' and 'high'.","type":"invalid_request_error","param":"reasoning_effort","code":"invalid_value"}}`, kind(Unknown)},
			{"a prompt that is repeated", 400, `{"error":{"message":"could not parse: Your credit balance is too low","type":"invalid_request_error"}}`, kind(Unknown)},
			{"a prompt about a param", 400, `{"error":{"message":"API key not valid. is not a role","type":"invalid_request_error","param":"messages[0].role"}}`, kind(Unknown)},
			{"FastAPI's input", 422, `{"detail":[{"type":"string_type","loc":["body","messages"],"msg":"Input should be a valid string","input":"API key not valid. insufficient_quota"}]}`, kind(Unknown)},
			{"another status", 500, `{"error":{"message":"API key not valid. Please pass a valid API key."}}`, kind(Unknown)},
			{"a rate limit", 429, `{"error":{"message":"Rate limit reached for gpt-4o in organization org-1 on requests per min (RPM): Limit 3, Used 3, Requested 1. Please try again in 20s.","type":"requests","param":null,"code":"rate_limit_exceeded"}}`, limited(ReachModel)},
			{"a code that wins over its type", 429, `{"error":{"message":"slow down","type":"insufficient_quota","code":"slow_down"}}`, limited(ReachModel)},
			{"Google's rate limit in words of billing", 429, `[{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details. Please retry in 34.07s.","status":"RESOURCE_EXHAUSTED","details":[{"@type":"type.googleapis.com/google.rpc.QuotaFailure","violations":[{"quotaId":"GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},{"@type":"type.googleapis.com/google.rpc.RetryInfo","retryDelay":"34s"}]}}]`, limited(ReachModel)},
			{"Google's rate limit without details", 429, `{"error":{"code":429,"message":"You exceeded your current quota, please check your plan and billing details.","status":"RESOURCE_EXHAUSTED"}}`, limited(ReachModel)},
			{"DashScope's minute in words of billing", 429, `{"error":{"message":"You exceeded your current quota, please check your plan and billing details. For details, see: https://help.aliyun.com/zh/model-studio/error-code#token-limit","type":"insufficient_quota","code":"insufficient_quota"}}`, limited(ReachModel)},
			{"Cerebras' minute", 429, `{"message":"Tokens per minute limit exceeded - too many tokens processed.","type":"too_many_tokens_error","param":"quota","code":"token_quota_exceeded"}`, limited(ReachModel)},
			{"Moonshot's rate limit", 429, `{"error":{"type":"rate_limit_reached_error","message":"Your account is rate limited"}}`, limited(ReachModel)},
			{"Moonshot's overload", 429, `{"error":{"type":"engine_overloaded_error","message":"The engine is currently overloaded"}}`, limited(ReachModel)},
			{"Anthropic's permission", 403, `{"type":"error","error":{"type":"permission_error","message":"Your API key does not have permission to use the specified resource."}}`, denied},
			{"OpenRouter's permission", 403, `{"error":{"code":403,"message":"no","metadata":{"error_type":"permission_denied"}}}`, denied},
			{"the dead key of an upstream behind", 502, `{"error":{"code":502,"message":"Provider returned error","metadata":{"provider_name":"X","raw":"{\"error\":{\"code\":\"invalid_api_key\",\"message\":\"Incorrect API key provided\"}}"}}}`, kind(Unknown)},
			{"403 without words", 403, ``, denied},
		},
		"limits": {
			{"what is in flight", 402, `{"error":{"message":"This request would exceed your available credits"}}`, limited(ReachAccount)},
			{"Zhipu's plan", 429, `{"error":{"code":"1308","message":"已达到 5 小时的使用上限。您的限额将在 2026-08-06 20:06:00 重置。"}}`, limited(ReachAccount)},
			{"MiniMax's plan", 200, `{"base_resp":{"status_code":2056,"status_msg":"usage limit exceeded"}}`, limited(ReachAccount)},
			{"Codex' plan", 429, `{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","resets_in_seconds":60}}`, limited(ReachAccount)},
			{"a project's quota", 429, `{"error":{"status":"RESOURCE_EXHAUSTED","details":[{"violations":[{"quotaId":"RequestsPerMinutePerProject"}]}]}}`, limited(ReachProject)},
			{"429 without words", 429, ``, limited(ReachModel)},
			{"a subscription", 429, `{"error":{"message":"Subscription quota exceeded. You can continue using free models."}}`, limited(ReachAccount)},
			{"a free plan", 429, `{"code":"subscription:free-usage-exhausted","error":"You've used all the included free usage"}`, limited(ReachAccount)},
			{"a week", 429, `{"error":"you (joe) have reached your weekly usage limit, upgrade for higher limits"}`, limited(ReachAccount)},
			{"an account", 429, `{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your account's rate limit. Please try again later."}}`, limited(ReachAccount)},
			{"an organization's limit of one model", 429, `{"type":"error","error":{"type":"rate_limit_error","message":"This request would exceed your organization's rate limit of 40,000 input tokens per minute (org: x, model: claude-opus-5)."}}`, limited(ReachModel)},
			{"a day of Cloudflare", 429, `{"errors":[{"message":"AiError: you have used up your daily free allocation of 10,000 neurons","code":4006}],"success":false}`, limited(ReachAccount)},
			{"a relay's money of a day", 429, `{"error":"Daily cost limit exceeded","message":"已达到每日费用限制 ($5)"}`, limited(ReachKey)},
			{"Azure's quota of a key", 403, `{"statusCode":403,"message":"Out of call volume quota. Quota will be replenished in 01:22:33."}`, limited(ReachKey)},
			{"Mistral's, under 200", 200, `{"object":"error","message":"Rate limit exceeded","type":"rate_limited","param":null,"code":"1300"}`, limited(ReachModel)},
			{"OpenRouter's guard", 402, `{"error":{"message":"Prompt tokens limit exceeded: 230799 > 91442. To increase, visit https://openrouter.ai/settings/keys","code":402}}`, kind(TooLarge)},
			{"an event that is a 429", 200, `{"type":"error","error":{"type":"rate_limit_error","message":"slow"}}`, limited(ReachModel)},
			{"too large alone, OpenAI", 429, `{"error":{"message":"Request too large for gpt-4o on tokens per min (TPM): Limit 30000, Requested 342389. The input or output tokens must be reduced in order to run successfully.","type":"tokens","code":"rate_limit_exceeded"}}`, kind(TooLarge)},
			{"too large alone by its numbers", 429, `{"error":{"message":"Rate limit reached for model x on tokens per minute (TPM): Limit 6000, Used 0, Requested 14368.","type":"tokens","code":"rate_limit_exceeded"}}`, kind(TooLarge)},
			{"too large alone, in groups of digits", 429, `{"error":{"message":"Rate limit reached: Limit 30,000, Requested 1,142,389."}}`, kind(TooLarge)},
			{"not too large alone, in groups of digits", 429, `{"error":{"message":"Rate limit reached: Limit 30,000, Used 29,999, Requested 142."}}`, limited(ReachModel)},
			{"not too large alone", 429, `{"error":{"message":"Rate limit reached on tokens per minute (TPM): Limit 6000, Used 5034, Requested 1443. Please try again in 4.77s.","type":"tokens","code":"rate_limit_exceeded"}}`, limited(ReachModel)},
			{"413", 413, `<html>`, kind(TooLarge)},
			{"context, OpenAI", 400, `{"error":{"message":"This model's maximum context length is 8192 tokens. However, your messages resulted in 9000 tokens.","type":"invalid_request_error","param":"messages","code":"context_length_exceeded"}}`, kind(TooLarge)},
			{"context, Anthropic", 400, `{"type":"error","error":{"type":"invalid_request_error","message":"prompt is too long: 210000 tokens > 200000 maximum"}}`, kind(TooLarge)},
			{"context, Google", 400, `[{"error":{"code":400,"message":"The input token count (1200000) exceeds the maximum number of tokens allowed (1048576).","status":"INVALID_ARGUMENT"}}]`, kind(TooLarge)},
			{"context, behind OpenRouter", 400, `{"error":{"code":400,"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"This model's maximum context length is 8192 tokens.\"}}"}}}`, kind(TooLarge)},
			{"context, llama.cpp", 400, `{"error":{"code":400,"message":"the request exceeds the available context size, try increasing it","type":"exceed_context_size_error","n_ctx":4096}}`, kind(TooLarge)},
			{"context, llama.cpp by its words", 400, `{"error":{"code":400,"message":"request (2358 tokens) exceeds the available context size (2048 tokens), try increasing it"}}`, kind(TooLarge)},
			{"context, llama.cpp under 500", 500, `{"error":{"code":500,"message":"Context size has been exceeded.","type":"server_error"}}`, kind(TooLarge)},
			{"context, vLLM", 400, `{"error":{"message":"You passed 74655 input characters and requested 32000 output tokens. However, the model's context length is only 32000 tokens, resulting in a maximum input length of 0 tokens (at most 0 characters).","type":"BadRequestError","code":400}}`, kind(TooLarge)},
			{"context, vLLM by the output", 400, `{"error":{"message":"'max_tokens' or 'max_completion_tokens' is too large: 8192. This model's maximum context length is 4096 tokens and your request has 100 input tokens (8192 > 4096 - 100).","type":"BadRequestError","code":400}}`, kind(TooLarge)},
			{"context, LM Studio", 400, `{"error":"Trying to keep the first 15857 tokens when context the overflows. However, the model is loaded with context length of only 4096 tokens, which is not enough."}`, kind(TooLarge)},
		},
		"scopes": {
			{"OpenAI", 401, `{"error":{"message":"You have insufficient permissions for this operation. Missing scopes: api.responses.write. Check that you have the correct role in your organization.","type":"invalid_request_error","param":null,"code":null}}`, kind(MissingScope)},
			{"in other words", 401, `{"error":{"message":"This key does not have permission to use the responses endpoint."}}`, kind(MissingScope)},
			{"no scopes in a quotation", 401, `{"error":{"message":"Unknown project 'missing scope'"}}`, dead(CauseInvalid, ReachKey)},
			{"OpenAI with a code", 401, `{"error":{"message":"no","code":"missing_scope"}}`, kind(MissingScope)},
			{"Google", 403, `{"error":{"code":403,"message":"Request had insufficient authentication scopes.","status":"PERMISSION_DENIED","details":[{"reason":"ACCESS_TOKEN_SCOPE_INSUFFICIENT"}]}}`, kind(MissingScope)},
		},
		"refusals": {
			{"OpenAI", 400, `{"error":{"message":"Invalid prompt: your prompt was flagged as potentially violating our usage policy.","type":"invalid_request_error","param":null,"code":"invalid_prompt"}}`, refusal(PartPrompt)},
			{"no refusal: an invalid prompt", 400, `{"error":{"message":"Invalid prompt: messages must not be empty","type":"invalid_request_error","code":"invalid_prompt"}}`, kind(Unknown)},
			{"Azure", 400, `{"error":{"message":"The response was filtered due to the prompt triggering Azure OpenAI's content management policy.","type":null,"param":"prompt","code":"content_filter","status":400,"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, refusal(PartPrompt)},
			{"Azure, a number for a type", 400, `{"error":{"message":"no","type":7,"code":{"a":1},"innererror":{"code":"ResponsibleAIPolicyViolation"}}}`, refusal(PartPrompt)},
			{"Anthropic", 400, `{"type":"error","error":{"type":"invalid_request_error","message":"Output blocked by content filtering policy"}}`, refusal(PartOutput)},
			{"DeepSeek", 400, `{"error":{"message":"Content Exists Risk","type":"invalid_request_error","param":null,"code":"invalid_request_error"}}`, refusal(PartPrompt)},
			{"xAI", 403, `{"code":"The caller does not have permission to execute the specified operation","error":"Content violates usage guidelines. Failed check: SAFETY_CHECK_TYPE_CSAM"}`, refusal(PartPrompt)},
			{"OpenRouter", 403, `{"error":{"code":403,"message":"x requires moderation","metadata":{"reasons":["violence"],"flagged_input":"…","provider_name":"OpenAI","model_slug":"m"}}}`, refusal(PartPrompt)},
			{"OpenAI's policy of security", 400, `{"error":{"message":"no","type":"invalid_request","param":null,"code":"cyber_policy"}}`, refusal(PartPrompt)},
			{"Azure behind LiteLLM", 400, `{"error":{"message":"BadRequestError","type":null,"param":null,"code":"400","provider_specific_fields":{"innererror":{"code":"ResponsibleAIPolicyViolation"}}}}`, refusal(PartPrompt)},
			{"Google", 403, `{"error":{"message":"PROHIBITED_CONTENT","code":403}}`, refusal(PartPrompt)},
			{"behind OpenRouter, another status", 403, `{"error":{"code":403,"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"code\":400,\"message\":\"Content Exists Risk\"}}"}}}`, refusal(PartPrompt)},
			{"Zhipu, a policy", 400, `{"error":{"code":"1300","message":"no"}}`, refusal(PartPrompt)},
			{"OpenRouter, malformed", 400, `{"error":{"code":400,"message":"no","metadata":{"error_type":"invalid_prompt"}}}`, kind(Unknown)},
			{"DashScope, a top-level code", 400, `{"code":"DataInspectionFailed","message":"Input data may contain inappropriate content.","request_id":"1"}`, refusal(PartPrompt)},
			{"DashScope, output", 400, `{"error":{"code":"data_inspection_failed","message":"Output data may contain inappropriate content."}}`, refusal(PartOutput)},
			{"Zhipu, prompt", 400, `{"contentFilter":[{"level":1,"role":"user"}],"error":{"code":"1301","message":"系统检测到输入或生成内容可能包含不安全或敏感内容"}}`, refusal(PartPrompt)},
			{"Zhipu, output", 400, `{"contentFilter":[{"level":1,"role":"assistant"}],"error":{"code":1301,"message":"…"}}`, refusal(PartOutput)},
			{"Moonshot", 400, `{"error":{"message":"The request was rejected because it was considered high risk","type":"content_filter"}}`, refusal(PartPrompt)},
			{"MiniMax", 200, `{"base_resp":{"status_code":1027,"status_msg":"output new_sensitive"}}`, refusal(PartOutput)},
			{"Responses, failed", 200, `{"type":"response.failed","response":{"status":"failed","error":{"code":"bio_policy","message":"no"}}}`, refusal(PartPrompt)},
			{"behind OpenRouter", 400, `{"error":{"code":400,"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"Content Exists Risk\"}}"}}}`, refusal(PartPrompt)},
			{"a model that declines", 200, `{"id":"1","object":"chat.completion","choices":[{"message":{"role":"assistant","content":null,"refusal":"I'm sorry"},"finish_reason":"stop"}]}`, refusal(PartModel)},
			{"no refusal: a whole answer", 200, `{"id":"1","object":"chat.completion","choices":[{"message":{"role":"assistant","content":"Content Exists Risk. API key not valid.","refusal":null},"finish_reason":"stop"}]}`, kind(Unknown)},
			{"no refusal: a message", 200, `{"type":"message","content":[{"type":"text","text":"no"}],"stop_reason":"end_turn"}`, kind(Unknown)},
		},
		"not found": {
			{"OpenAI's model", 404, `{"error":{"message":"The model ` + "`gpt-9`" + ` does not exist or you do not have access to it.","type":"invalid_request_error","param":null,"code":"model_not_found"}}`, kind(UnknownModel)},
			{"NVIDIA's model", 404, `{"status":404,"title":"Not Found","detail":"Function '12345678-b123': Not found for account 'Ab1EzDFj7NoQ'"}`, kind(UnknownModel)},
			{"Hugging Face's model", 400, `{"error":{"message":"The requested model 'moonshotai/Kimi-K2-Instruct' is not supported by any provider you have enabled.","type":"invalid_request_error","param":"model","code":"model_not_supported"}}`, kind(UnknownModel)},
			{"Hugging Face's model without a code", 400, `{"error":"The requested model 'x' is not supported by any provider you have enabled."}`, kind(UnknownModel)},
			{"GitHub's model", 400, `{"error":{"code":"unknown_model","message":"Unknown model: x","details":"Unknown model: x"}}`, kind(UnknownModel)},
			{"Anthropic's model", 404, `{"type":"error","error":{"type":"not_found_error","message":"model: claude-9"}}`, kind(UnknownModel)},
			{"Google's model", 404, `[{"error":{"code":404,"message":"models/gemini-9 is not found for API version v1main, or is not supported for generateContent.","status":"NOT_FOUND"}}]`, kind(UnknownModel)},
			{"vLLM's model", 404, `{"object":"error","message":"The model ` + "`x`" + ` does not exist.","type":"NotFoundError","param":null,"code":404}`, kind(UnknownModel)},
			{"Ollama's model", 404, `{"error":{"message":"model \"x:7b\" not found, try pulling it first","type":"api_error","param":null,"code":null}}`, kind(UnknownModel)},
			{"Azure's deployment", 404, `{"error":{"code":"DeploymentNotFound","message":"The API deployment for this resource does not exist."}}`, kind(UnknownModel)},
			{"Mistral's model", 400, `{"object":"error","message":"Invalid model: x","type":"invalid_model","param":null,"code":"1500"}`, kind(UnknownModel)},
			{"Bedrock's model", 400, `{"message":"The provided model identifier is invalid."}`, kind(UnknownModel)},
			{"Cloudflare's model", 400, `{"errors":[{"message":"AiError: No such model @cf/x or task","code":5007}],"success":false}`, kind(UnknownModel)},
			{"AWS in XML", 404, "<UnknownOperationException/>", kind(NoEndpoint)},
			{"a vector store", 404, `{"error":{"message":"Vector store with id 'vs_1' not found.","type":"invalid_request_error","param":null,"code":null}}`, kind(NotFound)},
			{"a message about a quoted model", 404, `{"error":{"message":"No file found with id 'the model x does not exist'","type":"invalid_request_error"}}`, kind(NotFound)},
			{"Anthropic's file", 404, `{"type":"error","error":{"type":"not_found_error","message":"File not found: file_1"}}`, kind(NotFound)},
			{"net/http", 404, "404 page not found\n", kind(NoEndpoint)},
			{"HTML", 404, "<html><body>404</body></html>", kind(NoEndpoint)},
			{"nothing", 404, "", kind(NoEndpoint)},
			{"FastAPI", 404, `{"detail":"Not Found"}`, kind(NoEndpoint)},
			{"FastAPI's method", 405, `{"detail":"Method Not Allowed"}`, kind(NoEndpoint)},
			{"Spring", 404, `{"timestamp":"2026-11-27T00:00:00Z","status":404,"error":"Not Found","path":"/v1/responses"}`, kind(NoEndpoint)},
			{"llama.cpp", 404, `{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}`, kind(NoEndpoint)},
			{"OpenAI's address", 404, `{"error":{"message":"Invalid URL (POST /v1/respond)","type":"invalid_request_error","param":null,"code":null}}`, kind(NoEndpoint)},
			{"Groq's address", 404, `{"error":{"message":"Unknown request URL: POST /v1/x.","type":"invalid_request_error","code":"unknown_url"}}`, kind(NoEndpoint)},
			{"Moonshot's address", 404, `{"code":5,"error":"url.not_found","message":"没找到对象","method":"POST","scode":"0x5","status":false,"ua":"x","url":"/v1/responses"}`, kind(NoEndpoint)},
			{"xAI's address", 404, `{"error":{"code":404,"message":"The requested resource was not found. Please check the URL and try again. Documentation is available at https://docs.x.ai/"}}`, kind(NoEndpoint)},
			{"405, plain", 405, "Method Not Allowed", kind(NoEndpoint)},
			{"501", 501, `{"error":{"message":"This server does not support embeddings","type":"not_supported_error","code":501}}`, kind(NoEndpoint)},
		},
		"others": {
			{"500", 500, `{"error":{"message":"boom"}}`, kind(Unknown)},
			{"an overload", 200, `{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}`, kind(Unknown)},
			{"400", 400, `{"error":{"message":"bad"}}`, kind(Unknown)},
			{"an answer", 200, `{}`, kind(Unknown)},
		},
	} {
		t.Run(name, func(t *testing.T) {
			for _, c := range group {
				t.Run(c.name, func(t *testing.T) {
					for _, body := range []string{c.body, "data: " + c.body, "event: error\r\ndata: " + c.body + "\r\n\r\n"} {
						got := Classify(c.status, nil, Read([]byte(body)))
						if c.status >= 300 {
							assert.Equal(t, c.status, got.Status)
						}
						got.Status = 0
						assert.Equal(t, c.want, got, body)
						if c.status < 300 || c.body == "" || c.body[0] != '{' && c.body[0] != '[' {
							break
						}
					}
				})
			}
		})
	}
}

func TestClassifyByHeader(t *testing.T) {
	for _, c := range []struct {
		name   string
		status int
		h      http.Header
		want   Verdict
	}{
		{"Mistral without a plan", 429, http.Header{"X-Ratelimit-Limit-Req-Minute": {"0"}}, Verdict{Status: 429, Kind: DeadKey, Cause: CauseNoMoney, Reach: ReachAccount}},
		{"Mistral with a plan", 429, http.Header{"X-Ratelimit-Limit-Req-Minute": {"60"}}, Verdict{Status: 429, Kind: RateLimited, Reach: ReachModel}},
		{"Mistral's month", 429, http.Header{"X-Ratelimit-Remaining-Tokens-Month": {"0"}}, Verdict{Status: 429, Kind: RateLimited, Reach: ReachAccount}},
		{"the last token of a month", 200, http.Header{"X-Ratelimit-Remaining-Tokens-Month": {"0"}}, Verdict{}},
		{"OAuth", 403, http.Header{"Www-Authenticate": {`Bearer error="insufficient_scope", scope="x"`}}, Verdict{Status: 403, Kind: MissingScope}},
	} {
		t.Run(c.name, func(t *testing.T) {
			assert.Equal(t, c.want, Classify(c.status, c.h, Report{}))
		})
	}
	assert.True(t, Verdict{Reach: ReachProject}.WholeKey())
	assert.False(t, Verdict{Reach: ReachModel}.WholeKey())
}

func TestStreamOptions(t *testing.T) {
	for _, c := range []struct {
		status int
		body   string
		want   bool
	}{
		{400, `{"error":{"message":"Unknown parameter: 'stream_options'.","type":"invalid_request_error","param":"stream_options","code":"unknown_parameter"}}`, true},
		{400, `{"error":{"message":"Unrecognized request argument supplied: stream_options"}}`, true},
		{422, `{"detail":[{"type":"extra_forbidden","loc":["body","stream_options"],"msg":"Extra inputs are not permitted","input":{}}]}`, true},
		{500, `{"message":"extraneous key [include_usage] is not permitted"}`, true},
		{400, `extraneous key [include_usage] is not permitted`, true},
		{400, `{"error":{"message":"Provider returned error","metadata":{"raw":"{\"error\":{\"message\":\"stream_options: extra fields not permitted\"}}"}}}`, true},
		{429, `{"error":{"message":"stream_options"}}`, false},
		{401, `{"error":{"message":"include_usage"}}`, false},
		{400, `{"error":{"message":"bad","param":"stream"}}`, false},
		{400, `{"error":{"message":"bad"},"request":"stream_options"}`, false},
	} {
		assert.Equal(t, c.want, Classify(c.status, nil, Read([]byte(c.body))).StreamOptions, c.body)
	}
}
