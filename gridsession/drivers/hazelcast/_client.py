"""The supervisor: one link at a time, replaced when it is stuck, and what was learnt of the members.

Listeners outlive links: each is installed again on a new one, and told of every gap in between.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, Final

from gridsession._logs import logger
from gridsession.drivers.hazelcast._call import Sweep, end_overdue
from gridsession.drivers.hazelcast._gate import Gate
from gridsession.drivers.hazelcast._link import Link, Settings
from gridsession.drivers.hazelcast._listen import Listener
from gridsession.drivers.hazelcast._probe import (
    FIRST_COMMANDS,
    Report,
    address_of,
    check,
    check_configuration,
    probe,
)
from gridsession.drivers.hazelcast._seam import check_seam
from gridsession.errors import ConnectFailed, MemberUnfit, StoreClosed, Unavailable
from gridsession.hooks import Hooks, MembersChanged

_STUCK: Final = 15.0
"""A link without any connection for so long (s) is replaced: the client's own reconnecting may hang."""
_TICK: Final = 1.0
_PROBE_PATIENCE: Final = 5.0

_log = logger("hazelcast")


class Clock:
    """Cluster time as this process knows it: its monotonic clock and an offset kept between what answers allow."""

    __slots__ = ("_offset", "_time")

    def __init__(self, time: Callable[[], float]) -> None:
        self._time = time
        self._offset: float | None = None

    def learn(self, now: int, sent: float, received: float) -> None:
        """An answer stamped `now` (ms) was asked for and came at these times of the loop's clock (s)."""
        offset = self._offset
        if offset is None or not now - received * 1000 <= offset <= now - sent * 1000:
            self.bound(now - received * 1000, now - sent * 1000)

    def bound(self, low: float, high: float) -> None:
        """Cluster time minus the loop's clock lies between these (ms)."""
        offset = self._offset
        if offset is None:
            self._offset = (low + high) / 2
        elif offset < low:
            self._offset = low
        elif offset > high:
            self._offset = high

    def now(self) -> int:
        """Cluster time, ms since 1970.

        Raises:
            StoreClosed: nothing was ever heard of it.
        """
        if self._offset is None:
            raise StoreClosed("the store is not open: `await store.open()` or `async with` it first")
        return int(self._time() * 1000 + self._offset)


class Client:
    """The cluster as this process reaches it.

    Attributes:
        sync_backups: as many backups must confirm a definite answer.
        gate: bounds the commands under way.
    """

    def __init__(self, settings: Settings, hooks: Hooks, max_in_flight: int) -> None:
        self._settings = settings
        self._hooks = hooks
        self._link: Link | None = None
        self._sweep: Sweep | None = None
        self._tending: asyncio.Task[None] | None = None
        self._changed = asyncio.Event()
        self._reports: dict[uuid.UUID, Report] = {}
        # Apart from the reports: a member's jar stays what it is, also while the member does not answer.
        self._newest: dict[uuid.UUID, int] = {}
        self._asked: set[uuid.UUID] = set()
        self._unfit: set[uuid.UUID] = set()
        self._mute: set[uuid.UUID] = set()
        self.listeners: set[Listener[Any]] = set()
        self.sync_backups = 0
        self.gate = Gate(max_in_flight)
        self.clock = Clock(asyncio.get_running_loop().time)
        self.closed = False

    @property
    def link(self) -> Link:
        """The link of now; it may be without a connection.

        Raises:
            StoreClosed: closed, or never opened.
        """
        if self._link is None or self.closed:
            raise StoreClosed("the store is closed, or was never opened")
        return self._link

    async def open(self) -> None:
        """Connect and probe every member.

        Raises:
            ConnectFailed: no member let us in.
            MemberUnfit: a member lacks our jar or does not fit the others.
        """
        check_seam()
        due = asyncio.get_running_loop().time() + self._settings.connect_timeout
        link = Link(self._settings, self._on_gap, self._on_members)
        await link.start(due)
        self._take(link)
        try:
            await self._probe_all(link, due)
            check(self._reports.values())
        except BaseException:
            await self.close()
            raise
        self._tending = asyncio.create_task(self._tend())
        # Who is connected by now was not told of: what tells of changes was added after the first connections.
        self._on_members()
        _log.info("client.connected", members=len(self._reports), sync_backups=self.sync_backups)

    async def close(self) -> None:
        """Let go of the cluster; calls under way end in an error."""
        self.closed = True
        if self._tending is not None:
            self._tending.cancel()
            with suppress(asyncio.CancelledError):
                await self._tending
        for listener in list(self.listeners):
            listener.end()
        if self._sweep is not None:
            self._sweep.stop()
        if self._link is not None:
            await self._link.close()

    def check_configuration(self) -> None:
        """Make sure that the members were told the same, by what they last said.

        Raises:
            MemberUnfit: they were not; the message says what to do.
        """
        check_configuration(self._reports.values())

    def lacking(self, code: int) -> str | None:
        """The address of a member that does not know the command of this wire id; None if none.

        While members are restarted one by one with a newer jar, old ones and new ones run together. One that has just
        joined and was not heard yet counts as one that knows it: else each restart would be felt.
        """
        if code <= FIRST_COMMANDS:
            return None
        for member in self.link.members():
            if not member.lite_member and self._newest.get(member.uuid, code) < code:
                return address_of(member)
        return None

    def _take(self, link: Link) -> None:
        if self._sweep is not None:
            self._sweep.stop()
        self._link = link
        self._sweep = Sweep(partial(end_overdue, link), self.gate.end_overdue)

    def _on_gap(self) -> None:
        for listener in list(self.listeners):
            listener.gap()

    def _on_members(self) -> None:
        self._changed.set()
        if self._hooks and self._link is not None:
            self._hooks(MembersChanged(self._link.connection_count(), len(self._link.members())))

    # --- tending ------------------------------------------------------------------------------------------------

    async def _tend(self) -> None:
        loop = asyncio.get_running_loop()
        met = loop.time()
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(_TICK):
                    await self._changed.wait()
            self._changed.clear()
            link = self.link
            try:
                if link.connected:
                    met = loop.time()
                    await self._probe_new(link)
                elif not link.running or loop.time() - met > _STUCK:
                    await self._replace(link)
                    met = loop.time()
            except Exception as error:  # noqa: BLE001 - without tending a stuck client would stay stuck
                _log.exception("client.tending_failed", error=type(error).__name__)
                await asyncio.sleep(_TICK)

    async def _replace(self, old: Link) -> None:
        _log.warning("client.replaced", reason="stuck" if old.running else "refused")
        await old.close()
        loop = asyncio.get_running_loop()
        while True:
            link = Link(self._settings, self._on_gap, self._on_members)
            try:
                await link.start(loop.time() + self._settings.connect_timeout)
            except Unavailable as error:
                _log.warning("client.connect_failed", error=str(error))
                await asyncio.sleep(_TICK)
                continue
            break
        self._take(link)
        self._changed.set()
        for listener in list(self.listeners):
            listener.install()

    async def _probe_new(self, link: Link) -> None:
        try:
            if await self._probe_all(link, asyncio.get_running_loop().time() + _PROBE_PATIENCE):
                check(self._reports.values())
        except MemberUnfit as error:
            _log.error("member.unfit", address=error.address, problem=str(error))
        except ConnectFailed:
            return  # Told of already; it is asked again with the next turn.

    async def _probe_all(self, link: Link, due: float) -> bool:
        """Ask all members, if one is new or gone or has not answered; True if they were.

        All at once, since their clocks are compared. What cannot be asked now stands over for the next time.
        """
        members = {member.uuid: member for member in link.members() if not member.lite_member}
        self._reports = {key: report for key, report in self._reports.items() if key in members}
        self._newest = {key: newest for key, newest in self._newest.items() if key in members}
        self._unfit &= set(members)
        self._mute &= set(members) - set(self._reports)
        fit = {key: member for key, member in members.items() if key not in self._unfit}
        if set(members) == self._asked and set(fit) == set(self._reports):
            return False
        self._asked = set(members)
        patience = min(due, asyncio.get_running_loop().time() + _PROBE_PATIENCE)
        probes = (probe(link, member, patience) for member in fit.values())
        answers = await asyncio.gather(*probes, return_exceptions=True)
        fault: BaseException | None = None
        for member, answer in zip(fit.values(), answers, strict=True):
            self._reports.pop(member.uuid, None)
            if isinstance(answer, Report):
                self._reports[member.uuid] = answer
                self._newest[member.uuid] = answer.newest
                self.clock.bound(answer.time_low, answer.time_high)
            elif isinstance(answer, MemberUnfit):
                self._unfit.add(member.uuid)
                fault = answer
            elif isinstance(answer, ConnectFailed):
                fault = fault or answer
                self._warn_of_mute(member, answer)
            elif answer is not None:
                raise answer
        if isinstance(fault, MemberUnfit) or (fault is not None and not self._reports):
            raise fault
        if not self._reports:
            addresses = ",".join(map(address_of, members.values())) or ",".join(self._settings.addresses)
            raise ConnectFailed(
                f"no member at {addresses} owns data yet: the cluster is still forming, try again", address=addresses
            )
        self.sync_backups = max(report.sync_backups for report in self._reports.values())
        return True

    def _warn_of_mute(self, member: Any, error: ConnectFailed) -> None:
        """Once for each: backups confirm to the client itself, so what it holds copies of cannot be confirmed to us."""
        if member.uuid not in self._mute:
            self._mute.add(member.uuid)
            effect = (
                "changes of sessions whose copies it holds end in OutcomeUnknown: this process must reach each member"
            )
            _log.warning("member.mute", address=error.address, problem=str(error), effect=effect)
