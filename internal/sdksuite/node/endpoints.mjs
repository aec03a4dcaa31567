// What the npm packages "openai" and "@anthropic-ai/sdk" do at all other endpoints, by
// their helpers and by AzureOpenAI. state.mjs has the first of each collection.
import OpenAI, { toFile, AzureOpenAI } from 'openai';
import Anthropic, { toFile as toAnthropicFile } from '@anthropic-ai/sdk';

const { SUITE_URL, SUITE_KEY, SUITE_PROVIDER } = process.env;
const headers = { 'X-Aigateway-Provider': SUITE_PROVIDER };
const at = { headers };
const client = new OpenAI({ baseURL: SUITE_URL + '/v1', apiKey: SUITE_KEY, maxRetries: 0 });
const there = client.withOptions({ defaultHeaders: headers });
const azure = new AzureOpenAI({ endpoint: SUITE_URL, apiKey: SUITE_KEY, apiVersion: '2024-10-21', maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: SUITE_URL, apiKey: SUITE_KEY, maxRetries: 0 });
const model = SUITE_PROVIDER + ':m';
const results = [];
const check = async (name, play) => {
  try {
    const r = await play();
    results.push({ name, text: String(r) });
    return r;
  } catch (err) {
    results.push({ name, text: `failed: ${err.constructor.name} ${err.status ?? ''} ${err.message}` });
  }
};
const same = (got, want) => (got.id === want ? 'same' : `id ${got.id}, not ${want}`);
const all = async (page) => { let n = 0; for await (const _ of page) n++; return `${n} items`; };
const messages = [{ role: 'user', content: 'hi' }];
const file = async (name = 'a.jsonl') => toFile(Buffer.from('{"a":1}\n'), name);

// uploads
const upload = await client.uploads.create({ filename: 'b', bytes: 16, mime_type: 'text/plain', purpose: 'batch' }, at);
const parts = [];
for (const chunk of ['12345678', 'abcdefgh']) {
  parts.push((await client.uploads.parts.create(upload.id, { data: await toFile(Buffer.from(chunk)) })).id);
}
await check('uploads.parts', () => parts.length);
await check('uploads.complete', async () => { const u = await client.uploads.complete(upload.id, { part_ids: parts }); return same(await client.files.retrieve(u.file.id), u.file.id); });
const second = await client.uploads.create({ filename: 'b', bytes: 16, mime_type: 'text/plain', purpose: 'batch' }, at);
await check('uploads.cancel', async () => same(await client.uploads.cancel(second.id), second.id));

const made = await client.files.create({ file: await file(), purpose: 'assistants' }, at);
await check('files.withResponse', async () => { const { data, response } = await client.files.retrieve(made.id).withResponse(); return same(data, made.id) + ' ' + response.headers.get('x-aigateway-model'); });
await check('files.asResponse', async () => (await client.files.content(made.id).asResponse()).headers.get('content-type'));

const store = await client.vectorStores.create({ file_ids: [made.id] });
await check('vectorStores.update', async () => same(await client.vectorStores.update(store.id, { name: 'x' }), store.id));
await check('vectorStores.files.retrieve', async () => typeof (await client.vectorStores.files.retrieve(made.id, { vector_store_id: store.id })));
await check('vectorStores.files.update', async () => typeof (await client.vectorStores.files.update(made.id, { vector_store_id: store.id, attributes: {} })));
await check('vectorStores.files.content', async () => all(await client.vectorStores.files.content(made.id, { vector_store_id: store.id })));
await check('vectorStores.files.createAndPoll', async () => (await client.vectorStores.files.createAndPoll(store.id, { file_id: made.id })).status === 'failed');
await check('vectorStores.files.upload', async () => typeof (await there.vectorStores.files.upload(store.id, await file())));
await check('vectorStores.files.uploadAndPoll', async () => (await there.vectorStores.files.uploadAndPoll(store.id, await file())).status === 'failed');
await check('vectorStores.files.delete', async () => typeof (await client.vectorStores.files.delete(made.id, { vector_store_id: store.id })));
await check('vectorStores.fileBatches.create', async () => typeof (await client.vectorStores.fileBatches.create(store.id, { file_ids: [made.id] })));
await check('vectorStores.fileBatches.retrieve', async () => typeof (await client.vectorStores.fileBatches.retrieve('vsfb_1', { vector_store_id: store.id })));
await check('vectorStores.fileBatches.cancel', async () => typeof (await client.vectorStores.fileBatches.cancel('vsfb_1', { vector_store_id: store.id })));
await check('vectorStores.fileBatches.listFiles', async () => all(await client.vectorStores.fileBatches.listFiles('vsfb_1', { vector_store_id: store.id })));
await check('vectorStores.fileBatches.uploadAndPoll', async () => (await there.vectorStores.fileBatches.uploadAndPoll(store.id, { files: [await file(), await file('b.txt')] })).status === 'failed');

const conversation = await client.conversations.create({}, at);
await check('conversations.items.retrieve', async () => typeof (await client.conversations.items.retrieve('msg_1', { conversation_id: conversation.id })));
await check('conversations.items.delete', async () => typeof (await client.conversations.items.delete('msg_1', { conversation_id: conversation.id })));
const response = await client.responses.create({ model, input: 'hi', background: true });
await check('responses.inputItems.all', async () => all(client.responses.inputItems.list(response.id)));
await check('responses.compact', async () => (await client.responses.compact({ model, input: 'hi' })).object);
await check('responses.inputTokens', async () => (await client.responses.inputTokens.count({ model, input: 'hi' })).input_tokens);

const container = await client.containers.create({ name: 'c' }, at);
await check('containers.files.create', async () => typeof (await client.containers.files.create(container.id, { file: await file() })));
await check('containers.files.retrieve', async () => typeof (await client.containers.files.retrieve('one', { container_id: container.id })));
await check('containers.files.delete', async () => { await client.containers.files.delete('one', { container_id: container.id }); return 'done'; });
const video = await client.videos.create({ model, prompt: 'a cat', input_reference: await file('a.png') });
await check('videos.form', async () => same(await client.videos.retrieve(video.id), video.id));

await check('audio.speech', async () => (await (await client.audio.speech.create({ model, input: 'hi', voice: 'alloy' })).arrayBuffer()).byteLength > 0);
await check('audio.transcriptions', async () => typeof (await client.audio.transcriptions.create({ model, file: await file('a.mp3') })).text);
await check('audio.translations', async () => typeof (await client.audio.translations.create({ model, file: await file('a.mp3') })).text);
await check('images.generate', async () => typeof (await client.images.generate({ model, prompt: 'x' })).data[0].b64_json);
await check('images.edit', async () => typeof (await client.images.edit({ model, prompt: 'x', image: [await file('a.png'), await file('b.png')] })).data[0].b64_json);
await check('images.createVariation', async () => typeof (await client.images.createVariation({ model, image: await file('a.png') })).data[0].b64_json);
await check('moderations', async () => (await client.moderations.create({ model, input: 'x' })).results[0].flagged === false);
await check('embeddings', async () => (await client.embeddings.create({ model, input: 'x', encoding_format: 'float' })).data[0].embedding.length);
await check('completions', async () => typeof (await client.completions.create({ model, prompt: 'x' })).choices[0].text);
await check('models', async () => all(client.models.list()));

// azure
await check('azure.chat', async () => typeof (await azure.chat.completions.create({ model, messages })).choices[0].message.content);
await check('azure.embeddings', async () => (await azure.embeddings.create({ model, input: 'x', encoding_format: 'float' })).data[0].embedding.length);
await check('azure.transcriptions', async () => typeof (await azure.audio.transcriptions.create({ model, file: await file('a.mp3') })).text);
await check('azure.images', async () => typeof (await azure.images.generate({ model, prompt: 'x' })).data[0].b64_json);
await check('azure.files', async () => { const f = await azure.files.create({ file: await file(), purpose: 'batch' }, at); return same(await azure.files.retrieve(f.id), f.id); });
await check('azure.responses', async () => { const r = await azure.responses.create({ model, input: 'hi' }); return same(await azure.responses.retrieve(r.id), r.id); });

// anthropic
await check('messages.countTokens', async () => (await anthropic.messages.countTokens({ model, messages })).input_tokens);
const kept = await anthropic.beta.files.upload({ file: await toAnthropicFile(Buffer.from('x'), 'a.txt', { type: 'text/plain' }) }, at);
await check('beta.files.retrieveMetadata', async () => same(await anthropic.beta.files.retrieveMetadata(kept.id), kept.id));
await check('beta.files.download', async () => (await (await anthropic.beta.files.download(kept.id)).text()).startsWith('\0bytes'));
await check('beta.files.used', async () => typeof (await anthropic.beta.messages.create({ model: 'm', max_tokens: 5, betas: ['files-api-2025-04-14'], messages: [{ role: 'user', content: [{ type: 'document', source: { type: 'file', file_id: kept.id } }] }] })).content[0].text);
await check('beta.files.delete', async () => typeof (await anthropic.beta.files.delete(kept.id)));
const batch = await anthropic.beta.messages.batches.create({ requests: [{ custom_id: 'a', params: { model: 'm', max_tokens: 1, messages } }] }, at);
await check('beta.messages.batches.retrieve', async () => same(await anthropic.beta.messages.batches.retrieve(batch.id), batch.id));
await check('beta.messages.batches.cancel', async () => same(await anthropic.beta.messages.batches.cancel(batch.id), batch.id));
await check('anthropic.models', async () => all(anthropic.models.list({ limit: 1 })));
await check('anthropic.model', async () => (await anthropic.models.retrieve('m')).id);
await check('anthropic.beta.models', async () => all(anthropic.beta.models.list({ limit: 1 })));
const weather = { name: 'weather', input_schema: { type: 'object' }, run: () => 'sunny', parse: (input) => input };
await check('anthropic.toolRunner', async () => (await anthropic.beta.messages.toolRunner({ model, max_tokens: 5, messages, tools: [weather] }).runUntilDone()).content[0].text);
await check('anthropic.thread', async () => {
  const thread = anthropic.beta.messages.thread({ model, max_tokens: 5 });
  const first = await thread.send({ role: 'user', content: 'hi' });
  thread.update({ model: 'm' }); // nothing but the thread tells the provider now
  const second = await thread.send({ role: 'user', content: 'more' });
  const third = await thread.stream({ role: 'user', content: 'more' }).finalMessage();
  return new Set([first.id, second.id, third.id]).size;
});
process.stdout.write(JSON.stringify(results), () => process.exit(0));
