// LangChain with @langchain/anthropic.
import { ChatAnthropic } from '@langchain/anthropic';
import { chatCases } from './langchain-cases.mjs';
import { key, run, url } from './harness.mjs';

await run(chatCases((rest) => new ChatAnthropic({ model: 'claude-standin' + rest, apiKey: key, maxTokens: 1024, maxRetries: 0, anthropicApiUrl: url })));
