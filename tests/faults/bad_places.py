"""Places in this process that lost one property each: the one that the class's docstring names."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, ClassVar

from gridsession._commands import AckExpired, Append, Command, Commit, Delete, Load
from gridsession._identity import Space
from gridsession._record import LIST, STATE, Record, decode_field, encode_field
from gridsession._reply import Reply, Status
from gridsession.drivers import Due
from tests.faults.history import History
from tests.faults.places import Rough


class _Sometimes(Rough):
    """Does its bad deed with a command now and then."""

    share: ClassVar[float] = 0.05

    async def deliver(self, space: Space, session_id: str, command: Command) -> Reply:
        if self.random.random() >= self.share:
            return await super().deliver(space, session_id, command)
        before = self.records(space).get(session_id)
        return await self.misdeed(space, session_id, command, before)

    async def misdeed(self, space: Space, session_id: str, command: Command, before: Record | None) -> Reply:
        raise NotImplementedError

    async def apply(self, space: Space, session_id: str, command: Command) -> Reply:
        return await self.memory.execute(space, session_id, command)

    def put(self, space: Space, session_id: str, record: Record | None) -> None:
        if record is None:
            self.records(space).pop(session_id, None)
        else:
            self.records(space)[session_id] = record


class Drops(_Sometimes):
    """Acknowledges a change and forgets it."""

    caught_by = frozenset({"I1"})
    shown_by = ("append", "increment", "fields", "globals")

    async def misdeed(self, space: Space, session_id: str, command: Command, before: Record | None) -> Reply:
        reply = await self.apply(space, session_id, command)
        if isinstance(command, Commit):
            self.put(space, session_id, before)
        return reply


class Doubles(_Sometimes):
    """Applies a change twice."""

    caught_by = frozenset({"I2"})
    shown_by = ("append", "increment")

    async def misdeed(self, space: Space, session_id: str, command: Command, before: Record | None) -> Reply:
        if isinstance(command, Commit):
            await self.apply(space, session_id, replace(command, op_id=self.random.randbytes(16)))
        return await self.apply(space, session_id, command)


class Reorders(_Sometimes):
    """Puts what was appended before what stood there."""

    caught_by = frozenset({"I5"})
    shown_by = ("append",)

    async def misdeed(self, space: Space, session_id: str, command: Command, before: Record | None) -> Reply:
        reply = await self.apply(space, session_id, command)
        record = self.records(space).get(session_id)
        raw = None if record is None else record.bags[STATE].get("log")
        if record is not None and raw is not None and raw[0] == LIST:
            log = decode_field(raw)
            fields = {**record.bags[STATE], "log": encode_field([*log[:-4], *reversed(log[-4:])])}
            self.put(space, session_id, replace(record, bags=(fields, *record.bags[1:])))
        return reply


class StaleReads(_Sometimes):
    """Answers a read from what stood there a while ago."""

    share = 0.3
    caught_by = frozenset({"I6"})
    shown_by = ("append", "increment")

    def __init__(self, seed: int, history: History | None = None) -> None:
        super().__init__(seed, history)
        self._old: dict[tuple[Space, str], list[Record]] = {}

    async def deliver(self, space: Space, session_id: str, command: Command) -> Reply:
        if not isinstance(command, Load):
            old = self._old.setdefault((space, session_id), [])
            if record := self.records(space).get(session_id):
                old.append(record)
            return await Rough.deliver(self, space, session_id, command)
        return await super().deliver(space, session_id, command)

    async def misdeed(self, space: Space, session_id: str, command: Command, before: Record | None) -> Reply:
        old = self._old.get((space, session_id))
        if not old or before is None:
            return await self.apply(space, session_id, command)
        self.put(space, session_id, old[-5] if len(old) > 5 else old[0])
        reply = await self.apply(space, session_id, command)
        self.put(space, session_id, before)
        return reply


class ExtendsTtl(_Sometimes):
    """Restarts the ttl when it is only read."""

    share = 1.0
    caught_by = frozenset({"I12"})
    shown_by = ("expiry",)
    answers = 40

    async def misdeed(self, space: Space, session_id: str, command: Command, before: Record | None) -> Reply:
        reply = await self.apply(space, session_id, command)
        if isinstance(command, Load) and reply.present and before is not None:
            self.put(space, session_id, replace(before, touched=self.now()))
        return reply


class ReusesRevisions(_Sometimes):
    """Forgets that a revision was given to a change already."""

    caught_by = frozenset({"I7"})
    shown_by = ("append", "fields", "revision")

    async def misdeed(self, space: Space, session_id: str, command: Command, before: Record | None) -> Reply:
        reply = await self.apply(space, session_id, command)
        record = self.records(space).get(session_id)
        if isinstance(command, Commit) and record is not None and record is not before and record.revision > 1:
            self.put(space, session_id, replace(record, revision=record.revision - 1))
        return reply


class LeasesWithoutFencing(_Sometimes):
    """Grants leases and ends them, but takes a commit under any token."""

    share = 1.0
    caught_by = frozenset({"I9"})
    shown_by = ("lease",)
    answers = 40

    async def misdeed(self, space: Space, session_id: str, command: Command, before: Record | None) -> Reply:
        if isinstance(command, (Commit, Delete)):
            command = replace(command, token=0)
        return await self.apply(space, session_id, command)


class LeasesToAll(_Sometimes):
    """Grants the session to whoever asks."""

    share = 1.0
    caught_by = frozenset({"I9", "I10"})
    shown_by = ("lease",)
    answers = 40

    async def misdeed(self, space: Space, session_id: str, command: Command, before: Record | None) -> Reply:
        if isinstance(command, Commit):
            command = replace(command, token=0)
        asks = isinstance(command, Load) and command.acquire is not None and self.random.random() < 0.3
        if before is not None and asks:
            self.put(space, session_id, replace(before, lease=None, queue=()))
        return await self.apply(space, session_id, command)


class ForgetsTombstones(_Sometimes):
    """Forgets a deleted session whole: a late copy of an old command makes it again."""

    share = 1.0
    caught_by = frozenset({"I11"})
    shown_by = ("recreate",)

    async def misdeed(self, space: Space, session_id: str, command: Command, before: Record | None) -> Reply:
        reply = await self.apply(space, session_id, command)
        if isinstance(command, Delete) and reply.status is Status.OK:
            self.put(space, session_id, None)
        return reply


class ForgetsOpIds(Rough):
    """Takes a late copy of a command for a new one."""

    caught_by = frozenset({"I2"})
    shown_by = ("append", "increment", "turn")

    def late(self, command: Command) -> Command:
        return replace(command, op_id=self.random.randbytes(16)) if isinstance(command, Commit) else command


class CrossesTalk(Rough):
    """Gives one caller the answer of another."""

    caught_by = frozenset({"I14"})
    shown_by = ("append", "take", "cas")

    def __init__(self, seed: int, history: History | None = None) -> None:
        super().__init__(seed, history)
        self._last: dict[tuple[Space, type[Command]], Reply] = {}

    async def deliver(self, space: Space, session_id: str, command: Command) -> Reply:
        reply = await super().deliver(space, session_id, command)
        other = self._last.get((space, type(command)))
        self._last[space, type(command)] = reply
        return other if other is not None and other.id != session_id and self.random.random() < 0.1 else reply


class LosesElements(_Sometimes):
    """Drops the oldest elements of a list that was not to be cut."""

    caught_by = frozenset({"I1", "I4"})
    shown_by = ("append",)

    async def misdeed(self, space: Space, session_id: str, command: Command, before: Record | None) -> Reply:
        if isinstance(command, Commit) and command.operations and isinstance(command.operations[0], Append):
            command = replace(command, operations=(replace(command.operations[0], keep=5), *command.operations[1:]))
        return await self.apply(space, session_id, command)


class ForgetsToTell(Rough):
    """Tells of some expired sessions to nobody."""

    caught_by = frozenset({"I15"})
    shown_by = ("expired",)
    answers = 40

    async def due(self, space: Space, *, limit: int = 256) -> Due:
        due = await super().due(space, limit=limit)
        return Due([name for name in due.ids if not name.endswith("3")], due.again)


class TellsTwice(_Sometimes):
    """Forgets that what it told of was acknowledged."""

    share = 0.3
    caught_by = frozenset({"I15"})
    shown_by = ("expired",)
    answers = 40

    async def misdeed(self, space: Space, session_id: str, command: Command, before: Record | None) -> Reply:
        reply = await self.apply(space, session_id, command)
        if isinstance(command, AckExpired) and before is not None:
            kept = replace(before, previous=tuple(_unclaimed(each) for each in before.previous))
            self.put(space, session_id, kept)
            # As every write does: what is to be told is found by it.
            self.memory._announce(space, kept)
        return reply


def _unclaimed(previous: Any) -> Any:
    return replace(previous, claim=b"", until=0)
