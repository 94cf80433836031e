"""What a run asks the node: the public interface, over plain HTTP."""

import json
from urllib.request import ProxyHandler, Request, build_opener

SECONDS = 10

# The node is on this machine, whatever proxy the environment names.
OPENER = build_opener(ProxyHandler({}))


class Api:
    """`/api/v1` of one node."""

    def __init__(self, url):
        self.url = url

    def is_ready(self):
        with OPENER.open(f"{self.url}/readyz", timeout=SECONDS) as answer:
            return answer.status == 200

    def search(self, query, limit=10):
        """The whole answer to a query string."""
        return self._send("POST", "/api/v1/logs/query", {"query": query, "limit": limit})

    def ledger(self):
        """The node's books of what came in and what is stored."""
        return self._send("GET", "/api/v1/ledger")

    def limit(self, service, records_per_second):
        """Lets a service send so many records a second."""
        self._send("PUT", f"/api/v1/limits/{service}", {"records_per_second": records_per_second})

    def _send(self, method, path, body=None):
        data = None if body is None else json.dumps(body).encode()
        headers = {"Content-Type": "application/json"}
        request = Request(self.url + path, data=data, headers=headers, method=method)
        with OPENER.open(request, timeout=SECONDS) as answer:
            return json.load(answer)
