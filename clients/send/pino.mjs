// pino with pino-loki as its transport, which sends batches from a worker thread.

import { readFileSync } from 'node:fs';
import { pino } from 'pino';

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const transport = pino.transport({
  target: 'pino-loki',
  options: {
    host: `http://127.0.0.1:${job.ports.http}`,
    labels: { service: job.service },
    batching: { interval: 1 },
  },
});
const logger = pino(transport);
for (const { level, message, id } of job.requests.flat()) {
  logger[level.toLowerCase()]({ meta: { request: id } }, message);
}
// The transport sends what it still has when the process ends.
console.log(JSON.stringify({}));
