// A session of the npm package "openai" over the WebSocket of Node.js. It prints each
// event's type, and how the session ended.
import OpenAI from 'openai';
import { OpenAIRealtimeWebSocket } from 'openai/realtime/websocket';

const { SUITE_URL, SUITE_KEY } = process.env;
const client = new OpenAI({ baseURL: SUITE_URL + '/v1', apiKey: SUITE_KEY });
const session = new OpenAIRealtimeWebSocket({ model: 'm' }, client);
const seen = [];

session.on('error', (err) => seen.push('failed: ' + err.message));
session.on('event', (event) => {
  seen.push(event.type);
  switch (event.type) {
    case 'session.created':
      session.send({ type: 'conversation.item.create', item: { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'hé' }] } });
      break;
    case 'conversation.item.created':
      seen.push(event.item.content[0].text);
      session.send({ type: 'response.create' });
      break;
    case 'response.output_text.delta':
      seen.push(event.delta.length);
      break;
    case 'response.done':
      session.close({ code: 1000, reason: 'done' });
  }
});
session.socket.addEventListener('close', (event) => {
  seen.push(`closed ${event.code} ${session.socket.protocol}`);
  console.log(JSON.stringify(seen));
});
