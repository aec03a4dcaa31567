// What the scripts share: where to send requests, the side channel to the
// upstream, and how results are told to the Go test that started the script.
import { createHash } from 'node:crypto';

const { SUITE_URL, SUITE_KEY, SUITE_CONTROL, SUITE_ONLY } = process.env;

export const url = SUITE_URL; // without /v1
export const key = SUITE_KEY;

const control = async (path) => (await fetch(SUITE_CONTROL + path, { method: 'POST' })).status === 200;

// saw tells the upstream that one more piece of streamed content is here. It is
// not waited for: the program goes on reading, as programs do.
export const saw = () => void control('/saw');
export const arrived = () => control('/arrived');
export const left = () => control('/left');

// run plays the cases in order, or only those whose names match SUITE_ONLY. A case returns its outcome as one line.
export async function run(cases) {
  const outcomes = [];
  for (const [name, play] of cases.filter(([name]) => new RegExp(SUITE_ONLY ?? '').test(name))) {
    await control('/begin?case=' + encodeURIComponent(name));
    let text;
    try {
      text = await play();
    } catch (err) {
      text = 'uncaught: ' + describe(err);
    }
    outcomes.push({ name, text });
  }
  process.stdout.write(JSON.stringify(outcomes), () => process.exit(0));
}

export const statuses = [400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 500, 503, 504, 529];

export const digest = (value) =>
  createHash('sha256').update(typeof value === 'string' ? value : JSON.stringify(value)).digest('hex').slice(0, 8);

// The headers of an error that a program may act on.
const shown = ['x-request-id', 'request-id', 'retry-after', 'retry-after-ms', 'x-should-retry',
  'x-ratelimit-remaining-requests', 'anthropic-ratelimit-requests-remaining'];

// describe is all that a program can tell an error by. What the gateway says in
// its own words is for its own tests.
export function describe(err) {
  if (err === null || typeof err !== 'object') return `threw ${err}`;
  const get = (name) => (typeof err.headers?.get === 'function' ? err.headers.get(name) : (err.headers ?? err.responseHeaders)?.[name]);
  const parts = [err.constructor.name];
  if (err.statusCode ?? err.status) parts.push(err.statusCode ?? err.status);
  for (const field of ['type', 'code', 'errorCode', 'requestID', 'isRetryable', 'reason']) {
    if (err[field] != null) parts.push(`${field}=${err[field]}`);
  }
  const message = String(err.apiMessage ?? err.error?.message ?? err.message);
  parts.push(message.startsWith('the stand-in ') ? JSON.stringify(message) : '"…"');
  for (const name of shown) if (get(name)) parts.push(`${name}=${get(name)}`);
  if (err.lastError) parts.push('last: ' + describe(err.lastError));
  return parts.join(' ');
}

// attempt runs f and returns what it returned, or its error as text.
export async function attempt(f) {
  try {
    return await f();
  } catch (err) {
    return describe(err);
  }
}

// raised runs f and says only whether it failed: what becomes of a connection
// that is cut while data are under way is up to the runtime.
export async function raised(f) {
  try {
    await f();
    return 'no error';
  } catch {
    return 'raised an error';
  }
}

export const largePrompt = '<é&\u2028>0.70 '.repeat(Math.ceil((4 << 20) / 13));

// audio is what the upstream answers to speech.
export const audio = Uint8Array.from({ length: 100_000 }, (_, i) => (i * 7) & 255);

export const sameBytes = (a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)) === 0;

// image is what the model with the scenario "rich" is shown, in base64.
export const image = 'iVBORw0KGgo=';

// forecast is what the tool weather answers.
export const forecast = (city) => ({ Paris: 'sunny', Rome: 'rainy' })[city];

export const weather = {
  type: 'object',
  properties: { city: { type: 'string' } },
  required: ['city'],
  additionalProperties: false,
};
