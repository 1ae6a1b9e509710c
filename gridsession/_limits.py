"""What a record may grow to. Java: `Limits.java`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Limits:
    """What a record may grow to. Settings of the place: any client can send anything, so they are checked there.

    Attributes:
        record_bytes: the record, encoded, without its ring and queue (256 KB; may be set up to 1 MB).
        fields: in all bags together.
        name_bytes: a field's name in UTF-8.
        id_bytes: the session id in UTF-8.
        ring: remembered operation ids; more means `busy` until a second after the oldest deadlines. 4096 over the
            default deadline of 10 s is 370 changes a second of one session, for as long as one likes.
        operations: of one command, with its guards, retained names or names asked for.
        waiters: places in the queue for the lease.
        horizon: how far ahead `not_after` may lie, ms; it and `APART` bound how long the ring must remember.
    """

    record_bytes: int = 262_144
    fields: int = 256
    name_bytes: int = 128
    id_bytes: int = 2_048
    ring: int = 4_096
    operations: int = 1_024
    waiters: int = 256
    horizon: int = 300_000


DEFAULT_LIMITS: Final = Limits()
