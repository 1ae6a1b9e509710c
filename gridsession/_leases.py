"""Who holds a session, and who waits for it: for operators, and for whoever must explain why a user waits."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from gridsession._link import Link
from gridsession._record import Record


@dataclass(frozen=True, slots=True)
class LeaseState:
    """Who held a session and who waited for it, at the moment it was looked at.

    Owners are told as `host:pid` and, after another colon, what the driver adds to reach that process.

    Attributes:
        owner: who holds it; None = nobody.
        since: since when, to the millisecond of the place's clock; None = nobody.
        until: when its right ends unless it is renewed; None = nobody.
        token: the fencing token it holds by; 0 = nobody.
        waiting: who waits, the next one first. One that died stands there for up to 3 s more.
    """

    owner: str | None = None
    since: dt.datetime | None = None
    until: dt.datetime | None = None
    token: int = 0
    waiting: tuple[str, ...] = ()


async def lease_state(link: Link, session_id: str) -> LeaseState:
    """Look at a session's lease; nothing is touched.

    Raises:
        Unsupported: the driver has no way to tell.
        CorruptRecord: what is stored cannot be read.
    """
    link.check()
    data = await link.driver.stored(link.space, session_id)
    if data is None:
        return LeaseState()
    record, now = Record.decode(data, expected_id=session_id), link.driver.now()
    waiting = tuple(waiter.owner for waiter in record.queue if waiter.until > now)
    lease = record.lease
    if lease is None or lease.until <= now:
        return LeaseState(waiting=waiting)
    return LeaseState(lease.owner, _moment(lease.since), _moment(lease.until), lease.token, waiting)


def _moment(milliseconds: int) -> dt.datetime:
    return dt.datetime.fromtimestamp(milliseconds / 1000, dt.UTC)
