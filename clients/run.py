#!/usr/bin/env python3
"""Sends records to one node with the real clients, and asks the node for every one of them.

README.md says what is checked and how a client is added. Needs Python 3.10 and nothing else; what the
clients need is installed into a cache. Exit status: 0 when nothing failed, 1 otherwise.
"""

import argparse
import os
import signal
import sys
import tempfile
import time
from collections import Counter
from contextlib import contextmanager
from fnmatch import fnmatch
from pathlib import Path

from harness import case as cases
from harness.catalogue import CLIENTS
from harness.check import Wrong, count
from harness.needs import Cache, Missing
from harness.processes import Deadline, Failed, Processes, quoted
from harness.records import word
from harness.server import started

ROOT = Path(__file__).resolve().parent.parent
PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


def main():
    arguments = parsed()
    chosen = [client for client in CLIENTS if any(fnmatch(client.name, name) for name in arguments.names)]
    if arguments.list:
        print("\n".join(client.name for client in chosen))
        return 0
    binary = Path(os.environ.get("HUSHLOG_BIN") or ROOT / "target/release/hushlog").resolve()
    if not chosen:
        sys.exit("clients: no client has such a name; --list shows them")
    if not binary.is_file():
        sys.exit(f"clients: there is no {binary}: make build, or set HUSHLOG_BIN")
    # Whoever asks for the end, it takes the way of Ctrl-C, on which what was started is ended.
    for kind in (signal.SIGINT, signal.SIGTERM):
        signal.signal(kind, signal.default_int_handler)
    try:
        with workplace(arguments.keep) as folder, Processes(Deadline(arguments.within)) as processes:
            return Run(processes, folder, binary, arguments.strict).all(chosen)
    except Failed as failed:
        sys.exit(f"clients: {failed}")
    except KeyboardInterrupt:
        sys.exit("clients: ended before the end")


def parsed():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=["*"], help="clients, such as 'otlp-*'; without: all")
    parser.add_argument("--list", action="store_true", help="print the names of the clients")
    parser.add_argument("--strict", action="store_true", help="a client that cannot be installed is a failure")
    parser.add_argument("--within", type=float, default=900, metavar="SECONDS", help="end of the whole run (900)")
    parser.add_argument("--keep", action="store_true", help="keep the folder with the logs and the node's data")
    return parser.parse_args()


@contextmanager
def workplace(keep):
    if keep:
        folder = tempfile.mkdtemp(prefix="hushlog-clients.")
        print(f"logs and data: {folder}")
        yield Path(folder)
    else:
        with tempfile.TemporaryDirectory(prefix="hushlog-clients.", ignore_cleanup_errors=True) as folder:
            yield Path(folder)


class Run:
    """One node, and one client after the other."""

    def __init__(self, processes, folder, binary, strict):
        self.processes = processes
        self.folder = folder
        self.strict = strict
        self.cache = Cache(processes, folder / "install.log")
        self.server = started(processes, binary, folder)
        # Stands in personal data only, so it must never be found.
        self.secret = word()
        self.outcomes = Counter()
        self.done = []

    def all(self, clients):
        """The exit status."""
        began = time.monotonic()
        for client in clients:
            self.outcomes[self.one(client)] += 1
        if self.tried("everything-once-more", self.everything) == FAILED:
            self.outcomes[FAILED] += 1
        passed, failed, skipped = (self.outcomes[state] for state in (PASSED, FAILED, SKIPPED))
        seconds = time.monotonic() - began
        print(f"clients: {passed} passed, {failed} failed, {skipped} skipped in {seconds:.0f} s")
        return 1 if failed else 0

    def one(self, client):
        try:
            if self.processes.deadline.is_over():
                raise Missing("no time is left")
            installed = self.cache.get(client.needs)
        except Missing as reason:
            return self.skipped(client.name, reason)
        case = cases.plan(client, self.secret)
        folder = self.folder / client.name
        folder.mkdir()
        outcome = self.tried(
            client.name, lambda: cases.run(case, installed, self.server, self.processes, folder)
        )
        if outcome == PASSED:
            self.done.append(case)
        return outcome

    def everything(self):
        """What came late would show now: repeats of clients, and what the node's books say."""
        for case in self.done:
            cases.check_counts(case, self.server.api)
        count(self.server.api, self.secret, 0)
        ledger = self.server.api.ledger()
        if not ledger["adds_up"] or ledger["totals"]["lost"] or ledger["totals"]["unknown"]:
            raise Wrong(f"the ledger does not add up: {ledger['totals']}, {ledger['balance']}")

    def tried(self, name, check):
        began = time.monotonic()
        try:
            check()
        except (Wrong, Failed, OSError, ValueError, KeyError) as reason:
            if self.server.has_ended():
                reason = f"the node has ended{quoted(self.server.log)}"
            elif self.processes.deadline.is_over():
                return self.skipped(name, "the time of the run was over", time.monotonic() - began)
            elif not isinstance(reason, (Wrong, Failed)):
                reason = f"{type(reason).__name__}: {reason}"
            return told(FAILED, name, time.monotonic() - began, reason)
        return told(PASSED, name, time.monotonic() - began)

    def skipped(self, name, reason, seconds=0):
        return told(FAILED if self.strict else SKIPPED, name, seconds, reason)


def told(outcome, name, seconds, reason=""):
    print(f"{outcome:<7}  {name:<24} {seconds:5.1f} s  {reason}".rstrip(), flush=True)
    return outcome


if __name__ == "__main__":
    sys.exit(main())
