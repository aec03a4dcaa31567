// The npm package "@anthropic-ai/sdk".
import Anthropic from '@anthropic-ai/sdk';
import { arrived, attempt, describe, digest, forecast, image, key, largePrompt, left, raised, run, saw, statuses, url, weather } from './harness.mjs';

const client = new Anthropic({ baseURL: url, apiKey: key });

const messages = [{ role: 'user', content: 'Say hello.' }];
const params = (model, extra = {}) => ({ model, max_tokens: 64, messages, ...extra });

const message = (model, extra, options) =>
  attempt(async () => {
    const m = await client.messages.create(params(model, extra), options);
    return `${m.id} ${JSON.stringify(m.content[0].text)} ${m.stop_reason}, ${m.usage.input_tokens}+${m.usage.output_tokens} tokens, request ${m._request_id}, ${digest(m)}`;
  });

async function read(model) {
  const pieces = [];
  const all = [];
  let failure = 'no error';
  try {
    for await (const event of await client.messages.create(params(model, { stream: true }))) {
      all.push(event);
      if (event.type === 'content_block_delta') {
        pieces.push(event.delta.text);
        saw();
      }
    }
  } catch (err) {
    failure = describe(err);
  }
  return { text: `${JSON.stringify(pieces)} last ${all.at(-1)?.type}, ${failure}, ${digest(all)}`, failure };
}

const stream = async (model) => (await read(model)).text;
const streamRaises = (model) => raised(async () => {
  if ((await read(model)).failure !== 'no error') throw new Error();
});

const tools = [{ name: 'weather', input_schema: weather }];

// rich has the model reason and call two tools at once, and gives all of it back.
async function rich(send) {
  const conversation = [{ role: 'user', content: 'How is the weather in Paris and Rome?' }];
  const ask = () => send({ model: 'claude-standin-rich', max_tokens: 4096, thinking: { type: 'enabled', budget_tokens: 2048 }, messages: conversation, tools });
  const first = await ask();
  const calls = first.content.filter((b) => b.type === 'tool_use');
  conversation.push({ role: 'assistant', content: first.content },
    { role: 'user', content: calls.map((c) => ({ type: 'tool_result', tool_use_id: c.id, content: forecast(c.input.city) })) });
  const second = await ask();
  const shown = first.content.map((b) => b.thinking ?? b.text ?? `${b.name}(${JSON.stringify(b.input)})`);
  return `${JSON.stringify(shown)} ${first.stop_reason}, then ${JSON.stringify(second.content.at(-1).text)} ${second.stop_reason}`;
}

await run([
  ['messages', () => message('claude-standin')],
  ['messages-4MB', () => message('claude-standin', { messages: [{ role: 'user', content: largePrompt }] })],
  ['messages-unknown-fields', () =>
    attempt(async () => {
      const m = await client.messages.create(params('claude-standin-vendor', { vendor: { number: 0.5 } }));
      return `${m.vendor_score} ${JSON.stringify(m.vendor_list)}, ${digest(m)}`;
    })],
  ['messages-raw-bytes', () =>
    attempt(async () => {
      const r = await client.messages.create(params('claude-standin-vendor')).asResponse();
      return `${r.headers.get('anthropic-ratelimit-requests-remaining')} requests left, ${digest(await r.text())}`;
    })],
  ['messages-beta', () =>
    attempt(async () => (await client.beta.messages.create(params('claude-standin', { betas: ['standin-2026-11-01'] }))).content[0].text)],
  ['messages-stream', () => stream('claude-standin')],
  ['messages-stream-one-by-one', () => stream('claude-standin-step')],
  ['messages-stream-unknown-fields', () => stream('claude-standin-vendor')],
  ['messages-stream-error-first', () => stream('claude-standin-errorfirst')],
  ['messages-stream-error-midway', () => stream('claude-standin-errormid')],
  ['messages-stream-cut', () => streamRaises('claude-standin-cut')],
  ['messages-stream-end', () => streamRaises('claude-standin-end')],
  ['messages-stream-abort', async () => {
    let n = 0;
    for await (const event of await client.messages.create(params('claude-standin-endless', { stream: true }))) {
      if (event.type !== 'content_block_delta') continue;
      if (++n === 2) break; // which is how programs abort
      saw();
    }
    return `after ${n}, the upstream saw it: ${await left()}`;
  }],
  ['messages-abort', async () => {
    const abort = new AbortController();
    arrived().then(() => abort.abort());
    const text = await message('claude-standin-hang', {}, { signal: abort.signal });
    return `${text}, the upstream saw it: ${await left()}`;
  }],
  ['messages-deadline', async () => {
    const text = await message('claude-standin-hang', {}, { signal: AbortSignal.timeout(200) });
    return `${text}, the upstream saw it: ${await left()}`;
  }],
  ['tools', () =>
    attempt(async () => {
      const conversation = [{ role: 'user', content: 'How is the weather in Paris?' }];
      const first = await client.messages.create(params('claude-standin', { messages: conversation, tools }));
      const call = first.content[0];
      conversation.push({ role: 'assistant', content: first.content },
        { role: 'user', content: [{ type: 'tool_result', tool_use_id: call.id, content: 'sunny' }] });
      const second = await client.messages.create(params('claude-standin', { messages: conversation, tools }));
      return `${call.name}(${JSON.stringify(call.input)}), then ${second.content[0].text}`;
    })],
  ['tools-stream', () =>
    attempt(async () => {
      const m = await client.messages.stream(params('claude-standin', { tools })).finalMessage();
      return `${m.content[0].name}(${JSON.stringify(m.content[0].input)}) ${m.stop_reason}`;
    })],
  ['tools-runner', () =>
    attempt(async () => {
      const runner = client.beta.messages.toolRunner(params('claude-standin', { tools: [{ ...tools[0], run: ({ city }) => forecast(city), parse: (input) => input }] }));
      return (await runner.runUntilDone()).content[0].text;
    })],
  ['tools-runner-stream', () =>
    attempt(async () => {
      const seen = [];
      const runner = client.beta.messages.toolRunner(params('claude-standin', { stream: true, tools: [{ ...tools[0], run: ({ city }) => forecast(city), parse: (input) => input }] }));
      for await (const turn of runner) seen.push((await turn.finalMessage()).content[0].type);
      return seen.join(', ');
    })],
  ['messages-with-response', () =>
    attempt(async () => {
      const { data, response, request_id: id } = await client.messages.create(params('claude-standin')).withResponse();
      return `${data.id} ${response.status} request ${id}`;
    })],
  ['rich-image', () =>
    message('claude-standin-rich', { messages: [{ role: 'user', content: [
      { type: 'text', text: 'What is this?' },
      { type: 'image', source: { type: 'base64', media_type: 'image/png', data: image } },
    ] }] })],
  ['rich-schema', () =>
    attempt(async () => {
      const m = await client.messages.create(params('claude-standin-rich', { output_config: { format: { type: 'json_schema', schema: weather } } }));
      return JSON.parse(m.content[0].text).city;
    })],
  ['rich-parallel', () => attempt(() => rich((p) => client.messages.create(p)))],
  ['rich-parallel-stream', () => attempt(() => rich((p) => client.messages.stream(p).finalMessage()))],
  ['count-tokens', () => attempt(async () => JSON.stringify(await client.messages.countTokens({ model: 'claude-standin', messages })))],
  ['models', () =>
    attempt(async () => {
      const ids = [];
      let created;
      for await (const m of client.models.list()) {
        ids.push(`${m.id} ${m.display_name}`);
        created = m.created_at;
      }
      return `${ids.length} models ${digest(ids.sort())}, created ${created}`;
    })],
  ['model', () =>
    attempt(async () => {
      const m = await client.models.retrieve('claude-standin');
      return `${m.id} ${m.display_name}, created ${m.created_at}`;
    })],
  ['unknown-model', () => message('claude-unheard-of')],
  ['reset', () => message('claude-standin-reset')],
  ['silent', () => message('claude-standin-silent', {}, { signal: AbortSignal.timeout(2000) })],
  ...statuses.flatMap((status) => [
    [`status-${status}`, () => message(`claude-standin-${status}`)],
    [`stream-status-${status}`, () => stream(`claude-standin-${status}`)],
  ]),
]);
