"""A syslog daemon in the foreground, with a configuration and a socket of its own."""

import time
from contextlib import contextmanager
from pathlib import Path

from .environment import plain
from .processes import Failed, ends_within, quoted

CONFIGURATIONS = Path(__file__).parent.parent / "daemons"
READY_SECONDS = 15


@contextmanager
def daemon(client, installed, ports, processes, folder):
    """Runs it until the block is left; gives the path of the socket that it reads."""
    socket = folder / "socket"
    values = {"work": folder, "socket": socket, "root": installed.root, **ports}
    text = (CONFIGURATIONS / client.daemon).read_text()
    for name, value in values.items():
        text = text.replace(f"<<{name}>>", str(value))
    configuration = folder / client.daemon
    configuration.write_text(text)
    command = COMMANDS[Path(installed.daemon).name](installed, configuration, folder)
    log = folder / "daemon.log"
    process = processes.start(command, log, env=plain() | {"LD_LIBRARY_PATH": installed.libraries}, cwd=folder)
    try:
        end = time.monotonic() + processes.deadline.left(READY_SECONDS)
        while not socket.exists():
            if ends_within(process, 0) or time.monotonic() > end:
                raise Failed(f"{client.name} did not open its socket{quoted(log)}")
            time.sleep(0.05)
        yield socket
    finally:
        processes.end(process)


def rsyslogd(installed, configuration, folder):
    (modules,) = installed.root.glob("usr/lib/*-linux-gnu*/rsyslog")
    return [installed.daemon, "-n", "-f", configuration, "-i", folder / "pid", "-M", modules]


def syslog_ng(installed, configuration, folder):
    (modules,) = installed.root.glob("usr/lib/syslog-ng/[0-9]*")
    state = ["--persist-file", folder / "persist", "--pidfile", folder / "pid", "--control", folder / "control"]
    options = ["--foreground", "--no-caps", "--stderr", f"--module-path={modules}"]
    return [installed.daemon, *options, "--cfgfile", configuration, *state]


COMMANDS = {"rsyslogd": rsyslogd, "syslog-ng": syslog_ng}
