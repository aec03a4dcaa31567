// What the npm packages "openai" and "@anthropic-ai/sdk" do with things that a
// provider stores. Each id is used without a word about its provider.
import OpenAI, { toFile } from 'openai';
import Anthropic from '@anthropic-ai/sdk';

const { SUITE_URL, SUITE_KEY, SUITE_PROVIDER } = process.env;
const at = { headers: { 'X-Aigateway-Provider': SUITE_PROVIDER } };
const client = new OpenAI({ baseURL: SUITE_URL + '/v1', apiKey: SUITE_KEY, maxRetries: 0 });
const anthropic = new Anthropic({ baseURL: SUITE_URL, apiKey: SUITE_KEY, maxRetries: 0 });
const model = SUITE_PROVIDER + ':m';
const results = [];

const check = async (name, play) => {
  try {
    results.push({ name, text: String(await play()) });
  } catch (err) {
    results.push({ name, text: `failed: ${err.constructor.name} ${err.status ?? ''} ${err.message}` });
  }
};
const same = (got, want) => (got.id === want ? 'same' : `id ${got.id}, not ${want}`);
const count = (page) => `${page.data.length} items`;

const response = await client.responses.create({ model, input: 'hi' });
await check('responses.retrieve', async () => same(await client.responses.retrieve(response.id), response.id));
await check('responses.inputItems', async () => count(await client.responses.inputItems.list(response.id)));
await check('responses.previous', async () => (await client.responses.create({ model: 'm', input: 'more', previous_response_id: response.id })).status);
await check('responses.delete', async () => { await client.responses.delete(response.id); return 'done'; });

const background = await client.responses.create({ model, input: 'hi', background: true });
await check('responses.background', async () => same(await client.responses.retrieve(background.id), background.id));
await check('responses.cancel', async () => same(await client.responses.cancel(background.id), background.id));
let streamed;
for await (const event of await client.responses.create({ model, input: 'hi', stream: true })) {
  if (event.type === 'response.created') streamed = event.response.id;
}
await check('responses.streamed', async () => same(await client.responses.retrieve(streamed), streamed));

const file = await client.files.create({ file: await toFile(Buffer.from('{"a":1}\n'), 'a.jsonl'), purpose: 'batch' }, at);
await check('files.retrieve', async () => same(await client.files.retrieve(file.id), file.id));
await check('files.content', async () => (await (await client.files.content(file.id)).text()).replace(file.id, 'ID').replace('\0', '0'));
const batch = await client.batches.create({ input_file_id: file.id, endpoint: '/v1/responses', completion_window: '24h' });
await check('batches.retrieve', async () => same(await client.batches.retrieve(batch.id), batch.id));
const { output_file_id: output } = await client.batches.retrieve(batch.id);
await check('batches.output', async () => (await (await client.files.content(output)).text()).replace(output, 'ID').replace('\0', '0'));
await check('batches.cancel', async () => same(await client.batches.cancel(batch.id), batch.id));

const conversation = await client.conversations.create({}, at);
await check('conversations.retrieve', async () => same(await client.conversations.retrieve(conversation.id), conversation.id));
await check('conversations.update', async () => same(await client.conversations.update(conversation.id, { metadata: {} }), conversation.id));
await check('conversations.items.create', async () => typeof (await client.conversations.items.create(conversation.id, { items: [] })));
await check('conversations.items.list', async () => count(await client.conversations.items.list(conversation.id)));
await check('conversations.response', async () => (await client.responses.create({ model: 'm', input: 'hi', conversation: conversation.id })).status);
await check('conversations.delete', async () => { await client.conversations.delete(conversation.id); return 'done'; });

const store = await client.vectorStores.create({ file_ids: [file.id] });
await check('vectorStores.retrieve', async () => same(await client.vectorStores.retrieve(store.id), store.id));
await check('vectorStores.search', async () => count(await client.vectorStores.search(store.id, { query: 'a' })));
await check('vectorStores.files.create', async () => typeof (await client.vectorStores.files.create(store.id, { file_id: file.id })));
await check('vectorStores.files.list', async () => count(await client.vectorStores.files.list(store.id)));
await check('vectorStores.delete', async () => { await client.vectorStores.delete(store.id); return 'done'; });

const video = await client.videos.create({ model, prompt: 'a cat' });
await check('videos.retrieve', async () => same(await client.videos.retrieve(video.id), video.id));
await check('videos.content', async () => (await (await client.videos.downloadContent(video.id)).text()).replace(video.id, 'ID').replace('\0', '0'));
await check('videos.remix', async () => { const { id } = await client.videos.remix(video.id, { prompt: 'a dog' }); return same(await client.videos.retrieve(id), id); });
await check('videos.delete', async () => { await client.videos.delete(video.id); return 'done'; });

const container = await client.containers.create({ name: 'c' }, at);
await check('containers.retrieve', async () => same(await client.containers.retrieve(container.id), container.id));
await check('containers.files', async () => count(await client.containers.files.list(container.id)));
await check('containers.content', async () => (await (await client.containers.files.content.retrieve('one', { container_id: container.id })).text()).replace(container.id, 'ID').replace('\0', '0'));
await check('containers.delete', async () => { await client.containers.delete(container.id); return 'done'; });
await check('files.delete', async () => { await client.files.delete(file.id); return 'done'; });

const messages = await anthropic.messages.batches.create(
  { requests: [{ custom_id: 'a', params: { model: 'm', max_tokens: 1, messages: [{ role: 'user', content: 'hi' }] } }] }, at);
await check('messages.batches.retrieve', async () => same(await anthropic.messages.batches.retrieve(messages.id), messages.id));
await check('messages.batches.cancel', async () => same(await anthropic.messages.batches.cancel(messages.id), messages.id));
await check('messages.batches.delete', async () => { await anthropic.messages.batches.delete(messages.id); return 'done'; });

process.stdout.write(JSON.stringify(results), () => process.exit(0));
