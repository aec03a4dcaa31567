// LangChain with @langchain/openai, which speaks chat completions.
import { ChatOpenAI } from '@langchain/openai';
import { chatCases } from './langchain-cases.mjs';
import { key, run, url } from './harness.mjs';

await run(chatCases((rest) => new ChatOpenAI({ model: 'gpt-standin' + rest, apiKey: key, maxRetries: 0, configuration: { baseURL: url + '/v1' } })));
