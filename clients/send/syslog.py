"""`logging.handlers.SysLogHandler` of Python's own library; the second argument is udp or tcp."""

import json
import logging
import logging.handlers
import socket
import sys

with open(sys.argv[1], encoding="utf-8") as file:
    job = json.load(file)
port = job["ports"][f"syslog_{sys.argv[2]}"]
kind = {"udp": socket.SOCK_DGRAM, "tcp": socket.SOCK_STREAM}[sys.argv[2]]

handler = logging.handlers.SysLogHandler(("127.0.0.1", port), socktype=kind)
handler.ident = f"{job['service']}: "
logger = logging.getLogger("shop")
logger.setLevel(logging.DEBUG)
logger.addHandler(handler)
for request in job["requests"]:
    for record in request:
        logger.log(getattr(logging, record["level"]), record["message"])
handler.close()
print(json.dumps({}))
