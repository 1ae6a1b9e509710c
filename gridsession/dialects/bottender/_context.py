"""What a handler is given for one event: the session's state, its id, and who speaks."""

from __future__ import annotations

import datetime as dt
import warnings
from collections.abc import Awaitable, Callable, Iterator, Mapping
from types import TracebackType
from typing import Any, Final, Self

from gridsession import SessionId, Turn
from gridsession.dialects.bottender._event import Event
from gridsession.dialects.bottender._recorded import PARTS, record
from gridsession.dialects.bottender._shape import LAST_ACTIVITY, STATE
from gridsession.dialects.bottender._state import EMPTY, ReadOnlyDict, frozen, storable, thawed
from gridsession.errors import UsageError

_READ_ONLY: Final = frozenset({"id", "platform", "type", STATE, LAST_ACTIVITY, "last_activity", *PARTS})


class ContextSession(Mapping[str, Any]):
    """`context.session`: the session's fields, by attribute or by item; as a mapping, what a store's `read` gives.

    `id`, `platform`, `type`, `user`, `group`, `room`, `channel`, `team` and `page` are recorded at each event and
    read-only; of those that the platform does not tell, the attribute is None. A handler may set fields of its own:
    `session.nickname = "Tim"`.
    """

    _context: Context
    _id: str
    _platform: str
    _props: dict[str, Any]

    def __init__(self, context: Context, session_id: str, platform: str, props: dict[str, Any]) -> None:
        vars(self).update(_context=context, _id=session_id, _platform=platform, _props=props)

    def __repr__(self) -> str:
        # Ids may be shown, values never.
        return f"<session {self._id!a}>"

    @property
    def id(self) -> str:
        """The session's id, `platform:key`, as `sessions.events` gives it."""
        return self._id

    @property
    def platform(self) -> str:
        """The platform's name."""
        return self._platform

    @property
    def last_activity(self) -> int | None:
        """When the event before this one was handled, ms since 1970; None for the first one."""
        found: int | None = self._props.get(LAST_ACTIVITY)
        return found

    lastActivity = last_activity  # noqa: N815 - Bottender's name

    def __getitem__(self, name: str) -> Any:
        if name in ("id", "platform"):
            return getattr(self, name)
        if name == STATE:
            return self._context.state
        value = self._props[name]
        return frozen(value) if name in _READ_ONLY else value

    def __iter__(self) -> Iterator[str]:
        yield from ("id", "platform")
        yield from (name for name in self._props if name not in ("id", "platform", STATE))
        yield STATE

    def __len__(self) -> int:
        return sum(1 for _ in self)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or (name not in _READ_ONLY and name not in self._props):
            raise AttributeError(f"the session has no field {name[:64]!a}")
        return self[name] if name in self._props else None

    def __setattr__(self, name: str, value: object) -> None:
        if name not in _READ_ONLY and (name.startswith("_") or hasattr(type(self), name)):
            raise UsageError(f"{name[:64]} is a name of the session's own: write context.session[{name[:64]!r}] = ...")
        self[name] = value

    def __setitem__(self, name: str, value: object) -> None:
        if name in _READ_ONLY:
            raise UsageError(
                f"context.session.{name} is read-only: it follows from the event, and the state changes by set_state"
            )
        if self._context._writable("context.session was changed") is not None:
            self._props.update(storable({name: value}, "context.session"))


class Context:
    """One event with its session, for `async with`. Made by `Sessions.context`.

    The session is held alone while the block runs, so events of one session are handled one after another, in
    whatever process. It is written once, at the end of the block; an exception in the block writes nothing.

    Args:
        platform: the platform's name.
        event: what is handled.
        turn: the session's turn, not yet entered, or what gives it when the block is entered; None for an event
            without a session.
        initial_state: the state of a session that has none.
        request_context: whatever the web framework knows of the request.
    """

    def __init__(
        self,
        platform: str,
        event: Event,
        turn: Turn | Callable[[], Awaitable[Turn]] | None = None,
        *,
        initial_state: Mapping[str, Any] = EMPTY,
        request_context: object = None,
    ) -> None:
        self._platform = platform
        self._event = event
        self._turn = turn if isinstance(turn, Turn) else None
        self._take = None if isinstance(turn, Turn) else turn
        self._initial_state = initial_state
        self._request_context = request_context
        self._session: ContextSession | None = None
        self._state = EMPTY
        self._written = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._event.session_id!a}>"

    async def __aenter__(self) -> Self:
        if self._take is not None:
            # Once: a context that is entered again gets the turn it had, which says so.
            self._turn, self._take = await self._take(), None
        if self._turn is not None:
            await self._turn.__aenter__()
            try:
                self._begin(self._turn)
            except BaseException as error:
                await self._turn.__aexit__(type(error), error, error.__traceback__)
                raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # From here on nothing is taken any more: the write is under way.
        self._written = True
        if self._turn is not None:
            now = int(_now().timestamp() * 1000)
            # A turn that changed nothing would write nothing, and then the expiry would not restart.
            self._turn.props[LAST_ACTIVITY] = now + (now == self._turn.props.get(LAST_ACTIVITY))
            await self._turn.__aexit__(kind, error, trace)

    @property
    def platform(self) -> str:
        """The platform's name."""
        return self._platform if self._session is None else self._session.platform

    @property
    def event(self) -> Event:
        """What is handled, as the platform posted it: `context.event.message.text`."""
        return self._event

    @property
    def request_context(self) -> object:
        """What `Sessions.context` was given as such."""
        return self._request_context

    @property
    def session(self) -> ContextSession | None:
        """The session; None for an event that belongs to none."""
        return self._session

    @property
    def last_activity(self) -> int | None:
        """`session.last_activity`; None without a session."""
        return None if self._session is None else self._session.last_activity

    @property
    def repeated(self) -> bool:
        """Whether the message that this context is for was handled before."""
        return self._turn is not None and self._turn.repeated

    @property
    def is_session_written(self) -> bool:
        """Whether the block has ended: what is set now is not saved."""
        return self._written

    @property
    def initial_state(self) -> ReadOnlyDict:
        """The state of a session that has none yet, read-only."""
        found: ReadOnlyDict = frozen(dict(self._initial_state))
        return found

    @property
    def state(self) -> ReadOnlyDict:
        """The session's state, read-only at every depth: change it by `set_state`. Empty without a session.

        It reads as a dict; copies of it (`copy.deepcopy(context.state)`) are plain and the reader's own.
        """
        return self._state

    @state.setter
    def state(self, value: object) -> None:
        raise UsageError("context.state is not assigned: call context.set_state({...}), which merges into it")

    def set_state(self, state: Mapping[str, Any] = EMPTY, /, **fields: Any) -> None:
        """Merge fields over the state, shallow; `context.state` shows them at once, the block's end saves them.

        Without a session, or after the block, it warns and does nothing.

        Raises:
            InvalidValue: not a mapping, or a value that cannot be stored; `path` says where.
        """
        changes = {**storable(state, "set_state"), **storable(fields, "set_state")}
        turn = self._writable("context.set_state was called")
        if turn is not None:
            turn.state.update(changes)
            self._state = ReadOnlyDict({**self._state, **frozen(changes)})

    def reset_state(self) -> None:
        """Make the state a copy of the initial state again. Without a session, or after the block, as `set_state`."""
        turn = self._writable("context.reset_state was called")
        if turn is not None:
            self._replace(turn)

    setState, resetState = set_state, reset_state  # noqa: N815 - Bottender's names
    initialState, isSessionWritten = initial_state, is_session_written  # noqa: N815 - as above
    requestContext = request_context  # noqa: N815 - as above

    def _writable(self, what: str) -> Turn | None:
        """The turn that takes a change; None, with a warning at the handler's line, where nothing does."""
        if self._event.session is None:
            why = "for an event that has no session: nothing is changed"
        elif self._session is None:
            raise UsageError(f"{what} outside of the context's block: use it inside of `async with`")
        elif self._written:
            why = "after the session was written: this is not saved. Did you forget to await something?"
        else:
            return self._turn
        warnings.warn(f"{what} {why}", RuntimeWarning, stacklevel=3)
        return None

    def _begin(self, turn: Turn) -> None:
        named, props = SessionId.parse(turn.id), turn.props
        if not turn.state and LAST_ACTIVITY not in props:
            self._replace(turn)
        self._state = frozen(turn.state)
        record(self._platform, self._event, named.key, props, _now())
        self._session = ContextSession(self, self._event.session_id or turn.id, named.platform, props)

    def _replace(self, turn: Turn) -> None:
        turn.state.clear()
        turn.state.update(thawed(dict(self._initial_state)))
        self._state = frozen(turn.state)


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)
