// winston with winston-loki as its transport, which sends batches in protobuf and snappy.

import { readFileSync } from 'node:fs';
import winston from 'winston';
import LokiTransport from 'winston-loki';

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const transport = new LokiTransport({
  host: `http://127.0.0.1:${job.ports.http}`,
  labels: { service: job.service },
  format: winston.format.json(),
  interval: 1,
});
// Without its native part it falls back to JSON, which is tested with others.
if (transport.batcher.contentType !== 'application/x-protobuf') throw new Error('snappy is missing');

const logger = winston.createLogger({ transports: [transport] });
for (const { level, message } of job.requests.flat()) {
  logger[level.toLowerCase()](message);
}
await transport.flush();
await transport.close();
console.log(JSON.stringify({}));
