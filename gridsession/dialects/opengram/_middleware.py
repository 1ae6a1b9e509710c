"""`session(...)`: the middleware that holds, shows and saves the sessions of an update."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Final, Literal, TypeAlias

from gridsession import Policy, SessionId, SessionStore
from gridsession.dialects.opengram._attached import attached, attached_to
from gridsession.dialects.opengram._context import session_key
from gridsession.dialects.opengram._held import Held, NoSession, OnNone, View
from gridsession.dialects.opengram._place import PLATFORM, Place, TtlUnit
from gridsession.errors import Conflict, InvalidOption, OutcomeUnknown, Unavailable
from gridsession.policy import Duration, milliseconds

Save: TypeAlias = Literal["changed", "touched", "always"]
SessionKeyOf: TypeAlias = Callable[[Any], object]
OnError: TypeAlias = Callable[[Exception], object]

_SAVES: Final = ("changed", "touched", "always")
_ON_NONE: Final = ("delete", "empty")


def session(
    get_session_key: SessionKeyOf | None = None,
    ttl: Duration | None = None,
    property: str = "session",  # noqa: A002 - Opengram's name for it
    store: object = None,
    *,
    save: Save = "changed",
    none: OnNone = "delete",
    policy: Policy | None = None,
    store_ttl: TtlUnit = "seconds",
) -> SessionMiddleware:
    """A middleware that gives each update its session: `await middleware(ctx, next)`.

    Several of them, one inside the other, give an update several sessions: each has its own property, and its own store
    or keys that differ from the others'. Two that come to the same session of the same store share it. An update holds
    its sessions from the outermost on: nest them in one order everywhere, else two updates may wait for each other
    until the policy's `wait` ends in `Leased`.

    Args:
        get_session_key: takes the context and gives the key, text or a whole number; None, 0 or "" = this update has no
            session. Plain or async. None = `session_key`, Opengram's `from.id:chat.id`.
        ttl: life of a session since its last update, seconds or timedelta; None = what the store says.
        property: the name under which the session stands on the context (an item where the context is a mapping).
        store: a URL; a `SessionStore` or a driver, which stay open; or an object of your own with get and set and,
            where it has them, delete and keys (a dict, a Map-like or keyv-like store; plain or async), which holds
            readable documents under the bare keys. None = `GRIDSESSION_URL`, else the memory of this process. An object
            of your own is updated safely by one middleware in one process: for more of them, use one of the others.
        save: when a session is written: if it was `changed`, if it was `touched` (read is enough), or `always`. If a
            handler fails, nothing is. An update with a `ttl` restarts it under each of these.
        none: what assigning None does: `delete` the session, or leave it `empty`, as Opengram does.
        policy: of what is opened here: how long an update waits while another one holds its session (`wait`, 10 s), how
            long a call may take, and the rest; a `SessionStore` that is handed in has its own.
        store_ttl: the unit in which an object of your own takes `ttl=`, if its set has such a parameter.

    Raises:
        InvalidOption: an argument that makes no sense.
    """
    for name, value, known in (("save", save, _SAVES), ("none", none, _ON_NONE)):
        if value not in known:
            raise InvalidOption(f"{name} must be one of {', '.join(known)}, not {value!r}")
    if get_session_key is not None and not callable(get_session_key):
        raise InvalidOption(f"get_session_key is a function of a context, not {type(get_session_key).__name__}")
    if not isinstance(property, str) or not property.isidentifier():
        raise InvalidOption(f"property must be a name, as 'session', not {property!r}")
    place = Place(store, policy, store_ttl)
    return SessionMiddleware(place, get_session_key or session_key, ttl, property, save, none)


class SessionMiddleware:
    """Made by `session`. It connects at the first update, or by `connect()` or `async with`; `aclose()` ends it."""

    def __init__(
        self,
        place: Place,
        get_session_key: SessionKeyOf,
        ttl: Duration | None,
        property_name: str,
        save: Save,
        none: OnNone,
    ) -> None:
        self._place = place
        self._key_of = get_session_key
        self._property = property_name
        self._save = save
        self._none = none
        self._listeners: list[OnError] = []
        self.ttl = ttl

    def __repr__(self) -> str:
        return f"<SessionMiddleware {self._property}>"

    @property
    def store(self) -> object:
        """The store that was handed in; the `SessionStore` that was opened, if it was a URL or None."""
        return self._place.given

    @property
    def sessions(self) -> SessionStore:
        """Where the sessions are, whatever was handed in; there a session's id is `opengram:<key>`."""
        return self._place.sessions

    @property
    def ttl(self) -> Duration | None:
        """What was set: seconds or timedelta; None = what the store says.

        Setting it is for the updates from now on.

        Raises:
            InvalidOption: not a positive duration.
        """
        return self._ttl

    @ttl.setter
    def ttl(self, ttl: Duration | None) -> None:
        if ttl is not None:
            milliseconds(ttl, "ttl")
        self._ttl = ttl

    def on(self, event: Literal["error"], callback: OnError) -> SessionMiddleware:
        """Have a function called with each error of the store, plain or async, before that error is raised.

        Args:
            event: `error` is the only one.
            callback: takes the `Unavailable` or `OutcomeUnknown`.

        Raises:
            InvalidOption: another event.
        """
        if event != "error":
            raise InvalidOption(f"a session middleware has the event 'error', not {event!r}")
        self._listeners.append(callback)
        return self

    async def connect(self) -> SessionMiddleware:
        """Connect now rather than at the first update.

        Raises:
            Unavailable: the place cannot be reached or is unfit; the next call tries again.
        """
        await self._place.connect()
        return self

    async def aclose(self) -> None:
        """Give connections back. A `SessionStore`, a driver or an object that was handed in stays as it is."""
        await self._place.aclose()

    async def __aenter__(self) -> SessionMiddleware:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def __call__(self, ctx: object, next: Callable[[], Any]) -> Any:  # noqa: A002 - every middleware's name for it
        """Run the rest of the update's handlers with its session on the context, and save it when they ended.

        Args:
            ctx: an object, which gets a property, or a mutable mapping (a raw update), which gets an item. An item, and
                the plain attribute of an object that allows no property (a namespace, a frozen model), differ so:
                without a key they raise when they are used, and what is assigned counts when the handlers ended.
            next: the rest, taking nothing, plain or async.

        Returns:
            What `next` returned.

        Raises:
            Leased: another update held the session for longer than the policy's `wait`; nothing was run.
            Unavailable, OutcomeUnknown: the store failed; these go to `on("error", ...)` too.
            InvalidValue: the session holds what cannot be stored; nothing was saved.
            UsageError: the context can carry no property.
        """
        key = await self._key(ctx)
        if key is None:
            return await self._show(ctx, View(NoSession(self._property), self._none), next)
        held = self._held_already(ctx, key)
        if held is not None:
            return await self._show(ctx, View(held, self._none), next)
        theirs: list[BaseException] = []

        async def rest() -> Any:
            try:
                return await _result(next())
            except BaseException as error:
                theirs.append(error)
                raise

        try:
            return await self._update(ctx, key, rest)
        except (Unavailable, OutcomeUnknown) as error:
            # A handler's own use of a store is not ours to report.
            if error not in theirs:
                for listener in self._listeners:
                    await _result(listener(error))
            raise

    async def _key(self, ctx: object) -> str | None:
        key = await _result(self._key_of(ctx))
        if not key:
            return None
        if isinstance(key, bool) or not isinstance(key, (str, int)):
            raise InvalidOption(f"get_session_key gives text, a whole number or None, not {type(key).__name__}")
        return str(key)

    def _held_already(self, ctx: object, key: str) -> Held | None:
        """The session, if a middleware around this one holds it for the same context."""
        for one in attached_to(ctx):
            held = one.view.held
            if isinstance(held, Held) and held.open and held.key == key and held.place.is_same(self._place):
                return held
        return None

    async def _show(self, ctx: object, view: View, next: Callable[[], Any]) -> Any:  # noqa: A002 - as for __call__
        with attached(ctx, self._property, view) as one:
            answer = await _result(next())
            one.settle()
        return answer

    async def _update(self, ctx: object, key: str, rest: Callable[[], Any]) -> Any:
        await self._place.connect()
        async with self._place.alone(key):
            sessions = self.sessions
            ttl = sessions.policy.ttl if self._ttl is None else self._ttl
            session_id = SessionId(PLATFORM, key)
            turn = sessions.turn(session_id, exclusive=self._place.leases, ttl=ttl)
            async with turn:
                revision = turn.revision
                held = Held(turn, self._place, key)
                try:
                    answer = await self._show(ctx, View(held, self._none), rest)
                finally:
                    held.close()
                if held.deleted and turn.exists:
                    await turn.delete()
            if turn.revision == revision and not held.deleted:
                await self._unchanged(held, ttl)
        return answer

    async def _unchanged(self, held: Held, ttl: Duration | None) -> None:
        """Write what did not change, where the policy asks for it; else restart its ttl."""
        turn = held.turn
        one = self.sessions.session(turn.id)
        if self._save == "always" or (self._save == "touched" and held.touched):
            # Whoever was there meanwhile wrote something newer.
            with contextlib.suppress(Conflict):
                if turn.exists:
                    await one.commit(if_revision=turn.revision, ttl=ttl)
                else:
                    await one.commit(if_absent=True, ttl=ttl)
        elif turn.exists and ttl is not None:
            await one.touch(ttl)


async def _result(value: Any) -> Any:
    return await value if isinstance(value, Awaitable) else value
