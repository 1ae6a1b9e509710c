"""The probe: what each member says of itself, and whether the members fit this client and one another.

Layout of the answer: u8 layout (1), text16 version of our jar, text16 SHA-256 of its sources, i64 the member's clock,
i64 cluster time, u16 declared members, u8 sync backups, u32 record limit, text16 member uuid, text16 Hazelcast's
version, u16 members seen, u16 newest command known, i64 each of heap used, heap live, heap there can be, u8 whether all
that it owns is copied; text16 is u16 length and UTF-8, numbers big-endian, clocks ms since 1970. The jar of version
0.1.0 ends after the members seen: it knows the first six commands. More may follow.
"""

from __future__ import annotations

import asyncio
import struct
import time
import uuid
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from gridsession._logs import logger
from gridsession._record import Reader
from gridsession.drivers.hazelcast import _wire
from gridsession.drivers.hazelcast._call import NotSent, Overdue, ask, is_passing, lacks_jar, server_class
from gridsession.drivers.hazelcast._link import Link
from gridsession.errors import CodecError, ConnectFailed, MemberUnfit
from gridsession.node.jars import JARS_DIRECTORY, SOURCES_DIGEST_KEY, manifest

MAX_SKEW: Final = 2_000
"""Largest difference between two members' clocks, ms."""
FIRST_COMMANDS: Final = 6
"""Commands up to this wire id are known to every jar there ever was."""

_U8 = struct.Struct(">B")
_U16 = struct.Struct(">H")
_CLOCKS = struct.Struct(">qqHBI")
_HEAP = struct.Struct(">qqq")
_PAUSE = 0.05

_log = logger("hazelcast")


class Heap(NamedTuple):
    """A member's Java heap, bytes.

    Attributes:
        used: with what its next collection frees.
        live: what is needed for sure: what its last collection left, or more if records take more.
        most: what it may grow to.
    """

    used: int
    live: int
    most: int


class Report(NamedTuple):
    """What one member said of itself.

    Attributes:
        clock_low, clock_high: bounds of the member's clock minus this process's monotonic clock, ms.
        time_low, time_high: the same of cluster time.
        newest: the highest wire id of the commands it knows.
        heap: None of a jar that does not tell it.
        copied: whether all that it owns was copied when it last asked the others (while it was, every 10 s, else every
            2 s), and nobody came or left since; None of a jar that does not tell it.
    """

    address: str
    version: str
    sources: str
    declared: int
    sync_backups: int
    record_limit: int
    member: str
    hazelcast: str
    seen: int
    clock_low: int
    clock_high: int
    time_low: int
    time_high: int
    newest: int = FIRST_COMMANDS
    heap: Heap | None = None
    copied: bool | None = None


def own_sources() -> str | None:
    """The digest of the sources of the jar that ships with this package; None if it is not there."""
    return manifest(JARS_DIRECTORY / "gridsession-member.jar").get(SOURCES_DIGEST_KEY)


def address_of(member: Any) -> str:
    """A member's `host:port`."""
    return f"{member.address.host}:{member.address.port}"


async def probe(link: Link, member: Any, due: float) -> Report | None:
    """Ask one member; None if it owns no partition yet, so that nothing can be asked of it.

    Args:
        due: when to give up, by the loop's clock.

    Raises:
        MemberUnfit: it lacks our jar or answers in a form this version does not know.
        ConnectFailed: it gave no answer.
    """
    where = address_of(member)
    frames = _wire.ExecuteFrames(_wire.PROBE_MAP)
    loop = asyncio.get_running_loop()
    reason = "no answer"
    while loop.time() < due:
        key = key_on(link, member.uuid)
        if key is None:
            return None
        sent = _monotonic_ms()
        try:
            # With nothing assigned yet, the request goes to any member and makes the cluster assign.
            message = await ask(link, frames.processor(_wire.probe_data(), key), due, partition=key.partition)
            body = _wire.answer(message)
        except (NotSent, Overdue) as error:
            reason = type(error).__name__
        except CodecError as error:
            raise MemberUnfit(f"the member {where} answers a probe with other things: {error}", address=where) from None
        except Exception as error:  # noqa: BLE001 - each kind is judged here
            if lacks_jar(error):
                raise without_jar(where) from None
            if not is_passing(error):
                raise MemberUnfit(
                    f"the member {where} cannot run gridsession's probe ({server_class(error)}): put the"
                    " gridsession-member.jar of this version on its classpath",
                    address=where,
                ) from None
            reason = server_class(error)
        else:
            if body is not None and link.owner(key.partition) == member.uuid:
                report = _read(where, body, sent, _monotonic_ms())
                if uuid.UUID(report.member) == member.uuid:
                    return report
        await asyncio.sleep(_PAUSE)
    raise ConnectFailed(f"the member {where} did not answer a probe ({reason})", address=where)


def key_on(link: Link, member: uuid.UUID) -> _wire.Key | None:
    """A key in a partition of the member's, or any key while no partition is assigned."""
    count = link.partition_count()
    owned = {partition for partition in range(count) if link.owner(partition) == member}
    if not owned and all(link.owner(partition) is None for partition in range(count)):
        return link.keys.get("probe:0")
    if not owned:
        return None
    index = 0
    while True:
        data = _wire.key_data(f"probe:{index}")
        if _wire.partition_of(data, count) in owned:
            return link.keys.get(f"probe:{index}")
        index += 1


def _read(where: str, body: bytes, sent: int, received: int) -> Report:
    reader = Reader(body)
    try:
        (layout,) = reader.unpack(_U8)
        if layout != 1:
            raise MemberUnfit(
                f"the member {where} answers a probe in layout {layout}, unknown to this version: update the client",
                address=where,
            )
        version, sources = _text16(reader), _text16(reader)
        clock, cluster_time, declared, backups, limit = reader.unpack(_CLOCKS)
        member, hazelcast = str(uuid.UUID(_text16(reader))), _text16(reader)
        (seen,) = reader.unpack(_U16)
        newest = reader.unpack(_U16)[0] if reader.position < len(body) else FIRST_COMMANDS
        heap = Heap(*reader.unpack(_HEAP)) if reader.position < len(body) else None
        copied = bool(reader.unpack(_U8)[0]) if reader.position < len(body) else None
    except (struct.error, ValueError):
        raise MemberUnfit(f"the member {where} answers a probe in a form that cannot be read", address=where) from None
    return Report(
        where,
        version,
        sources,
        declared,
        backups,
        limit,
        member,
        hazelcast,
        seen,
        clock - received,
        clock - sent,
        cluster_time - received,
        cluster_time - sent,
        newest,
        heap,
        copied,
    )


def _text16(reader: Reader) -> str:
    return reader.take(reader.unpack(_U16)[0]).decode()


def _monotonic_ms() -> int:
    return time.monotonic_ns() // 1_000_000


def check_configuration(reports: Iterable[Report]) -> None:
    """Make sure that members were told the same.

    Raises:
        MemberUnfit: declared sizes or backups differ, or there are more members than declared.
    """
    known = list(reports)
    for report in known:
        first = known[0]
        where = report.address
        if (report.declared, report.sync_backups) != (first.declared, first.sync_backups):
            raise MemberUnfit(
                f"members are configured differently: {first.address} declares {first.declared} members and"
                f" {first.sync_backups} sync backups, {where} {report.declared} and {report.sync_backups}; start all"
                " with the same --members-declared and --backups",
                address=where,
            )
        if report.declared and report.seen > report.declared:
            raise MemberUnfit(
                f"{where} sees {report.seen} members but {report.declared} are declared, so no majority can be told;"
                " start all with --members-declared as many as there are",
                address=where,
            )


def check(reports: Iterable[Report]) -> None:
    """Make sure that members fit one another, and warn of a jar built from other sources than ours.

    Args:
        reports: got at about the same time, for clocks are compared.

    Raises:
        MemberUnfit: declared sizes, backups or clocks differ, or there are more members than declared.
    """
    known = list(reports)
    check_configuration(known)
    ours = own_sources()
    for report in known:
        where = report.address
        for other in known:
            skew = report.clock_low - other.clock_high
            if skew > MAX_SKEW:
                raise MemberUnfit(
                    f"the clock of {where} is {skew} ms ahead of that of {other.address}; more than {MAX_SKEW} ms would"
                    " end sessions early or late: set both by NTP",
                    address=where,
                )
        if ours is not None and report.sources != ours:
            digests = {"sources": report.sources[:12], "ours": ours[:12]}
            _log.warning("member.other_jar", address=where, version=report.version, **digests)


def without_jar(where: str) -> MemberUnfit:
    """What to say of a member that does not know our processors."""
    return MemberUnfit(
        f"the member {where} does not have gridsession's jar: put gridsession-member.jar on its classpath (`gridsession"
        " node` does), on all members before clients connect",
        address=where,
    )
