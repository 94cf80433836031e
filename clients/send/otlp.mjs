// OpenTelemetry's JavaScript SDK; the exporter is the second argument: grpc, proto or http (which sends JSON).

import { readFileSync } from 'node:fs';
import { diag } from '@opentelemetry/api';
import { resourceFromAttributes } from '@opentelemetry/resources';
import { BatchLogRecordProcessor, LoggerProvider } from '@opentelemetry/sdk-logs';

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const form = process.argv[3];
const url = {
  grpc: `http://127.0.0.1:${job.ports.grpc}`,
  proto: `http://127.0.0.1:${job.ports.otlp}/v1/logs`,
  http: `http://127.0.0.1:${job.ports.http}/v1/logs`,
}[form];
const severities = { INFO: 9, WARN: 13, ERROR: 17 };

// The SDK tells its user of records that were rejected by a warning, and of failures by an error.
let rejected = 0;
const nothing = () => {};
diag.setLogger({
  verbose: nothing,
  debug: nothing,
  info: nothing,
  warn: (text, partial) => {
    if (text.startsWith('Received Partial Success')) {
      rejected += Number(JSON.parse(partial).rejectedLogRecords);
    }
  },
  error: console.error,
});

const { OTLPLogExporter } = await import(`@opentelemetry/exporter-logs-otlp-${form}`);
// The delay is longer than the run, so that each flush is one request.
const processor = new BatchLogRecordProcessor({
  exporter: new OTLPLogExporter({ url }),
  scheduledDelayMillis: 600_000,
});
const provider = new LoggerProvider({
  resource: resourceFromAttributes({ 'service.name': job.service }),
  processors: [processor],
});
const logger = provider.getLogger('shop');

for (const request of job.requests) {
  for (const { level, message, time_ns } of request) {
    const nanos = BigInt(time_ns);
    const timestamp = [Number(nanos / 1_000_000_000n), Number(nanos % 1_000_000_000n)];
    logger.emit({ timestamp, severityNumber: severities[level], severityText: level, body: message });
  }
  await provider.forceFlush();
}
await provider.shutdown();
console.log(JSON.stringify({ rejected }));
