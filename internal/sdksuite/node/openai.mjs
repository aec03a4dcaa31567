// The npm package "openai".
import OpenAI, { toFile } from 'openai';
import { arrived, attempt, audio, describe, digest, forecast, image, key, largePrompt, left, raised, run, sameBytes, saw, statuses, url, weather } from './harness.mjs';

const client = new OpenAI({ baseURL: url + '/v1', apiKey: key });

const messages = [{ role: 'user', content: 'Say hello.' }];

const chat = (model, content = 'Say hello.', options) =>
  attempt(async () => {
    const c = await client.chat.completions.create({ model, messages: [{ role: 'user', content }] }, options);
    return `${c.id} ${JSON.stringify(c.choices[0].message.content)} ${c.choices[0].finish_reason}, ${c.usage.prompt_tokens}+${c.usage.completion_tokens} tokens, request ${c._request_id}, ${digest(c)}`;
  });

async function readChat(model) {
  const pieces = [];
  const all = [];
  let finish;
  let failure = 'no error';
  try {
    const stream = await client.chat.completions.create({ model, messages, stream: true, stream_options: { include_usage: true } });
    for await (const chunk of stream) {
      all.push(chunk);
      const choice = chunk.choices[0];
      finish = choice?.finish_reason ?? finish;
      if (choice?.delta?.content) {
        pieces.push(choice.delta.content);
        saw();
      }
    }
  } catch (err) {
    failure = describe(err);
  }
  return { text: `${JSON.stringify(pieces)} finish ${finish}, ${failure}, ${digest(all)}`, failure };
}

const stream = async (model) => (await readChat(model)).text;
const streamRaises = (read) => raised(async () => {
  if ((await read()).failure !== 'no error') throw new Error();
});

async function readResponse(model, extra = {}) {
  const pieces = [];
  const all = [];
  let failure = 'no error';
  try {
    for await (const event of await client.responses.create({ model, input: 'Say hello.', stream: true, ...extra })) {
      all.push(event);
      if (event.type === 'response.output_text.delta' || event.type === 'response.function_call_arguments.delta') {
        pieces.push(event.delta);
        saw();
      }
    }
  } catch (err) {
    failure = describe(err);
  }
  return { text: `${JSON.stringify(pieces)} last ${all.at(-1)?.type}, ${failure}, ${digest(all)}`, failure };
}

const response = (model, extra = {}) =>
  attempt(async () => {
    const r = await client.responses.create({ model, input: 'Say hello.', ...extra });
    return `${r.id} ${r.output[0].type} ${JSON.stringify(r.output_text)} ${r.status}, ${digest(r)}`;
  });

const responseTools = { tools: [{ type: 'function', name: 'weather', parameters: weather, strict: true }] };
const chatTools = [{ type: 'function', function: { name: 'weather', parameters: weather } }];

// richChat has the model reason and call two tools at once, and gives all of it back.
async function richChat(send) {
  const conversation = [{ role: 'user', content: 'How is the weather in Paris and Rome?' }];
  const ask = () => send({ model: 'gpt-standin-rich', reasoning_effort: 'low', messages: conversation, tools: chatTools });
  const first = (await ask()).choices[0];
  const calls = first.message.tool_calls;
  conversation.push(first.message,
    ...calls.map((c) => ({ role: 'tool', tool_call_id: c.id, content: forecast(JSON.parse(c.function.arguments).city) })));
  const second = (await ask()).choices[0];
  const shown = [first.message.reasoning_content, first.message.content, ...calls.map((c) => `${c.function.name}(${c.function.arguments})`)];
  return `${JSON.stringify(shown)} ${first.finish_reason}, then ${JSON.stringify(second.message.content)} ${second.finish_reason}`;
}

// richResponses does the same with responses.
async function richResponses(send) {
  const input = [{ role: 'user', content: 'How is the weather in Paris and Rome?' }];
  const ask = () => send({ model: 'gpt-standin-rich', reasoning: { effort: 'low', summary: 'auto' }, store: false,
    include: ['reasoning.encrypted_content'], input, ...responseTools });
  const first = await ask();
  const calls = first.output.filter((i) => i.type === 'function_call');
  input.push(...first.output, ...calls.map((c) => ({ type: 'function_call_output', call_id: c.call_id, output: forecast(JSON.parse(c.arguments).city) })));
  const second = await ask();
  const shown = first.output.map((i) => i.summary?.[0]?.text ?? i.content?.[0]?.text ?? `${i.name}(${i.arguments})`);
  return `${JSON.stringify(shown)} ${first.status}, then ${JSON.stringify(second.output_text)} ${second.status}`;
}

await run([
  ['chat', () => chat('gpt-standin')],
  ['chat-4MB', () => chat('gpt-standin', largePrompt)],
  ['chat-unknown-fields', () =>
    attempt(async () => {
      const c = await client.chat.completions.create({ model: 'gpt-standin-vendor', messages, enable_thinking: false, vendor: { number: 0.5 } });
      return `${c.vendor_score} ${JSON.stringify(c.vendor_list)}, ${digest(c)}`;
    })],
  ['chat-raw-bytes', () =>
    attempt(async () => {
      const r = await client.chat.completions.create({ model: 'gpt-standin-vendor', messages }).asResponse();
      return `${r.headers.get('x-ratelimit-remaining-requests')} requests left, ${digest(await r.text())}`;
    })],
  ['chat-stream', () => stream('gpt-standin')],
  ['chat-stream-one-by-one', () => stream('gpt-standin-step')],
  ['chat-stream-unknown-fields', () => stream('gpt-standin-vendor')],
  ['chat-stream-error-first', () => stream('gpt-standin-errorfirst')],
  ['chat-stream-error-midway', () => stream('gpt-standin-errormid')],
  ['chat-stream-cut', () => streamRaises(() => readChat('gpt-standin-cut'))],
  ['chat-stream-end', () => streamRaises(() => readChat('gpt-standin-end'))],
  ['chat-stream-abort', async () => {
    const s = await client.chat.completions.create({ model: 'gpt-standin-endless', messages, stream: true });
    let n = 0;
    for await (const chunk of s) {
      if (!chunk.choices[0]?.delta?.content) continue;
      if (++n === 2) break; // which is how programs abort
      saw();
    }
    return `after ${n}, the upstream saw it: ${await left()}`;
  }],
  ['chat-abort', async () => {
    const abort = new AbortController();
    arrived().then(() => abort.abort());
    const text = await chat('gpt-standin-hang', 'Say hello.', { signal: abort.signal });
    return `${text}, the upstream saw it: ${await left()}`;
  }],
  ['chat-deadline', async () => {
    const text = await chat('gpt-standin-hang', 'Say hello.', { signal: AbortSignal.timeout(200) });
    return `${text}, the upstream saw it: ${await left()}`;
  }],
  ['tools', () =>
    attempt(async () => {
      const conversation = [{ role: 'user', content: 'How is the weather in Paris?' }];
      const first = await client.chat.completions.create({ model: 'gpt-standin', messages: conversation, tools: chatTools });
      const call = first.choices[0].message.tool_calls[0];
      conversation.push(first.choices[0].message, { role: 'tool', tool_call_id: call.id, content: 'sunny' });
      const second = await client.chat.completions.create({ model: 'gpt-standin', messages: conversation, tools: chatTools });
      return `${call.function.name}(${call.function.arguments}), then ${second.choices[0].message.content}`;
    })],
  ['tools-stream', () =>
    attempt(async () => {
      const c = await client.chat.completions.stream({ model: 'gpt-standin', messages, tools: chatTools }).finalChatCompletion();
      const call = c.choices[0].message.tool_calls[0];
      return `${call.function.name}(${call.function.arguments}) ${c.choices[0].finish_reason}`;
    })],
  ['tools-run', () =>
    attempt(async () => {
      const run = { ...chatTools[0].function, function: ({ city }) => forecast(city), parse: JSON.parse };
      return await client.chat.completions.runTools({ model: 'gpt-standin', messages, tools: [{ type: 'function', function: run }] }).finalContent();
    })],
  ['chat-with-response', () =>
    attempt(async () => {
      const { data, response, request_id: id } = await client.chat.completions.create({ model: 'gpt-standin', messages }).withResponse();
      return `${data.id} ${response.status} request ${id}`;
    })],
  ['responses', () => response('gpt-standin')],
  ['responses-unknown-fields', () => response('gpt-standin-vendor')],
  ['responses-tools', () => response('gpt-standin', responseTools)],
  ['responses-stream', async () => (await readResponse('gpt-standin')).text],
  ['responses-stream-one-by-one', async () => (await readResponse('gpt-standin-step')).text],
  ['responses-stream-tools', async () => (await readResponse('gpt-standin', responseTools)).text],
  ['responses-stream-error-first', async () => (await readResponse('gpt-standin-errorfirst')).text],
  ['responses-stream-error-midway', async () => (await readResponse('gpt-standin-errormid')).text],
  ['responses-stream-cut', () => streamRaises(() => readResponse('gpt-standin-cut'))],
  ['responses-stream-end', () => streamRaises(() => readResponse('gpt-standin-end'))],
  ['chat-rich-image', () =>
    chat('gpt-standin-rich', [{ type: 'text', text: 'What is this?' }, { type: 'image_url', image_url: { url: `data:image/png;base64,${image}` } }])],
  ['chat-rich-schema', () =>
    attempt(async () => {
      const c = await client.chat.completions.parse({ model: 'gpt-standin-rich', messages,
        response_format: { type: 'json_schema', json_schema: { name: 'place', strict: true, schema: weather } } });
      return JSON.parse(c.choices[0].message.content).city;
    })],
  ['chat-rich-parallel', () => attempt(() => richChat((p) => client.chat.completions.create(p)))],
  ['chat-rich-parallel-stream', () => attempt(() => richChat((p) => client.chat.completions.stream(p).finalChatCompletion()))],
  ['responses-rich-image', () =>
    response('gpt-standin-rich', { input: [{ role: 'user', content: [{ type: 'input_text', text: 'What is this?' }, { type: 'input_image', image_url: `data:image/png;base64,${image}` }] }] })],
  ['responses-rich-schema', () =>
    attempt(async () => {
      const r = await client.responses.parse({ model: 'gpt-standin-rich', input: 'Say hello.',
        text: { format: { type: 'json_schema', name: 'place', strict: true, schema: weather } } });
      return r.output_parsed?.city ?? JSON.parse(r.output_text).city;
    })],
  ['responses-rich-parallel', () => attempt(() => richResponses((p) => client.responses.create(p)))],
  ['responses-rich-parallel-stream', () => attempt(() => richResponses((p) => client.responses.stream(p).finalResponse()))],
  ['embeddings', () =>
    attempt(async () => {
      const e = await client.embeddings.create({ model: 'embed-standin', input: 'hello' });
      return `${JSON.stringify(Array.from(e.data[0].embedding))} ${e.usage.total_tokens}`;
    })],
  ['transcription', () =>
    attempt(async () => (await client.audio.transcriptions.create({ file: await toFile(audio, 'speech.mp3'), model: 'transcribe-standin' })).text)],
  ['speech', () =>
    attempt(async () => {
      const r = await client.audio.speech.create({ model: 'speech-standin', input: 'hello', voice: 'alloy' });
      return `${r.headers.get('content-type')}, all bytes: ${sameBytes(await r.arrayBuffer(), audio)}`;
    })],
  ['models', () =>
    attempt(async () => {
      const ids = [];
      let created;
      for await (const m of client.models.list()) {
        ids.push(`${m.id} by ${m.owned_by}`);
        created = m.created;
      }
      return `${ids.length} models ${digest(ids.sort())}, created ${created}`;
    })],
  ['model', () =>
    attempt(async () => {
      const m = await client.models.retrieve('gpt-standin');
      return `${m.id} by ${m.owned_by}, created ${m.created}`;
    })],
  ['unknown-model', () => chat('gpt-unheard-of')],
  ['reset', () => chat('gpt-standin-reset')],
  ['silent', () => chat('gpt-standin-silent', 'Say hello.', { signal: AbortSignal.timeout(2000) })],
  ...statuses.flatMap((status) => [
    [`status-${status}`, () => chat(`gpt-standin-${status}`)],
    [`stream-status-${status}`, () => stream(`gpt-standin-${status}`)],
  ]),
]);
