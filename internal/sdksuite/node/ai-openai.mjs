// The npm package "ai" with @ai-sdk/openai, which speaks the responses surface.
import { createOpenAI } from '@ai-sdk/openai';
import { embed, experimental_generateSpeech as generateSpeech, experimental_transcribe as transcribe } from 'ai';
import { textCases } from './ai-cases.mjs';
import { attempt, audio, key, run, sameBytes, url } from './harness.mjs';

const openai = createOpenAI({ baseURL: url + '/v1', apiKey: key });

await run([
  ...textCases((id) => openai(id)),
  ['embeddings', () => attempt(async () => JSON.stringify((await embed({ model: openai.embedding('embed-standin'), value: 'hello' })).embedding))],
  ['transcription', () => attempt(async () => (await transcribe({ model: openai.transcription('transcribe-standin'), audio })).text)],
  ['speech', () =>
    attempt(async () => {
      const r = await generateSpeech({ model: openai.speech('speech-standin'), text: 'hello' });
      return `all bytes: ${sameBytes(r.audio.uint8Array, audio)}`;
    })],
]);
