"""What is stored, held against what was sent."""

import json
import re
import time
from datetime import datetime, timezone

from .records import SECOND

FOUND_SECONDS = 30


class Wrong(Exception):
    """Something that is not as it must be, in one sentence."""


def wait_for(api, record, deadline):
    """Gives the stored form of a record, as soon as there is one."""
    end = time.monotonic() + deadline.left(FOUND_SECONDS)
    while True:
        answer = api.search(record.token)
        if answer["total"] > 0:
            return answer["logs"][0]
        if time.monotonic() > end:
            raise Wrong(f"a {record.level} record was not found in {FOUND_SECONDS} s: {record.masked}")
        time.sleep(0.1)


def count(api, token, expected):
    """So many records have this token, in an answer that misses nothing."""
    answer = api.search(token, limit=0)
    if answer["partial"] or answer["total"] != expected:
        raise Wrong(f"{answer['total']} records with {token} instead of {expected}")


def compare(record, found, client, window):
    """A stored record says what was sent, as far as the protocol carries it."""
    expected = {
        "service_name": client.service,
        "level": record.level,
        "message": record.masked,
        "pii": [record.detector] if record.detector else [],
    }
    if client.keeps_ids:
        expected["log_id"] = record.id
    for name, value in expected.items():
        if found[name] != value:
            raise Wrong(f"{name} is {json.dumps(found[name])} instead of {json.dumps(value)}")
    stamp = nanoseconds(found["timestamp"])
    if client.time_ns is not None:
        earliest = latest = record.time_ns
        slack = client.time_ns
    else:
        # The time of sending, in whole seconds where the protocol has no better.
        earliest, latest = window
        slack = 2 * SECOND
    if not earliest - slack <= stamp <= latest + slack:
        raise Wrong(f"timestamp is {found['timestamp']}, {(stamp - latest) / SECOND:+.9f} s off")


def nanoseconds(text):
    """Since the epoch, of the API's form of a time."""
    seconds, fraction = re.fullmatch(r"([^.Z]+)(?:\.(\d{1,9}))?Z", text).groups(default="")
    moment = datetime.fromisoformat(seconds).replace(tzinfo=timezone.utc)
    return int(moment.timestamp()) * SECOND + int(fraction.ljust(9, "0"))
