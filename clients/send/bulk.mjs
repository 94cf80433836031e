// `helpers.bulk` of @elastic/elasticsearch.

import { readFileSync } from 'node:fs';
import { setTimeout } from 'node:timers/promises';
import { Client } from '@elastic/elasticsearch';

const job = JSON.parse(readFileSync(process.argv[2], 'utf8'));
const client = new Client({ node: `http://127.0.0.1:${job.ports.http}/es` });

const taken = [];
const refused = [];

async function bulk(request) {
  try {
    const result = await client.helpers.bulk({
      datasource: request,
      onDocument: (record) => [
        { create: { _index: 'shop', _id: record.id } },
        {
          '@timestamp': record.time,
          log: { level: record.level.toLowerCase() },
          service: { name: job.service },
          message: record.message,
        },
      ],
      onDrop: ({ status, operation }) => refused.push(status === 400 ? operation.create._id : status),
    });
    taken.push(result.successful);
  } catch (error) {
    // The helper comes again for single items only, never for a request that is refused whole.
    if (error.statusCode !== 429) throw error;
    await setTimeout(1000 * Number(error.headers['retry-after']));
    await bulk(request);
  }
}

for (const request of job.requests) await bulk(request);
console.log(JSON.stringify({ taken, refused }));
