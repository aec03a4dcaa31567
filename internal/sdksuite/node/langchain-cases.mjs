// The cases of LangChain, for any of its chat models.
import { HumanMessage, ToolMessage } from '@langchain/core/messages';
import { tool } from '@langchain/core/tools';
import { arrived, attempt, describe, forecast, image, left, saw, weather } from './harness.mjs';

// chatCases plays a class of chat models. model makes one by the rest of its name.
export function chatCases(model) {
  const tools = [tool(async ({ city }) => forecast(city), { name: 'weather', description: 'The weather in a city.', schema: weather })];
  const text = (m) => (typeof m.content === 'string' ? m.content : m.content.map((b) => b.text ?? '').join(''));
  const tokens = (m) => `${m.usage_metadata?.input_tokens}+${m.usage_metadata?.output_tokens} tokens`;

  // rich has the model call two tools at once, and gives all of it back.
  async function rich(ask) {
    const conversation = [new HumanMessage('How is the weather in Paris and Rome?')];
    const first = await ask(conversation);
    conversation.push(first);
    for (const call of first.tool_calls) {
      conversation.push(new ToolMessage({ tool_call_id: call.id, content: await tools[0].invoke(call.args) }));
    }
    const second = await ask(conversation);
    return `${JSON.stringify(text(first))} ${JSON.stringify(first.tool_calls.map((c) => [c.name, c.args]))}, then ${JSON.stringify(text(second))}`;
  }

  async function stream(m, input) {
    let all;
    for await (const chunk of await m.stream(input)) all = all === undefined ? chunk : all.concat(chunk);
    return all;
  }

  return [
    ['invoke', () =>
      attempt(async () => {
        const m = await model('').invoke('Say hello.');
        return `${JSON.stringify(text(m))} ${tokens(m)}`;
      })],
    ['stream', () =>
      attempt(async () => {
        const m = await stream(model(''), 'Say hello.');
        return `${JSON.stringify(text(m))} ${tokens(m)}`;
      })],
    ['stream-abort', async () => {
      const abort = new AbortController();
      let n = 0;
      try {
        for await (const chunk of await model('-endless').stream('Say hello.', { signal: abort.signal })) {
          if (!text(chunk)) continue;
          if (++n === 2) abort.abort();
          else saw();
        }
      } catch (err) {
        if (!abort.signal.aborted) throw err;
      }
      return `after ${n}, the upstream saw it: ${await left()}`;
    }],
    ['abort', async () => {
      const abort = new AbortController();
      arrived().then(() => abort.abort());
      const answer = await attempt(async () => text(await model('-hang').invoke('Say hello.', { signal: abort.signal })));
      return `${answer}, the upstream saw it: ${await left()}`;
    }],
    ['rich-image', () =>
      attempt(async () => {
        const content = [{ type: 'text', text: 'What is this?' }, { type: 'image_url', image_url: { url: `data:image/png;base64,${image}` } }];
        return text(await model('-rich').invoke([new HumanMessage({ content })]));
      })],
    ['rich-schema', () => attempt(async () => (await model('-rich').withStructuredOutput(weather, { name: 'place', method: 'jsonSchema' }).invoke('Say hello.')).city)],
    ['rich-parallel', () => attempt(() => rich((c) => model('-rich').bindTools(tools).invoke(c)))],
    ['rich-parallel-stream', () => attempt(() => rich((c) => stream(model('-rich').bindTools(tools), c)))],
    ...[400, 403, 404, 429, 500].map((status) => [`status-${status}`, () => attempt(async () => text(await model(`-${status}`).invoke('Say hello.')))]),
    ...Object.entries({ first: 'errorfirst', midway: 'errormid' }).map(([when, end]) => [`stream-error-${when}`, async () => {
      try {
        for await (const chunk of await model('-' + end).stream('Say hello.')) if (text(chunk)) saw();
        return 'no error';
      } catch (err) {
        return describe(err);
      }
    }]),
  ];
}
