"""aiogram 3 on the grid: `GridStorage` keeps each conversation's state and data, `GridEventIsolation` its turns.

    storage = GridStorage("hazelcast://host:5701/cluster?ttl=86400")
    dispatcher = Dispatcher(storage=storage, events_isolation=storage.create_isolation())
    handle_once(dispatcher)  # optional: an update that is delivered twice is handled once

With isolation, a handler runs in one turn of its conversation: alone in all processes, its changes saved in one step at
its end, and not at all if it failed or overran its lease. Without isolation, each call is one atomic command.
"""

from __future__ import annotations

import copy
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any, Final
from urllib.parse import quote

from gridsession import Session, SessionId, SessionStore, Turn
from gridsession import operations as op
from gridsession.dialects._place import Place
from gridsession.errors import InvalidOption
from gridsession.policy import Duration

try:
    from aiogram import Dispatcher
    from aiogram.exceptions import DataNotDictLikeError
    from aiogram.fsm.state import State
    from aiogram.fsm.storage.base import DEFAULT_DESTINY, BaseEventIsolation, BaseStorage, StateType, StorageKey
    from aiogram.types import TelegramObject, Update
except ImportError as error:
    raise ImportError("gridsession.dialects.aiogram needs aiogram 3: pip install 'gridsession[aiogram]'") from error

__all__ = ["GridEventIsolation", "GridStorage", "handle_once", "session_id"]

_STATE: Final = "state"
"""The field of the props that holds the state; the fields of the session's own state are the data."""


class _Held:
    """A turn that this task, or one that it started, runs in; None once the turn is over."""

    def __init__(self, place: Place, turn: Turn) -> None:
        self.place = place
        self.turn: Turn | None = turn


_held: ContextVar[tuple[_Held, ...]] = ContextVar("gridsession_aiogram_held", default=())
_update: ContextVar[int | None] = ContextVar("gridsession_aiogram_update", default=None)


class _Repeated(Exception):
    """The update was handled before."""


def session_id(key: StorageKey) -> SessionId:
    """The session of a conversation, `aiogram:<bot>:<chat>:<user>`; every part of the key tells sessions apart."""
    parts = [str(key.bot_id), str(key.chat_id), str(key.user_id)]
    if key.thread_id is not None:
        parts.append(f"thread={key.thread_id}")
    if key.business_connection_id is not None:
        parts.append(f"business={quote(key.business_connection_id, safe='')}")
    if key.destiny != DEFAULT_DESTINY:
        parts.append(f"destiny={quote(key.destiny, safe='')}")
    return SessionId("aiogram", ":".join(parts))


class GridStorage(BaseStorage):
    """State and data of a conversation in one session with one ttl: that of the store's policy.

    A conversation that was cleared stays as an empty session until then, so give the store a ttl.

    Args:
        store: an open store, which stays its owner's; or a URL (None = `GRIDSESSION_URL`), opened at first use.
    """

    def __init__(self, store: SessionStore | str | None = None) -> None:
        self._place = Place(store)

    def create_isolation(self, *, lease: Duration = 30.0, wait: Duration = 60.0) -> GridEventIsolation:
        """The isolation over the same store; the arguments are those of `GridEventIsolation`."""
        return GridEventIsolation(self, lease=lease, wait=wait)

    async def set_state(self, key: StorageKey, state: StateType = None) -> None:
        """Set the state, or with None remove it."""
        text = state.state if isinstance(state, State) else state
        if (turn := self._turn(key)) is not None:
            turn.props.pop(_STATE, None)
            turn.props.update({} if text is None else {_STATE: text})
        elif text is None:
            await (await self._session(key)).props.remove(_STATE)
        else:
            await (await self._session(key)).props.set(_STATE, text)

    async def get_state(self, key: StorageKey) -> str | None:
        """The state, or None."""
        if (turn := self._turn(key)) is not None:
            found: str | None = turn.props.get(_STATE)
            return found
        text: str | None = await (await self._session(key)).props.get(_STATE, type=str)
        return text

    async def set_data(self, key: StorageKey, data: Mapping[str, Any]) -> None:
        """Replace the data.

        Raises:
            DataNotDictLikeError: the data is no dict.
            InvalidValue: a value cannot be stored; nothing was changed.
        """
        if not isinstance(data, dict):
            raise DataNotDictLikeError(f"the data of a conversation is a dict, not {type(data).__name__}")
        made = [op.set(name, value) for name, value in data.items()]
        if (turn := self._turn(key)) is not None:
            turn.state = copy.deepcopy(data)
        else:
            await (await self._session(key)).commit(*made, clear=True)

    async def get_data(self, key: StorageKey) -> dict[str, Any]:
        """All data; the caller's own copy."""
        if (turn := self._turn(key)) is not None:
            return copy.deepcopy(turn.state)
        return dict(await (await self._session(key)).load())

    async def get_value(self, storage_key: StorageKey, dict_key: str, default: Any | None = None) -> Any | None:
        """One value of the data."""
        if (turn := self._turn(storage_key)) is not None:
            return copy.deepcopy(turn.state.get(dict_key, default))
        return await (await self._session(storage_key)).get(dict_key, default)

    async def update_data(self, key: StorageKey, data: Mapping[str, Any]) -> dict[str, Any]:
        """Merge into the data, in one step; the data as it is then.

        Raises:
            InvalidValue: a value cannot be stored; nothing was changed.
        """
        if (turn := self._turn(key)) is not None:
            for name, value in data.items():
                op.set(name, value)  # refused here, not at the end of the turn
            turn.state.update(copy.deepcopy(dict(data)))
            return copy.deepcopy(turn.state)
        return dict(await (await self._session(key)).update(data))

    async def close(self) -> None:
        """Close the store if it is ours."""
        await self._place.aclose()

    async def _session(self, key: StorageKey) -> Session:
        return (await self._place.store()).session(session_id(key))

    def _turn(self, key: StorageKey) -> Turn | None:
        """The turn this call belongs to, if it is inside of one of the same conversation."""
        text = None
        for held in _held.get():
            if held.turn is not None and held.place.same_store(self._place):
                text = text or session_id(key).text
                if held.turn.id == text:
                    return held.turn
        return None


class GridEventIsolation(BaseEventIsolation):
    """One handler at a time for each conversation, in all processes, first come first served.

    What a handler writes of other conversations, or of another destiny as a scene's history is, is written at once.

    Args:
        storage: whose conversations, or the open store that it uses; calls to it from inside of `lock` belong to that
            turn. A URL (None = `GRIDSESSION_URL`) opens another store: it locks, but saves nothing of any storage.
        lease: for how long others wait for a process that died; a living one renews it, however long a handler takes.
        wait: how long an update waits for those before it.
    """

    def __init__(
        self,
        storage: GridStorage | SessionStore | str | None = None,
        *,
        lease: Duration = 30.0,
        wait: Duration = 60.0,
    ) -> None:
        self._storages = isinstance(storage, GridStorage)
        self._place = storage._place if isinstance(storage, GridStorage) else Place(storage)
        self._lease = lease
        self._wait = wait

    @asynccontextmanager
    async def lock(self, key: StorageKey) -> AsyncGenerator[None, None]:
        """A turn of the conversation; what the storage was told inside is saved at its end, in one step.

        Raises:
            Leased: the wait ran out.
            LeaseLost: on leaving: the lease ended meanwhile, e.g. the process stood still; nothing was saved.
            Conflict: on leaving: what was changed inside was changed by another outside of any lock; nothing was saved.
        """
        store = await self._place.store()
        message = _update.get()
        _update.set(None)  # a lock that the handler takes by itself is of no update
        async with store.turn(session_id(key), lease=self._lease, wait=self._wait, message=message) as turn:
            if turn.repeated:
                raise _Repeated
            held, outer = _Held(self._place, turn), _held.get()
            _held.set((*outer, held))
            try:
                yield
            finally:
                held.turn = None
                _held.set(outer)

    async def close(self) -> None:
        """Close the store if it is ours; that of a storage is the storage's."""
        if not self._storages:
            await self._place.aclose()


def handle_once(dispatcher: Dispatcher) -> None:
    """Have an update that is delivered again dropped if its effect was saved before. Call it once, after construction.

    The update's id is remembered in the commit that saves what its handler did, so a process that dies before that
    has done nothing and one that dies later has done all. Feed updates in the foreground (a webhook with
    `handle_in_background=False`), so that Telegram delivers what failed again.

    Raises:
        InvalidOption: the dispatcher has no `GridEventIsolation`, or its FSM is disabled.
    """
    outer = dispatcher.update.outer_middleware
    middlewares = list(outer)
    if dispatcher.fsm not in middlewares or not isinstance(dispatcher.fsm.events_isolation, GridEventIsolation):
        raise InvalidOption("handle_once needs Dispatcher(storage=..., events_isolation=storage.create_isolation())")
    inner = middlewares[middlewares.index(dispatcher.fsm) :]
    for middleware in inner:
        outer.unregister(middleware)
    for middleware in (_once, *inner):
        outer.register(middleware)


async def _once(
    handler: Callable[[TelegramObject, dict[str, Any]], Awaitable[Any]], event: TelegramObject, data: dict[str, Any]
) -> Any:
    _update.set(event.update_id if isinstance(event, Update) else None)
    try:
        return await handler(event, data)
    except _Repeated:
        return None
    finally:
        _update.set(None)
