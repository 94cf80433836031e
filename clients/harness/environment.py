"""The environment of what a run starts: this one, without what would change what is tested."""

import os

# Settings of nodes, of OpenTelemetry's SDKs, and of where Python and Node.js look for packages.
LEFT_OUT = ("HUSHLOG_", "OTEL_", "PYTHONPATH", "NODE_OPTIONS", "NODE_PATH")
# The node is on this machine, whatever proxy is set; times without a zone are read as UTC.
ADDED = {"NO_PROXY": "127.0.0.1", "no_proxy": "127.0.0.1", "TZ": "UTC", "LC_ALL": "C.UTF-8"}


def plain():
    kept = {name: value for name, value in os.environ.items() if not name.startswith(LEFT_OUT)}
    return kept | ADDED
