"""Frozen settings of a store, validated once and safe to print."""

from __future__ import annotations

import datetime as dt
import math
from dataclasses import dataclass, fields
from typing import TypeAlias

from gridsession._record import MAX_DURATION, MAX_LEASE
from gridsession.errors import InvalidOption

__all__ = ["Duration", "Policy", "milliseconds"]

Duration: TypeAlias = float | dt.timedelta
"""Seconds, or a timedelta."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """How sessions of a store live and how its calls behave. Durations are seconds or timedelta.

    Attributes:
        ttl: life of a session since its last write; None = it never expires. Taken when a session is created.
        max_lifetime: life since creation, never extended; None = unlimited.
        touch_on_read: `load` and `get` restart the ttl too, when less than `touch_below` of it is left.
        touch_below: share of this ttl, 0 to 1; the larger, the more reads write.
        deadline: how long one call may take; it ends by then, in an answer or an error.
        lease: how long a turn holds the session without renewing; it renews itself while its block runs.
        wait: how long a turn waits for the session.
        keep_messages: how many message ids a session remembers for `turn(message=...)`.
        announce_expiry: changes made through this store ask that the session's end, if it expires, be kept for
            `expired()` and `on_expire` of any store; a store that uses one of these asks by itself.
    """

    ttl: Duration | None = None
    max_lifetime: Duration | None = None
    touch_on_read: bool = False
    touch_below: float = 0.9
    deadline: Duration = 10.0
    lease: Duration = 30.0
    wait: Duration = 10.0
    keep_messages: int = 100
    announce_expiry: bool = False

    def __post_init__(self) -> None:
        for field in fields(self):
            if field.name in {"ttl", "max_lifetime", "deadline", "lease", "wait"}:
                value = getattr(self, field.name)
                if value is not None or field.name not in {"ttl", "max_lifetime"}:
                    milliseconds(value, field.name, zero=field.name == "wait")
        lease_milliseconds(self.lease)
        if not 0 < self.touch_below <= 1:
            raise InvalidOption(f"touch_below must be a share between 0 and 1, not {self.touch_below!r}")
        if not 1 <= self.keep_messages <= 10_000:
            raise InvalidOption(f"keep_messages must be 1 to 10000, not {self.keep_messages!r}")
        if milliseconds(self.deadline, "deadline") > 240_000:
            raise InvalidOption("deadline must be at most 240 s: members remember a change until it has passed")


def lease_milliseconds(lease: Duration) -> int:
    """A lease in whole milliseconds.

    Raises:
        InvalidOption: not positive, or longer than a day; a lease renews itself while it is needed.
    """
    found = milliseconds(lease, "lease")
    if found > MAX_LEASE:
        raise InvalidOption(f"lease must be at most a day, not {lease!r}: it renews itself while it is needed")
    return found


def milliseconds(duration: Duration, name: str, *, zero: bool = False) -> int:
    """A duration in whole milliseconds, rounded up: nothing ends before it is due.

    Raises:
        InvalidOption: not a positive number of seconds or timedelta (zero only where allowed), or over 100 years.
    """
    if isinstance(duration, dt.timedelta):
        seconds = duration.total_seconds()
    elif isinstance(duration, (int, float)) and not isinstance(duration, bool):
        try:
            seconds = float(duration)
        except OverflowError:
            seconds = math.inf
    else:
        raise InvalidOption(f"{name} must be seconds or a timedelta, not {type(duration).__name__}")
    if not math.isfinite(seconds) or seconds < 0 or (seconds == 0 and not zero) or seconds * 1000 > MAX_DURATION:
        raise InvalidOption(f"{name} must be positive and at most 100 years, not {duration!r}")
    # At least 1 unless it is 0: on the wire, 0 stands for never.
    return max(math.ceil(round(seconds * 1000, 3)), 1) if seconds else 0
