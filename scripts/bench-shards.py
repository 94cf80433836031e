#!/usr/bin/env python3
"""What shards cost: three nodes of the release build on this machine, printed as figures.

    scripts/bench-shards.py groups --slots 256      open groups: how fast they come, what they cost when idle
    scripts/bench-shards.py sealed --shards 10000   sealed shards beside 64 open ones: idle cost, memory, questions
    scripts/bench-shards.py open --slots 1,4,16,64  ingest into so many open shards
    scripts/bench-shards.py comeback                a killed node: start to ready by size, and how fast it catches up

Needs nothing but Python 3 and target/release/hushlog (HUSHLOG_BIN names another). Every node has a folder
that is removed at the end. Nothing is asserted: a figure is what it is.
"""

import argparse
import json
import os
import shutil
import subprocess
import tempfile
import time
import urllib.error
import urllib.request

NODES = 3
HTTP = 17800
GRPC = 14400
TICKS = os.sysconf("SC_CLK_TCK")
SERVICES = 2000
READY_WITHIN = 120
STOP_WITHIN = 120


def call(node, path, body=None, headers=None, timeout=60):
    request = urllib.request.Request(f"http://127.0.0.1:{HTTP + node}{path}", data=body, headers=headers or {})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
        return answer.read()


def view(node):
    return json.loads(call(node, "/api/v1/cluster?scope=node"))


class Cluster:
    """Three processes; `use` says what they took."""

    def __init__(self, binary):
        self.binary = binary
        self.folder = tempfile.mkdtemp(prefix="hushlog-shards.")
        self.processes = []

    def start(self, **settings):
        self.processes = [self.process(n, settings) for n in range(NODES)]
        for n in range(NODES):
            self.wait(n)

    def process(self, n, settings):
        peers = ",".join(f"{n + 1}=127.0.0.1:{GRPC + n}" for n in range(NODES))
        words = [self.binary, "serve", "--data", f"{self.folder}/node-{n + 1}", "--node-id", str(n + 1)]
        words += ["--http", f"127.0.0.1:{HTTP + n}", "--grpc", f"127.0.0.1:{GRPC + n}", "--cluster-peers", peers]
        for name, value in settings.items():
            words += ["--" + name.replace("_", "-"), str(value)]
        with open(f"{self.folder}/node-{n + 1}.log", "ab") as log:
            return subprocess.Popen(words, stdout=log, stderr=log)

    def wait(self, n):
        until = time.monotonic() + READY_WITHIN
        while not self.ready(n):
            if time.monotonic() > until:
                raise SystemExit(f"node {n + 1} is not ready after {READY_WITHIN} s; see {self.folder}")
            time.sleep(0.02)

    def kill(self, n):
        self.processes[n].kill()
        self.processes[n].wait()

    def size(self, n):
        """MB of a node's folder."""
        files = (os.path.join(at, name) for at, _, names in os.walk(f"{self.folder}/node-{n + 1}") for name in names)
        return sum(os.path.getsize(file) for file in files if os.path.exists(file)) / 1e6

    def ready(self, node):
        if self.processes[node].poll() is not None:
            raise SystemExit(f"node {node + 1} has ended; see {self.folder}")
        try:
            call(node, "/readyz", timeout=2)
            return True
        except (urllib.error.URLError, OSError):
            return False

    def stop(self):
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            try:
                process.wait(STOP_WITHIN)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.processes = []

    def end(self):
        self.stop()
        shutil.rmtree(self.folder)

    def use(self):
        """CPU-seconds so far, MiB in memory, threads and open files, each node's."""
        rows = []
        for process in self.processes:
            with open(f"/proc/{process.pid}/stat") as file:
                stat = file.read().rsplit(")", 1)[1].split()
            with open(f"/proc/{process.pid}/status") as file:
                status = dict(line.split(":", 1) for line in file)
            rss = int(status["VmRSS"].split()[0]) // 1024
            files = len(os.listdir(f"/proc/{process.pid}/fd"))
            rows.append(((int(stat[11]) + int(stat[12])) / TICKS, rss, int(status["Threads"]), files))
        return rows

    def idle(self, title, seconds):
        before, began = self.use(), time.monotonic()
        time.sleep(seconds)
        took = time.monotonic() - began
        for n, (was, now) in enumerate(zip(before, self.use())):
            share = (now[0] - was[0]) / took * 100
            print(f"{title}: node {n + 1}: {share:.1f} % of a core, {now[1]} MiB, {now[2]} threads, {now[3]} files", flush=True)


def opened(slots, since):
    """Waits until the open bucket's groups all have a leader that has begun its term, on every node."""
    while True:
        there = 0
        for n in range(NODES):
            shards = [s for s in view(n)["shards"] if s["state"] == "open"]
            there += sum(1 for s in shards if s["leader"] and s["positions"]["applied_to"] > 0)
        if there >= NODES * slots:
            return time.monotonic() - since
        if time.monotonic() - since > READY_WITHIN:
            raise SystemExit(f"{there} replicas of {NODES * slots} are open after {READY_WITHIN} s")
        time.sleep(0.02)


def groups(cluster, args):
    cluster.start(cluster_slots=args.slots, cluster_bucket="24h", cluster_heartbeat=args.heartbeat)
    took = opened(args.slots, time.monotonic())
    print(f"{args.slots} groups of three: open within {took:.2f} s after all nodes were ready", flush=True)
    cluster.stop()
    # A whole bucket's end and the next one's beginning, from the clocks of the nodes.
    shutil.rmtree(cluster.folder)
    os.mkdir(cluster.folder)
    cluster.start(cluster_slots=args.slots, cluster_bucket="20s", cluster_heartbeat=args.heartbeat)
    first = view(0)["open_bucket"]["bucket"]
    while view(0)["open_bucket"]["bucket"] == first:
        time.sleep(0.01)
    took = opened(args.slots, time.monotonic())
    print(f"the next bucket: {args.slots} groups within {took:.2f} s: {args.slots / max(took, 1e-9):.0f} groups/s", flush=True)
    cluster.stop()
    timers = {"cluster_heartbeat": args.heartbeat, "cluster_rest_after": args.rest_after}
    cluster.start(cluster_slots=args.slots, cluster_bucket="24h", **timers)
    time.sleep(args.settle)
    for _ in range(3):
        cluster.idle(f"{args.slots} open groups, idle", 20)


def send(number, word):
    """One record of each service, so that every slot has some."""
    rows = "\n".join(
        json.dumps({"service_name": f"service-{i:04}", "level": "INFO", "message": f"tick {word} of {i}", "fields": {"n": i}})
        for i in range(SERVICES)
    )
    headers = {"content-type": "application/x-ndjson", "idempotency-key": f"bucket-{number}"}
    for attempt in range(30):
        try:
            call(attempt % NODES, "/api/v1/logs", rows.encode(), headers)
            return
        except (urllib.error.URLError, OSError) as error:
            last = error
            time.sleep(0.5)
    raise SystemExit(f"records were not taken: {last}")


def question(title, body, rounds=20):
    took, answer = [], {}
    for round_ in range(rounds):
        began = time.monotonic()
        answer = json.loads(call(round_ % NODES, "/api/v1/logs/query", json.dumps(body).encode(), {"content-type": "application/json"}))
        took.append((time.monotonic() - began) * 1000)
    first, took = took[0], sorted(took)
    print(
        f"{title}: first {first:.0f} ms, p50 {took[len(took) // 2]:.1f} ms, worst {took[-1]:.0f} ms; "
        f"total {answer['total']}, shards {json.dumps(answer['shards'])}, partial {answer['partial']}",
        flush=True,
    )


def stamp(seconds):
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds)) + f".{int(seconds % 1 * 1000):03}Z"


def sealed(cluster, args):
    cluster.start(cluster_slots=args.slots, cluster_bucket=f"{args.bucket}s", cut_age="1s", merge_delay="24h")
    began, number, ends = time.monotonic(), 0, []
    while True:
        send(number, f"w{number}")
        ends.append(time.time())
        counts = [sum(1 for s in view(n)["shards"] if s["state"] == "sealed") for n in range(NODES)]
        if number % 10 == 0:
            print(f"{time.monotonic() - began:.0f} s: {number + 1} rounds, sealed {counts}", flush=True)
        if min(counts) >= args.shards:
            break
        number += 1
        bucket = view(0)["open_bucket"]["bucket"]
        while view(0)["open_bucket"]["bucket"] == bucket:
            time.sleep(0.2)
    print(f"{min(counts)} sealed shards a node after {time.monotonic() - began:.0f} s")
    cluster.stop()
    began = time.monotonic()
    cluster.start(cluster_slots=args.open, cluster_bucket="24h")
    print(f"start with {min(counts)} sealed shards: {time.monotonic() - began:.2f} s until all three are ready", flush=True)
    time.sleep(args.settle)
    states = [{s: sum(1 for x in view(n)["shards"] if x["state"] == s) for s in ("open", "sealed")} for n in range(NODES)]
    print(f"shards by state: {states}")
    for _ in range(3):
        cluster.idle("idle", 30)
    per_bucket = args.slots
    for shards in (1, 100, 1000, len(ends) * per_bucket):
        buckets = max(1, round(shards / per_bucket))
        if buckets > len(ends):
            continue
        first = len(ends) - buckets
        span = {"timestamp_range": {"start": stamp(ends[first] - 1.0), "end": stamp(ends[-1] + 1.0)}}
        filters = dict(span)
        if shards == 1:
            filters["services"] = ["service-0001"]
        question(f"one word, times of {shards} shards", {"query": f"w{first}", "filters": filters, "limit": 10})
        question(f"count of all, times of {shards} shards", {"query": "tick", "filters": filters, "limit": 0})
    question("one word, no times", {"query": f"w{len(ends) // 2}", "limit": 10})
    question("one service, no times", {"query": "tick", "filters": {"services": ["service-0001"]}, "limit": 10})
    question("count of all, no times", {"query": "tick", "limit": 0}, rounds=5)
    for _ in range(2):
        cluster.idle("idle, after the questions", 30)


def open_(cluster, args):
    servers = ",".join(f"http://127.0.0.1:{HTTP + n}" for n in range(NODES))
    for slots in (int(word) for word in args.slots.split(",")):
        cluster.start(cluster_slots=slots, cluster_bucket="24h")
        opened(slots, time.monotonic())
        print(f"--- {slots} open shards", flush=True)
        subprocess.run([cluster.binary, "bench", "ingest", "--server", servers, "--records", str(args.records)], check=True)
        cluster.stop()
        shutil.rmtree(cluster.folder)
        os.mkdir(cluster.folder)


def applied(node):
    """How far a node has applied each open shard."""
    return {s["shard"]: s["positions"]["applied_to"] for s in view(node)["shards"] if s["state"] == "open"}


def comeback(cluster, args):
    last, settings = NODES - 1, {"cluster_bucket": "24h"}

    def ingest(records, nodes, seed):
        servers = ",".join(f"http://127.0.0.1:{HTTP + n}" for n in range(nodes))
        words = [cluster.binary, "bench", "ingest", "--server", servers, "--records", str(records), "--seed", str(seed)]
        subprocess.run(words, check=True)

    def back(title):
        goal, began, before = applied(0), time.monotonic(), cluster.size(last)
        cluster.processes[last] = cluster.process(last, settings)
        cluster.wait(last)
        ready = time.monotonic() - began
        while any(applied(last).get(shard, 0) < to for shard, to in goal.items()):
            if time.monotonic() - began > READY_WITHIN:
                raise SystemExit("it does not catch up")
            time.sleep(0.02)
        caught_up = time.monotonic() - began
        grown = cluster.size(last) - before
        print(
            f"{title}: {before:.0f} MB; ready after {ready:.2f} s, has applied what the others had after {caught_up:.2f} s; "
            f"its folder grew by {grown:.0f} MB",
            flush=True,
        )

    cluster.start(**settings)
    for part in range(args.parts):
        ingest(args.records // args.parts, NODES, part + 1)
        for _ in range(3):
            cluster.kill(last)
            back("a killed node starts again")
    cluster.kill(last)
    ingest(args.missed, last, args.parts + 1)
    back(f"the same, after it has missed {args.missed} records")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = parser.add_subparsers(dest="part", required=True)
    part = parts.add_parser("groups")
    part.add_argument("--slots", type=int, default=256)
    part.add_argument("--heartbeat", default="150ms")
    part.add_argument("--rest-after", default="10s", help="how long nobody uses a group before it rests; 0s: never")
    part.add_argument("--settle", type=int, default=30, help="seconds before the idle cost is taken")
    part.set_defaults(run=groups)
    part = parts.add_parser("sealed")
    part.add_argument("--shards", type=int, default=10_000)
    part.add_argument("--slots", type=int, default=64, help="slots of a bucket while shards are made")
    part.add_argument("--bucket", type=int, default=5, help="seconds that a bucket is open")
    part.add_argument("--open", type=int, default=64, help="open shards beside the sealed ones")
    part.add_argument("--settle", type=int, default=60, help="seconds before the idle cost is taken")
    part.set_defaults(run=sealed)
    part = parts.add_parser("open")
    part.add_argument("--slots", default="1,4,16,64")
    part.add_argument("--records", type=int, default=1_000_000)
    part.set_defaults(run=open_)
    part = parts.add_parser("comeback")
    part.add_argument("--records", type=int, default=20_000_000)
    part.add_argument("--parts", type=int, default=2, help="the node is killed three times after each part of the records")
    part.add_argument("--missed", type=int, default=2_000_000, help="records that are sent while the node is down")
    part.set_defaults(run=comeback)
    args = parser.parse_args()
    binary = os.environ.get("HUSHLOG_BIN", "target/release/hushlog")
    cluster = Cluster(os.path.abspath(binary))
    try:
        args.run(cluster, args)
    finally:
        cluster.end()


if __name__ == "__main__":
    main()
