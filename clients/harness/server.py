"""One `hushlog serve` on free ports of 127.0.0.1, with a data folder of its own."""

import socket
import time
from urllib.error import URLError

from .api import Api
from .environment import plain
from .processes import Failed, ends_within, quoted

READY_SECONDS = 60

# Flag of each interface that a client may speak to.
INTERFACES = {
    "http": "--http",
    "grpc": "--grpc",
    "otlp": "--listen-otlp",
    "elasticsearch": "--listen-elasticsearch",
    "syslog_tcp": "--listen-syslog-tcp",
    "syslog_udp": "--listen-syslog-udp",
}


# Another process may take a port between its choice and its use.
ATTEMPTS = 3


def started(processes, binary, folder):
    """A node that is ready, on ports that were free."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return Server(processes, binary, folder)
        except Failed as failed:
            if attempt == ATTEMPTS or "in use" not in str(failed):
                raise


class Server:
    """A node that is ready. `ports` has the port of every interface."""

    def __init__(self, processes, binary, folder):
        self.ports = free_ports()
        self.log = folder / "hushlog.log"
        self.api = Api(f"http://127.0.0.1:{self.ports['http']}")
        command = [binary, "serve", "--data", folder / "data"]
        for interface, flag in INTERFACES.items():
            command += [flag, f"127.0.0.1:{self.ports[interface]}"]
        self._process = processes.start(command, self.log, env=plain())
        self._wait(processes.deadline.left(READY_SECONDS))

    def has_ended(self):
        return ends_within(self._process, 0)

    def _wait(self, seconds):
        end = time.monotonic() + seconds
        while not self._is_ready():
            if self.has_ended():
                raise Failed(f"hushlog serve has ended{quoted(self.log)}")
            if time.monotonic() > end:
                raise Failed(f"hushlog serve was not ready in {seconds:.0f} s{quoted(self.log)}")
            time.sleep(0.1)

    def _is_ready(self):
        try:
            return self.api.is_ready()
        except (URLError, OSError):
            return False


def free_ports():
    """A free port for each interface, free for both TCP and UDP."""
    ports, held = {}, []
    try:
        for interface in INTERFACES:
            tcp, udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
            held += [tcp, udp]
            tcp.bind(("127.0.0.1", 0))
            ports[interface] = tcp.getsockname()[1]
            udp.bind(("127.0.0.1", ports[interface]))
    finally:
        for each in held:
            each.close()
    return ports
