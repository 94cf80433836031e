"""Processes that a run starts: each in a group of its own, bounded in time, and ended by its id.

`Processes` is a context; however it is left, what it started has ended. Nothing else on the machine
gets a signal: a group is signalled only while its first process has not been waited for, so that its
number cannot have become another one's.
"""

import os
import signal
import subprocess
import time
from pathlib import Path

# How long a process may take to end after it was asked to.
GRACE_SECONDS = 5
POLL_SECONDS = 0.02


class Failed(Exception):
    """A command did not do what it was started for; the text ends in what it printed last."""


class Deadline:
    """The end of the run; nothing may wait longer."""

    def __init__(self, seconds):
        self._end = time.monotonic() + seconds

    def left(self, at_most):
        """Seconds that are left, and no more than these."""
        return max(0.0, min(at_most, self._end - time.monotonic()))

    def is_over(self):
        return time.monotonic() >= self._end


class Processes:
    """Everything that was started and may still run."""

    def __init__(self, deadline):
        self.deadline = deadline
        self._running = []

    def __enter__(self):
        return self

    def __exit__(self, *_):
        # Who is impatient must not stop what ends the rest.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        while self._running:
            self.end(self._running[-1])

    def start(self, command, log, **options):
        """Starts a process that goes on; what it prints goes to the file `log`."""
        with open(log, "ab") as output:
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                **options,
            )
        self._running.append(process)
        return process

    def run(self, command, log, seconds, **options):
        """Runs a command to its end; gives what it printed. Raises `Failed` when it fails or takes too long."""
        seconds = self.deadline.left(seconds)
        start = Path(log).stat().st_size if Path(log).exists() else 0
        process = self.start(command, log, **options)
        try:
            in_time = ends_within(process, seconds)
        finally:
            status = self.end(process)
        name = Path(str(command[0])).name
        if not in_time:
            raise Failed(f"{name} was not done in {seconds:.0f} s{quoted(log, start)}")
        if status != 0:
            raise Failed(f"{name} ended with {status}{quoted(log, start)}")
        return Path(log).read_bytes()[start:].decode(errors="replace")

    def end(self, process):
        """Ends a process and its group: asks first, then insists. Gives its status."""
        if not ends_within(process, 0):
            os.killpg(process.pid, signal.SIGTERM)
            ends_within(process, GRACE_SECONDS)
        os.killpg(process.pid, signal.SIGKILL)
        status = process.wait(timeout=GRACE_SECONDS)
        self._running.remove(process)
        return status


def ends_within(process, seconds):
    """Whether it has ended by then. Its number stays its own until `end`."""
    end = time.monotonic() + seconds
    while os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is None:
        if time.monotonic() >= end:
            return False
        time.sleep(POLL_SECONDS)
    return True


def quoted(log, start=0):
    """The last lines of a log, to be put behind a message."""
    lines = Path(log).read_bytes()[start:].decode(errors="replace").strip().splitlines()
    return "".join(f"\n    | {line[:300]}" for line in lines[-12:])
