"""What the members of a grid tell a client: our probe, Hazelcast's own account of a member, whether copies confirm.

This reaches into the Hazelcast driver, which has no public way to ask members that are unfit: opening a store refuses
those, and they are what a doctor is for. `gridsession.drivers.hazelcast` should give this one day.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from hazelcast.errors import HazelcastError

from gridsession import SessionStore
from gridsession._commands import Load, Want
from gridsession._identity import Space
from gridsession.drivers import parse_url
from gridsession.drivers.hazelcast import HazelcastDriver, _wire
from gridsession.drivers.hazelcast._call import NotSent, Overdue, ask
from gridsession.drivers.hazelcast._client import Client
from gridsession.drivers.hazelcast._link import Link
from gridsession.drivers.hazelcast._probe import Report, address_of, own_sources, probe
from gridsession.errors import ConnectFailed, MemberUnfit, Unavailable
from gridsession.hooks import Hooks

_MAP_SIZE: Final = 0x012A00
_MEMBER_STATE: Final = 0x200B00
_PATIENCE: Final = 5.0
_CONFIRM_WITHIN: Final = 3.0


class State(NamedTuple):
    """Hazelcast's own account of a member.

    Attributes:
        active: whether member and cluster are in their normal state.
        clients: connections of clients to it.
        slow: kinds of operation that took over a second since it started.
    """

    active: bool
    clients: int
    slow: int


@dataclass(frozen=True, slots=True)
class Member:
    """One member as this process sees it.

    Attributes:
        fault: why it could not be asked, or is unfit; "" if it answered.
        report: what its probe said; None also if it owns no data yet.
        partitions: how many it owns, of those that all sessions are spread over; None if it was not heard yet.
        state: None if it does not tell.
        same_jar: whether its jar is built from the sources of ours; None if that is not known.
    """

    address: str
    connected: bool
    fault: str = ""
    report: Report | None = None
    partitions: int | None = None
    state: State | None = None
    same_jar: bool | None = None


async def examine(url: str) -> list[Member]:
    """Ask every member of a grid, fit or not.

    Raises:
        ConnectFailed: no member let us in.
        InvalidOption: the URL makes no sense.
    """
    address = parse_url(url)
    options = {name: text for name, text in address.options.items() if name not in ("namespace", "ttl")}
    address = address._replace(options=options)
    settings = replace(HazelcastDriver.from_address(address, Hooks())._settings, backup_timeout=_PATIENCE)
    loop = asyncio.get_running_loop()
    link = Link(settings, _nothing, _nothing)
    await link.start(loop.time() + settings.connect_timeout)
    try:
        due = loop.time() + _PATIENCE
        members = [member for member in link.members() if not member.lite_member]
        while any(connection_to(link, member) is None for member in members) and loop.time() < due - 2:  # noqa: ASYNC110
            # The client connects to members it was not told of in the background, and tells nobody.
            await asyncio.sleep(0.05)
        return list(await asyncio.gather(*(_ask(link, member, loop.time() + _PATIENCE) for member in members)))
    finally:
        await link.close()


async def _ask(link: Link, member: Any, due: float) -> Member:
    found = Member(address_of(member), connection_to(link, member) is not None)
    if not found.connected:
        return found
    found = replace(found, state=await _state_of(link, member, due))
    try:
        report = await probe(link, member, due)
    except (MemberUnfit, ConnectFailed) as error:
        return replace(found, fault=str(error))
    ours = own_sources()
    same = None if report is None or ours is None else report.sources == ours
    # Read last: a client hears who owns what a moment after it has connected.
    owners = [link.owner(partition) for partition in range(link.partition_count())]
    owned = owners.count(member.uuid) if any(owners) else None
    return replace(found, report=report, same_jar=same, partitions=owned)


async def _state_of(link: Link, member: Any, due: float) -> State | None:
    try:
        message = await ask(link, _wire.request(_MEMBER_STATE, b""), due, connection=connection_to(link, member))
        told = json.loads(message.start_frame.next.buf)["timedMemberState"]["memberState"]
        node = told["nodeState"]
        return State(
            node["clusterState"] == node["nodeState"] == "ACTIVE",
            len(told["clients"]),
            len(told["operationStats"]["slowOperations"]),
        )
    except (NotSent, Overdue, HazelcastError, AttributeError, KeyError, TypeError, ValueError):
        # It is internal to Hazelcast, and may be switched off (management-center: trusted-interfaces).
        return None


async def unconfirmed(store: SessionStore) -> dict[str, int]:
    """For how many partitions no copy confirms an answer, by their owner's address; {} = all of them are copied.

    Each is asked for a session that nobody has; an answer counts as those of commits do. That shows that the copies
    are there and answer, not that a new one has everything already.
    """
    link, client = store._links[0], client_of(store)
    assert client is not None
    found: Counter[str] = Counter()
    addresses = {member.uuid: address_of(member) for member in client.link.members()}

    async def ask_for(key: str) -> None:
        try:
            await link.ask(key, Load(Want.NOTHING, confirm=True, not_after=link.not_after()), within=_CONFIRM_WITHIN)
        except Unavailable:
            owner = client.link.owner(client.link.keys.get(key).partition)
            found[addresses.get(owner, "nobody") if owner is not None else "nobody"] += 1

    # All at once, as many as the driver lets through: each may take until its deadline.
    await asyncio.gather(*map(ask_for, _one_of_each(client.link.partition_count())))
    return dict(found)


def _one_of_each(partitions: int) -> list[str]:
    """An id in each partition."""
    keys: dict[int, str] = {}
    index = 0
    while len(keys) < partitions:
        key = f"doctor:{index}"
        keys.setdefault(_wire.partition_of(_wire.key_data(key), partitions), key)
        index += 1
    return list(keys.values())


async def entries(link: Link, space: Space, due: float) -> int | None:
    """How many records a space has, ones that ended and are not swept yet among them; None if nobody tells."""
    try:
        message = await ask(link, _wire.request(_MAP_SIZE, b"", _wire.records_map(space).encode()), due)
        return int.from_bytes(message.start_frame.buf[_RESULT_AT : _RESULT_AT + 4], "little")
    except (NotSent, Overdue, HazelcastError):
        return None


_RESULT_AT: Final = 13
"""Where an answer's first number stands in its first frame, as the client has it, without the frame's own length."""


def client_of(store: SessionStore) -> Client | None:
    """The client of an open store's grid; None of another place."""
    driver = store._links[0].driver
    return driver._opened() if isinstance(driver, HazelcastDriver) else None


def connection_to(link: Link, member: Any) -> Any:
    """The connection to one member, or None."""
    return link._connections.active_connections.get(member.uuid)


def _nothing() -> None:
    """Nobody listens."""
