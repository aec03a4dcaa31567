// The npm package "ai" with @ai-sdk/anthropic.
import { createAnthropic } from '@ai-sdk/anthropic';
import { textCases } from './ai-cases.mjs';
import { key, run, url } from './harness.mjs';

const anthropic = createAnthropic({ baseURL: url + '/v1', apiKey: key });

await run(textCases((id) => anthropic(id.replace('gpt-', 'claude-'))));
