"""OpenTelemetry's Python SDK behind the standard `logging`; the exporter is the second argument."""

import importlib
import json
import logging
import os
import sys

from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor
from opentelemetry.sdk.resources import Resource

with open(sys.argv[1], encoding="utf-8") as file:
    job = json.load(file)
form = sys.argv[2]
# As many set it; the JavaScript SDK sends without.
os.environ["OTEL_EXPORTER_OTLP_COMPRESSION"] = "gzip"
module = importlib.import_module(f"opentelemetry.exporter.otlp.{form.replace('-', '.')}._log_exporter")
# Over HTTP, protobuf goes to the port of OTLP alone and JSON to that of everything.
options = {
    "proto-grpc": {"endpoint": f"http://127.0.0.1:{job['ports']['grpc']}", "insecure": True},
    "proto-http": {"endpoint": f"http://127.0.0.1:{job['ports']['otlp']}/v1/logs"},
    "json-http": {"endpoint": f"http://127.0.0.1:{job['ports']['http']}/v1/logs"},
}[form]

provider = LoggerProvider(resource=Resource.create({"service.name": job["service"]}))
# The delay is longer than the run, so that each flush is one request.
processor = BatchLogRecordProcessor(module.OTLPLogExporter(**options), schedule_delay_millis=600_000)
provider.add_log_record_processor(processor)
logger = logging.getLogger("shop")
logger.setLevel(logging.DEBUG)
logger.propagate = False
logger.addHandler(LoggingHandler(logger_provider=provider))

for request in job["requests"]:
    for record in request:
        made = logger.makeRecord("shop", getattr(logging, record["level"]), __file__, 1, record["message"], (), None)
        made.created = int(record["time_ns"]) / 1e9
        logger.handle(made)
    provider.force_flush()
provider.shutdown()
print(json.dumps({}))
