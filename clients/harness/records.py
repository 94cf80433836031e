"""The records that a client sends, and what must be found of each.

Every record carries a token that nothing else has. Personal data stands in the text, with a secret
that must not be found again anywhere.
"""

import random
import string
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timezone

# A record with more text is rejected alone (docs/parsing.md).
OVERSIZE_BYTES = 1 << 20
# A client under test may send so many records a second, and be five seconds of that ahead (docs/limits.md).
RATE = 20
BURST = 5 * RATE
# A request that puts a service this far over the burst makes the next one wait for about two seconds, which
# is longer than a slow machine takes to send it.
CROWD = BURST + 2 * RATE

SECOND = 1_000_000_000


@dataclass(frozen=True)
class Record:
    """One that is sent, and the message that is to be found."""

    token: str
    level: str
    message: str
    masked: str
    detector: str | None
    time_ns: int
    id: str

    def as_job(self):
        moment = datetime.fromtimestamp(self.time_ns // SECOND, timezone.utc)
        return {
            "id": self.id,
            "level": self.level,
            "message": self.message,
            "time_ns": str(self.time_ns),
            "time": f"{moment:%Y-%m-%dT%H:%M:%S}.{self.time_ns % SECOND:09}Z",
        }


def word():
    """Letters only: digits could look like a number that is masked."""
    return "".join(random.choices(string.ascii_lowercase, k=14))


def record(level, template, secret="", masked="", detector=None):
    """A record whose `{token}` is its own and whose `{secret}` has become `{masked}`; a minute old."""
    token = word()
    return Record(
        token=token,
        level=level,
        message=template.format(token=token, secret=secret),
        masked=template.format(token=token, secret=masked),
        detector=detector,
        time_ns=time.time_ns() - 60 * SECOND,
        id=str(uuid.uuid4()),
    )


def handful(secret):
    """A few records of different levels: text beyond ASCII, an address, a card."""
    address, card = f"{secret}@example.com", "4111 1111 1111 1111"
    return [
        record("INFO", 'order {token} paid, "40 €" in Zürich'),
        record("ERROR", "payment {token} of {secret} failed", address, f"{secret[0]}***@example.com", "email"),
        record("WARN", "card {secret} of {token} declined", card, "**** **** **** 1111", "credit_card"),
    ]


def oversize():
    return record("INFO", "{token} " + "x" * OVERSIZE_BYTES)


def crowd():
    """Records of one token."""
    first = record("INFO", "crowd {token}")
    others = (Record(**{**vars(first), "id": str(uuid.uuid4())}) for _ in range(CROWD - 1))
    return [first, *others]


def late():
    return record("INFO", "late {token}")
