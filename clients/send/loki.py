"""python-logging-loki: a handler of the standard `logging`, which sends each record by itself."""

import json
import logging
import sys

import logging_loki

with open(sys.argv[1], encoding="utf-8") as file:
    job = json.load(file)
refused = []


class Handler(logging_loki.LokiHandler):
    """Remembers what it could not deliver, instead of printing it."""

    def handleError(self, record):  # noqa: N802
        self.emitter.close()
        refused.append(record.id)


url = f"http://127.0.0.1:{job['ports']['http']}/loki/api/v1/push"
logger = logging.getLogger("shop")
logger.setLevel(logging.DEBUG)
logger.addHandler(Handler(url=url, tags={"service": job["service"]}, version="1"))
for request in job["requests"]:
    for record in request:
        logger.log(getattr(logging, record["level"]), record["message"], extra={"id": record["id"]})
print(json.dumps({"refused": refused}))
