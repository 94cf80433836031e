"""One client, from its job to what is stored of it."""

import json
import time
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path

from . import records
from .check import Wrong, compare, count, wait_for
from .daemon import daemon
from .environment import plain

SCRIPTS = Path(__file__).parent.parent / "send"
SCRIPT_SECONDS = 60


@dataclass
class Case:
    """What a client is to send, in requests, and how often each token must be stored."""

    client: object
    requests: list
    kept: list
    rejected: object = None
    counts: dict = field(default_factory=dict)


def plan(client, secret):
    """A handful of records; then what shows how the client takes refusals."""
    kept = records.handful(secret)
    case = Case(client, [list(kept)], kept)
    if client.rejection:
        # It stands in the middle: what is behind it must not suffer.
        case.rejected = records.oversize()
        case.requests[0].insert(1, case.rejected)
        case.counts[case.rejected.token] = 0
    if client.keeps_ids:
        # A client that did not hear the answer sends its documents again, under their ids.
        case.requests.append(list(kept))
    if client.comes_again:
        crowd, late = records.crowd(), records.late()
        case.requests += [crowd, [late]]
        case.counts[crowd[0].token] = len(crowd)
        case.kept.append(late)
    case.counts |= {record.token: 1 for record in case.kept}
    return case


def run(case, installed, server, processes, folder):
    """Sends and checks; raises `Wrong` or `Failed`."""
    client = case.client
    if client.comes_again:
        server.api.limit(client.service, records.RATE)
    began = time.time_ns()
    feeding = (
        daemon(client, installed, server.ports, processes, folder) if client.daemon else nullcontext()
    )
    with feeding as socket:
        report = send(case, installed, server, processes, folder, socket)
        found = [wait_for(server.api, record, processes.deadline) for record in case.kept]
    window = (began, time.time_ns())
    for record, stored in zip(case.kept, found):
        compare(record, stored, client, window)
    check_report(case, report)
    check_counts(case, server.api)
    if client.comes_again:
        check_refused(client, server.api)


def send(case, installed, server, processes, folder, socket):
    """Runs the client's script; gives what it printed at last."""
    client = case.client
    requests = [[record.as_job() for record in request] for request in case.requests]
    job = folder / "job.json"
    job.write_text(json.dumps({"service": client.service, "ports": server.ports, "requests": requests}))
    script, *arguments = client.script
    if socket:
        arguments += ["--socket", socket]
    program = installed.python
    path = SCRIPTS / script
    if path.suffix == ".mjs":
        # Node.js looks for packages beside the script, never elsewhere.
        program = installed.node
        path = folder / script
        path.write_bytes((SCRIPTS / script).read_bytes())
        (folder / "node_modules").symlink_to(installed.node_modules)
    log = folder / "client.log"
    printed = processes.run([program, path, job, *arguments], log, SCRIPT_SECONDS, env=plain())
    return json.loads(printed.strip().splitlines()[-1])


def check_report(case, report):
    """What the client told its user about the record that was rejected, and about no other."""
    if case.client.rejection == "ids" and report["refused"] != [case.rejected.id]:
        raise Wrong(f"the client reports {len(report['refused'])} refused records instead of the one")
    if case.client.rejection == "number" and report["rejected"] != 1:
        raise Wrong(f"the client reports {report['rejected']} rejected records instead of one")
    taken = [len(request) - request.count(case.rejected) for request in case.requests]
    if report.get("taken", taken) != taken:
        raise Wrong(f"the client reports {report['taken']} records taken instead of {taken}")


def check_counts(case, api):
    for token, expected in case.counts.items():
        count(api, token, expected)


def check_refused(client, api):
    """It has been refused, so that its coming again was seen."""
    rows = [row for row in api.ledger()["rows"] if row["service"] == client.service]
    if not any(row["refused"].get("rate_limited") for row in rows):
        raise Wrong("no request was refused with 429, so nothing shows that the client comes again")
