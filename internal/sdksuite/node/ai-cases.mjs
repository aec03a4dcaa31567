// The cases of the npm package "ai", for any of its providers.
import { generateText, jsonSchema, Output, streamText, stepCountIs, tool } from 'ai';
import { arrived, attempt, describe, forecast, image, largePrompt, left, raised, saw, statuses, weather } from './harness.mjs';

const quiet = () => {}; // streamText prints errors unless told what to do with them

export function textCases(model) {
  const generate = (id, prompt = 'Say hello.', extra = {}) =>
    attempt(async () => {
      const r = await generateText({ model: model(id), prompt, ...extra });
      return `${JSON.stringify(r.text)} ${r.finishReason}, ${r.usage.inputTokens}+${r.usage.outputTokens} tokens, ${r.response.id} of ${r.response.modelId}`;
    });

  async function read(id, extra = {}) {
    const pieces = [];
    const kinds = [];
    let failure = 'no error';
    let finish = '';
    try {
      for await (const part of streamText({ model: model(id), prompt: 'Say hello.', onError: quiet, ...extra }).fullStream) {
        if (kinds.at(-1) !== part.type) kinds.push(part.type);
        if (part.type === 'error') failure = describe(part.error);
        if (part.type === 'finish') finish = `${part.finishReason} ${part.totalUsage.inputTokens ?? 0}+${part.totalUsage.outputTokens ?? 0}`;
        if (part.type === 'tool-call') pieces.push(`${part.toolName}(${JSON.stringify(part.input)})`);
        if (part.type === 'text-delta') {
          pieces.push(part.text);
          saw();
        }
      }
    } catch (err) {
      failure = describe(err);
    }
    return { text: `${JSON.stringify(pieces)} ${finish}, ${failure}, ${kinds.join(' ')}`, failure };
  }
  const stream = async (id, extra) => (await read(id, extra)).text;

  const tools = { weather: tool({ description: 'The weather in a city.', inputSchema: jsonSchema(weather), execute: async () => 'sunny' }) };
  const forecasts = { weather: tool({ description: 'The weather in a city.', inputSchema: jsonSchema(weather), execute: async ({ city }) => forecast(city) }) };
  // Without it @ai-sdk/openai sends ids of earlier items, and not the items.
  const stateless = { openai: { store: false } };
  const trip = 'How is the weather in Paris and Rome?';
  const steps = (list) => list.map((s) =>
    `${JSON.stringify(s.reasoningText ?? '')} ${JSON.stringify(s.text)} ${JSON.stringify(s.toolCalls.map((c) => [c.toolName, c.input]))} ${s.finishReason}`).join(', then ');
  const callOnly = { weather: tool({ description: 'The weather in a city.', inputSchema: jsonSchema(weather) }) };

  return [
    ['text', () => generate('gpt-standin')],
    ['text-4MB', () => generate('gpt-standin', largePrompt)],
    ['text-unknown-fields', () => generate('gpt-standin-vendor')],
    ['stream', () => stream('gpt-standin')],
    ['stream-one-by-one', () => stream('gpt-standin-step')],
    ['stream-error-first', () => stream('gpt-standin-errorfirst')],
    ['stream-error-midway', () => stream('gpt-standin-errormid')],
    ['stream-cut', () => raised(async () => {
      if ((await read('gpt-standin-cut')).failure !== 'no error') throw new Error();
    })],
    ['stream-end', async () => (await read('gpt-standin-end')).failure === 'no error' ? 'no error' : 'raised an error'],
    ['stream-abort', async () => {
      const abort = new AbortController();
      let n = 0;
      for await (const part of streamText({ model: model('gpt-standin-endless'), prompt: 'Say hello.', abortSignal: abort.signal, onError: quiet }).fullStream) {
        if (part.type !== 'text-delta') continue;
        if (++n === 2) abort.abort();
        else saw();
      }
      return `after ${n}, the upstream saw it: ${await left()}`;
    }],
    ['abort', async () => {
      const abort = new AbortController();
      arrived().then(() => abort.abort());
      const text = await generate('gpt-standin-hang', 'Say hello.', { abortSignal: abort.signal });
      return `${text}, the upstream saw it: ${await left()}`;
    }],
    ['tools', () =>
      attempt(async () => {
        const r = await generateText({ model: model('gpt-standin'), prompt: 'How is the weather in Paris?', tools, stopWhen: stepCountIs(2) });
        return `${r.steps.length} steps, ${JSON.stringify(r.steps[0].toolCalls.map((c) => [c.toolName, c.input]))}, then ${JSON.stringify(r.text)}`;
      })],
    ['tools-stream', () => stream('gpt-standin', { tools: callOnly })],
    ['rich-image', () =>
      attempt(async () => {
        const content = [{ type: 'text', text: 'What is this?' }, { type: 'file', data: image, mediaType: 'image/png' }];
        return (await generateText({ model: model('gpt-standin-rich'), messages: [{ role: 'user', content }] })).text;
      })],
    ['rich-schema', () =>
      attempt(async () => {
        const r = await generateText({ model: model('gpt-standin-rich'), prompt: 'Say hello.', output: Output.object({ schema: jsonSchema(weather) }) });
        return r.output.city;
      })],
    ['rich-parallel', () =>
      attempt(async () => {
        const r = await generateText({ model: model('gpt-standin-rich'), prompt: trip, tools: forecasts, stopWhen: stepCountIs(2), providerOptions: stateless });
        return steps(r.steps);
      })],
    ['rich-parallel-stream', () =>
      attempt(async () => {
        const r = streamText({ model: model('gpt-standin-rich'), prompt: trip, tools: forecasts, stopWhen: stepCountIs(2), onError: quiet, providerOptions: stateless });
        return steps(await r.steps);
      })],
    ['unknown-model', () => generate('gpt-unheard-of')],
    ...statuses.flatMap((status) => [
      [`status-${status}`, () => generate(`gpt-standin-${status}`)],
      [`stream-status-${status}`, () => stream(`gpt-standin-${status}`)],
    ]),
  ];
}
