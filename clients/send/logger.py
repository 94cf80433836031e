"""`logger` of util-linux, with the options behind the job; `--port` follows from `--tcp` or `--udp`.

With `--socket PATH` it feeds a syslog daemon of this machine.
"""

import json
import subprocess
import sys

PRIORITIES = {"INFO": "user.info", "WARN": "user.warning", "ERROR": "user.err"}

with open(sys.argv[1], encoding="utf-8") as file:
    job = json.load(file)
options = sys.argv[2:]
for kind in ("tcp", "udp"):
    if f"--{kind}" in options:
        options += ["--server", "127.0.0.1", "--port", str(job["ports"][f"syslog_{kind}"])]
for request in job["requests"]:
    for record in request:
        subprocess.run(
            ["logger", *options, "--tag", job["service"], "--priority", PRIORITIES[record["level"]], "--", record["message"]],
            check=True,
        )
print(json.dumps({}))
