// The npm package "ai" with @ai-sdk/openai-compatible, which speaks chat
// completions.
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { embed } from 'ai';
import { textCases } from './ai-cases.mjs';
import { attempt, key, run, url } from './harness.mjs';

const provider = createOpenAICompatible({ name: 'standin', baseURL: url + '/v1', apiKey: key, supportsStructuredOutputs: true });

await run([
  ...textCases((id) => provider(id)),
  ['embeddings', () => attempt(async () => JSON.stringify((await embed({ model: provider.embeddingModel('embed-standin'), value: 'hello' })).embedding))],
]);
