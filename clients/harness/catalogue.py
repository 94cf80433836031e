"""The clients: what each needs, how it is run, and what its protocol carries."""

from dataclasses import dataclass
from typing import Any

from .needs import Debian, JavaScript, Plain, Python


@dataclass(frozen=True)
class Client:
    """One client; its records have its name as their service."""

    name: str
    needs: Any
    # Script in `send/` and its arguments behind the job.
    script: tuple
    # A daemon that the script feeds: its configuration in `daemons/`.
    daemon: str | None = None
    # Nanoseconds by which a given time may be off; None where the client sends the time of sending.
    time_ns: int | None = None
    # The ids of its documents are those of the records, so that it may repeat itself.
    keeps_ids: bool = False
    # It, or its script as its documentation asks, comes again after a refusal with 429.
    comes_again: bool = False
    # What it reports when one of its records is rejected: "ids", "number", "nothing" although one is; None: it sends none.
    rejection: str | None = None

    @property
    def service(self):
        return f"clients-{self.name}"


OTEL = Python("otel")
OTEL_JSON = Python("otel-json")
NPM = JavaScript()
RSYSLOG = Debian("rsyslogd", ("rsyslog", "rsyslog-elasticsearch"))
SYSLOG_NG = Debian("syslog-ng", ("syslog-ng-core", "syslog-ng-mod-http", "syslog-ng-scl"))

# Python's `logging` has times in floating point.
FLOAT_NS = 1_000


def otlp(name, needs, script, comes_again=True, **carries):
    return Client(name, needs, script, comes_again=comes_again, **carries)


def bulk(name, needs, script):
    return Client(name, needs, script, time_ns=0, keeps_ids=True, comes_again=True, rejection="ids")


def fed(name, needs, daemon):
    """A daemon that gets its records from `logger` on a socket of its own."""
    return Client(name, needs, ("logger.py",), daemon=daemon)


CLIENTS = [
    otlp("otlp-grpc-python", OTEL, ("otlp.py", "proto-grpc"), time_ns=FLOAT_NS, rejection="nothing"),
    otlp("otlp-http-python", OTEL, ("otlp.py", "proto-http"), time_ns=FLOAT_NS, rejection="nothing"),
    otlp("otlp-json-python", OTEL_JSON, ("otlp.py", "json-http"), time_ns=FLOAT_NS, rejection="nothing"),
    # Its exporter never comes again, whatever the status: `GrpcExporterTransport` of 0.301.0.
    otlp("otlp-grpc-javascript", NPM, ("otlp.mjs", "grpc"), comes_again=False, time_ns=0, rejection="number"),
    otlp("otlp-http-javascript", NPM, ("otlp.mjs", "proto"), time_ns=0, rejection="number"),
    otlp("otlp-json-javascript", NPM, ("otlp.mjs", "http"), time_ns=0, rejection="number"),
    bulk("elasticsearch-py-8", Python("elasticsearch8"), ("bulk.py", "elasticsearch")),
    bulk("elasticsearch-py-9", Python("elasticsearch9"), ("bulk.py", "elasticsearch")),
    bulk("opensearch-py", Python("opensearch"), ("bulk.py", "opensearchpy")),
    bulk("elasticsearch-js", NPM, ("bulk.mjs",)),
    Client("python-logging-loki", Python("loki"), ("loki.py",), rejection="ids"),
    Client("pino-loki", NPM, ("pino.mjs",)),
    Client("winston-loki", NPM, ("winston.mjs",)),
    Client("python-syslog-udp", Plain(), ("syslog.py", "udp")),
    Client("python-syslog-tcp", Plain(), ("syslog.py", "tcp")),
    Client("logger-tcp-counted", Plain("logger"), ("logger.py", "--tcp", "--octet-count", "--rfc5424")),
    Client("logger-tcp-lines", Plain("logger"), ("logger.py", "--tcp", "--rfc3164")),
    Client("logger-udp", Plain("logger"), ("logger.py", "--udp", "--rfc3164")),
    fed("rsyslog-tcp", RSYSLOG, "rsyslog-tcp.conf"),
    fed("rsyslog-udp", RSYSLOG, "rsyslog-udp.conf"),
    fed("rsyslog-elasticsearch", RSYSLOG, "rsyslog-elasticsearch.conf"),
    fed("syslog-ng-tcp", SYSLOG_NG, "syslog-ng-tcp.conf"),
    fed("syslog-ng-udp", SYSLOG_NG, "syslog-ng-udp.conf"),
    fed("syslog-ng-elasticsearch", SYSLOG_NG, "syslog-ng-elasticsearch.conf"),
]
