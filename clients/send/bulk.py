"""`helpers.bulk` of elasticsearch-py or opensearch-py; the second argument says which."""

import importlib
import json
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    job = json.load(file)
package = importlib.import_module(sys.argv[2])
helpers = importlib.import_module(f"{sys.argv[2]}.helpers")
if sys.argv[2] == "elasticsearch":
    client = package.Elasticsearch(f"http://127.0.0.1:{job['ports']['elasticsearch']}")
else:
    client = package.OpenSearch(f"http://127.0.0.1:{job['ports']['http']}/es", http_compress=True)


def document(record):
    return {
        "_op_type": "create",
        "_index": "shop",
        "_id": record["id"],
        "@timestamp": record["time"],
        "log": {"level": record["level"].lower()},
        "service": {"name": job["service"]},
        "message": record["message"],
    }


# The questions that people ask first.
assert client.info()["tagline"] == "You Know, for Search"
assert client.cluster.health()["status"] == "green"

taken, refused = [], []
for request in job["requests"]:
    done, errors = helpers.bulk(
        client, map(document, request), raise_on_error=False, max_retries=5, initial_backoff=1
    )
    taken.append(done)
    refused += [item["create"]["_id"] for item in errors if item["create"]["status"] == 400]
print(json.dumps({"taken": taken, "refused": refused}))
