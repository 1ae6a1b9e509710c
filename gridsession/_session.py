"""A session's handle: every verb is one atomic command, one round trip."""

from __future__ import annotations

from collections.abc import Coroutine, Iterable, Mapping
from typing import Any, Final, TypeVar, overload

from gridsession import _codec, operations
from gridsession._commands import (
    NEVER,
    Absent,
    AtRevision,
    Commit,
    Delete,
    Field,
    Guard,
    Load,
    Operation,
    Pop,
    Set,
    Take,
    Touch,
    TtlMode,
    Want,
)
from gridsession._leases import LeaseState, lease_state
from gridsession._link import Link, new_id, refuse
from gridsession._record import BAGS, MAX_DURATION, PROPS, STATE, decode_field
from gridsession._reply import Reply, Status
from gridsession._snapshot import Revision, Snapshot, result
from gridsession._typed import check
from gridsession.errors import InvalidInput, TooLarge
from gridsession.policy import Duration, milliseconds

T = TypeVar("T")


class _TtlChoice:
    """The type of `RESTART` and `KEEP`."""

    def __init__(self, name: str, mode: TtlMode) -> None:
        self.name = name
        self.mode = mode

    def __repr__(self) -> str:
        return self.name


RESTART: Final = _TtlChoice("RESTART", TtlMode.RESTART)
"""`ttl=` of a commit: start the session's own ttl again (the default)."""
KEEP: Final = _TtlChoice("KEEP", TtlMode.KEEP)
"""`ttl=` of a commit: leave the time that is left as it is."""

Ttl = Duration | None | _TtlChoice
_RECORD: Final = Want.RECORD


class Bag:
    """Data verbs over one bag of a session; `session.props` is one, the session itself is that of its state."""

    __slots__ = ("_bag", "_id", "_link", "_token")

    def __init__(self, link: Link, session_id: str, bag: int, token: int = 0) -> None:
        self._link = link
        self._id = session_id
        self._bag = bag
        self._token = token

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {BAGS[self._bag]} of {self._id!a}>"

    async def load(self) -> Snapshot:
        """The whole session as it stands now; empty if there is none."""
        return Snapshot(await self._link.execute(self._id, self._link.load(want=_RECORD)))

    @overload
    async def get(self, name: str, default: None = None, *, last: int | None = None) -> Any: ...
    @overload
    async def get(self, name: str, default: T, *, last: int | None = None) -> Any | T: ...
    @overload
    async def get(self, name: str, default: T, *, type: type[T], last: int | None = None) -> T: ...
    @overload
    async def get(self, name: str, default: None = None, *, type: type[T], last: int | None = None) -> T | None: ...

    async def get(self, name: str, default: Any = None, *, type: Any = None, last: int | None = None) -> Any:
        """One field, or the default where there is none.

        Args:
            type: what the value must be; it is checked and never cast. Enum, dataclass and pydantic models are built.
            last: of a list only its last so many elements; what is no list comes whole.

        Raises:
            InvalidValue: the value is not of that type.
            InvalidInput: `last` is negative, or no whole number.
        """
        if last is not None and (not isinstance(last, int) or not 0 <= last < 2**31):
            raise InvalidInput(f"last must be a whole number, 0 or more, not {last!r}")
        asked = Field(self._bag, operations.field_name(name), -1 if last is None else last)
        reply = await self._link.execute(self._id, self._link.load(want=Want.NOTHING, names=(asked,)))
        raw = (reply.bags[self._bag] or {}).get(name)
        if raw is None:
            return default
        value = decode_field(raw)
        return value if type is None else check(value, type, f"$.{name}")

    async def set(self, name: str, value: object, *, ttl: Ttl = RESTART) -> None:
        """Put one field.

        Raises:
            InvalidValue: the value cannot be stored.
        """
        await self._apply(operations.set(name, value, bag=self._name), ttl=ttl)

    async def update(self, mapping: Mapping[str, object] = {}, /, **fields: object) -> Snapshot:
        """Merge fields over what is there (shallow), where the session lives; keywords are always fields.

        Returns:
            The session right after this change.

        Raises:
            InvalidValue: a value cannot be stored; nothing was changed.
        """
        changes = {**mapping, **fields}
        if not changes:
            return await self.load()
        bag, field_name, raw_of = self._bag, operations.field_name, operations.raw_of
        made = tuple([Set(bag, field_name(name), raw_of(name, value)) for name, value in changes.items()])
        return Snapshot(await self._commit(made, want=_RECORD))

    async def remove(self, *names: str) -> bool:
        """Remove fields; whether any of them was there."""
        if not names:
            return False
        reply = await self._commit(tuple(operations.remove(name, bag=self._name) for name in names))
        return any(outcome is True for outcome in reply.results)

    async def clear(self, retain: Iterable[str] = ()) -> None:
        """Remove every field of this bag except the retained ones, in one step. The session itself stays."""
        await self._commit((), clear=1 << self._bag, retain=_retained(self._bag, retain))

    async def increment(self, name: str, by: float = 1) -> Any:
        """Add to a number, an absent one counting as 0; the new number.

        Raises:
            WrongType: the field is no number, or the sum is out of range.
        """
        return await self._apply(operations.increment(name, by, bag=self._name))

    async def append(self, name: str, *values: object, keep: int | None = None) -> int:
        """Add to the end of a list (an absent one is empty) and keep its last `keep` elements; its length.

        Raises:
            WrongType: the field is no list.
        """
        length: int = await self._apply(operations.append(name, *values, keep=keep, bag=self._name))
        return length

    async def pop(self, name: str, default: Any = None, *, first: bool = False) -> Any:
        """Remove and return the last (or first) element of a list; the default when there is none.

        Raises:
            WrongType: the field is no list.
        """
        return await self._apply(operations.pop(name, first=first, bag=self._name), default)

    async def take(self, name: str, default: Any = None) -> Any:
        """Remove and return a field; the default where there is none. Exactly one of several takers gets it."""
        return await self._apply(operations.take(name, bag=self._name), default)

    async def setdefault(self, name: str, value: object) -> Any:
        """Put a field unless it is there; what stands afterwards."""
        return await self._apply(operations.setdefault(name, value, bag=self._name))

    async def compare_and_set(self, name: str, expected: object, value: object) -> bool:
        """Put a field if it still equals `expected`; whether it did. `ABSENT` stands for no field."""
        return bool(await self._apply(operations.compare_and_set(name, expected, value, bag=self._name)))

    @property
    def _name(self) -> operations.BagName:
        return "state" if self._bag == STATE else "props"

    async def _apply(self, operation: Operation, default: Any = None, *, ttl: Ttl = RESTART) -> Any:
        return value_of(operation, await self._commit((operation,), ttl=ttl), 0, default)

    def _commit(
        self,
        made: tuple[Operation, ...],
        *,
        guards: tuple[Guard, ...] = (),
        clear: int = 0,
        retain: tuple[tuple[int, str], ...] = (),
        ttl: Ttl = RESTART,
        want: Want = Want.NOTHING,
    ) -> Coroutine[Any, Any, Reply]:
        # Not a coroutine around a coroutine: an answer passes through each.
        link = self._link
        if len(made) > operations.MOST or len(retain) > operations.MOST:
            raise TooLarge(
                f"one command takes at most {operations.MOST} operations or retained names", session_id=self._id
            )
        mode, duration = ttl_mode(ttl)
        command = Commit(
            new_id(),
            link.not_after(),
            made,
            guards,
            self._token,
            clear,
            retain,
            mode,
            duration,
            link.created_ttl,
            link.created_max_lifetime,
            want,
            announce=link.announce,
        )
        return link.execute(self._id, command)


class Session(Bag):
    """A handle of one session: no I/O by itself, cheap to make, good for as long as its store is open."""

    __slots__ = ()

    def __init__(self, link: Link, session_id: str, token: int = 0) -> None:
        super().__init__(link, session_id, STATE, token)

    def __repr__(self) -> str:
        return f"<Session {self._id!a}>"

    @property
    def id(self) -> str:
        """The session's id in its text form, `platform:key`."""
        return self._id

    @property
    def props(self) -> Bag:
        """The second bag: facts about the user that outlive a conversation's flow. Same data verbs."""
        return Bag(self._link, self._id, PROPS, self._token)

    async def exists(self) -> bool:
        """Whether the session exists; an inspection, it touches nothing."""
        return await self._inspect() is not None

    async def ttl(self) -> float | None:
        """Seconds left; None = it never expires, 0.0 = there is no session. An inspection, it touches nothing."""
        reply = await self._inspect()
        if reply is None:
            return 0.0
        if reply.life is None or reply.life.expires_at is None:
            return None
        return max(reply.life.expires_at - reply.now, 0) / 1000

    async def lease(self) -> LeaseState:
        """Who holds the session, since when, and who waits for it. An inspection, it touches nothing.

        Raises:
            Unsupported: this driver has no way to tell.
        """
        return await lease_state(self._link, self._id)

    async def touch(self, ttl: Duration | None = None) -> bool:
        """Restart the ttl (or set a new one) without writing data; whether the session exists."""
        asked = Touch(MAX_DURATION, -1 if ttl is None else milliseconds(ttl, "ttl"))
        link = self._link
        command = Load(Want.NOTHING, touch=asked, confirm=True, not_after=link.not_after())
        return (await link.execute(self._id, command)).present

    async def remember(self, value: object, *, keep: int = 100, name: str = "messages") -> bool:
        """Add a value to a set of the `keep` most recent ones; whether it was new: one of several callers hears yes."""
        return bool(await self._apply(operations.remember(value, keep=keep, name=name)))

    async def allow(self, name: str = "default", *, every: Duration) -> bool:
        """Yes at most once per `every` seconds, however many callers in however many processes ask."""
        return bool(await self._apply(operations.allow(name, every=every)))

    async def delete(self, if_revision: Revision | None = None) -> bool:
        """Delete the session; true for exactly one caller.

        Raises:
            Conflict: it exists and stands at another revision than `if_revision`.
        """
        link = self._link
        guards = () if if_revision is None else (AtRevision(*if_revision),)
        reply = await link.ask(self._id, Delete(new_id(), link.not_after(), guards, self._token))
        if reply.status is Status.CONFLICT and not reply.present:
            return False
        if reply.status not in (Status.OK, Status.ABSENT):
            refuse(reply)
        return reply.status is Status.OK

    async def commit(
        self,
        *made: Operation,
        clear: bool | Iterable[str] = False,
        clear_props: bool | Iterable[str] = False,
        if_absent: bool = False,
        if_revision: Revision | None = None,
        ttl: Ttl = RESTART,
    ) -> Snapshot:
        """The general form: guards, then clear, then operations in order, then the ttl; all of it or nothing.

        Args:
            made: operations of `gridsession.operations`.
            clear: True empties the state first; names empty it except those.
            clear_props: the same for the props.
            if_absent: only if there is no session.
            if_revision: only if it still stands at the revision of an earlier snapshot.
            ttl: RESTART, KEEP, a new duration, or None = never expires. Operations that all find nothing to do
                (already there, not new, nothing to pop) write nothing, and then the ttl stays too.

        Returns:
            The session right after this commit, with `results`.

        Raises:
            Conflict: a guard did not hold; nothing was changed.
        """
        guards: tuple[Guard, ...] = (Absent(),) if if_absent else ()
        if if_revision is not None:
            guards = (*guards, AtRevision(*if_revision))
        mask, retain = 0, tuple[tuple[int, str], ...]()
        for bag, wish in ((STATE, clear), (PROPS, clear_props)):
            if wish is not False:
                mask |= 1 << bag
                retain += () if wish is True else _retained(bag, wish)
        reply = await self._commit(made, guards=guards, clear=mask, retain=retain, ttl=ttl, want=Want.RECORD)
        return Snapshot(reply, tuple(value_of(operation, reply, index) for index, operation in enumerate(made)))

    async def _inspect(self) -> Reply | None:
        reply = await self._link.execute(self._id, Load(Want.REVISION))
        return reply if reply.present else None


def _retained(bag: int, names: Iterable[str]) -> tuple[tuple[int, str], ...]:
    if isinstance(names, str):
        raise InvalidInput(f"retain takes several names: write [{names!r}]")
    return tuple((bag, operations.field_name(name)) for name in names)


def ttl_mode(ttl: Ttl) -> tuple[TtlMode, int]:
    """A choice of ttl as a commit carries it.

    Raises:
        InvalidOption: a duration that is none.
    """
    if isinstance(ttl, _TtlChoice):
        return ttl.mode, 0
    return TtlMode.SET, NEVER if ttl is None else milliseconds(ttl, "ttl")


def value_of(operation: Operation, reply: Reply, index: int, default: Any = None) -> Any:
    """What an operation's result means: codec bytes for pop, raw bytes for what gives a field, else yes or no."""
    found = result(reply, index)
    if not isinstance(found, bytes):
        return default if found is None and isinstance(operation, (Pop, Take)) else found
    return _codec.decode(found) if isinstance(operation, Pop) else decode_field(found)
