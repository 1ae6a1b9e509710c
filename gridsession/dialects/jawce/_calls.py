"""What a manager does with one session: each method is one atomic command."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from functools import partial
from types import UnionType
from typing import Any, Final, TypeAlias, TypeVar, overload

from gridsession import Session, SessionId, operations
from gridsession.dialects.jawce._bind import of_session
from gridsession.dialects.jawce._convert import convert
from gridsession.dialects.jawce._places import Place
from gridsession.errors import InvalidInput, InvalidSessionId, InvalidValue
from gridsession.operations import Operation
from gridsession.policy import Duration

T = TypeVar("T")
Cast: TypeAlias = type[T] | Callable[[Any], T]
"""What makes a typed read: a class to convert to, or a callable to call."""
Read: TypeAlias = Callable[[], Any]

PLATFORM: Final = "whatsapp-cloud"
"""What keeps the bare numbers of WhatsApp apart from other platforms' sessions in the same store."""
MISSING: Final = object()


class SessionCalls:
    """The methods with a session's id, which a view may leave out."""

    def __init__(self, place: Place, prop_key: str) -> None:
        self._place = place
        self._prop_key = prop_key
        self._bound_to: str | None = None

    @property
    def prop_key(self) -> str:
        """The key under which `fetch_all` holds the props bag."""
        return self._prop_key

    @property
    def bound_to(self) -> str | None:
        """The id of the session this view is bound to; None for the manager itself."""
        return self._bound_to

    @overload
    async def save(self, session_id: str, key: str, data: object) -> None: ...
    @overload
    async def save(self, key: str, data: object) -> None: ...
    @of_session
    async def save(self, session_id: str, key: str, data: object) -> None:
        """Put one value. Under `prop_key` a dict replaces the props.

        Raises:
            InvalidValue: the data cannot be stored.
            TooLarge: the session would hold more values, or larger ones, than its place takes.
        """
        session, name = await self._session(session_id), plain(key)
        if name == self.prop_key:
            await session.commit(*self._props(data), clear_props=True)
        else:
            await session.set(name, data)

    @overload
    async def save_all(self, session_id: str, data: Mapping[str, object]) -> None: ...
    @overload
    async def save_all(self, data: Mapping[str, object]) -> None: ...
    @of_session
    async def save_all(self, session_id: str, data: Mapping[str, object]) -> None:
        """Put several values, all or none. Under `prop_key` a dict replaces the props.

        Raises:
            InvalidValue: a value cannot be stored; nothing was changed.
            TooLarge: as for `save`; nothing was changed.
        """
        values = {plain(key): value for key, value in data.items()}
        props = values.pop(self.prop_key, MISSING)
        made = [operations.set(name, value) for name, value in values.items()]
        if props is not MISSING:
            made += self._props(props)
        if values or props is not MISSING:
            session = await self._session(session_id)
            await session.commit(*made, clear_props=props is not MISSING)

    @overload
    async def save_prop(self, session_id: str, prop_key: str, data: object) -> None: ...
    @overload
    async def save_prop(self, prop_key: str, data: object) -> None: ...
    @of_session
    async def save_prop(self, session_id: str, prop_key: str, data: object) -> None:
        """Put one value into the props, the bag of facts about the user.

        Raises:
            InvalidValue: the data cannot be stored.
            TooLarge: as for `save`; values and props count together.
        """
        await (await self._session(session_id)).props.set(plain(prop_key), data)

    @overload
    async def get(self, session_id: str, key: str, t: UnionType | None = None) -> Any: ...
    @overload
    async def get(self, session_id: str, key: str, t: Cast[T]) -> T | None: ...
    @overload
    async def get(self, key: str, t: UnionType | None = None) -> Any: ...
    @overload
    async def get(self, key: str, t: Cast[T]) -> T | None: ...
    @of_session
    async def get(self, session_id: str, key: str, t: Any = None) -> Any:
        """One value; None where there is none, and where None was saved.

        Args:
            t: a class or a type like `list[int]` converts as Jackson does: "False" is False, "12" is 12, ISO text is a
                datetime, an Enum comes by value or name, a dataclass or pydantic model by its fields. Any other
                callable is called with the value.

        Raises:
            InvalidValue: the value does not convert; the message names the field and never the value.
        """
        return (await self._read(session_id, key, t))()

    @overload
    async def get_from_props(self, session_id: str, prop_key: str, t: UnionType | None = None) -> Any: ...
    @overload
    async def get_from_props(self, session_id: str, prop_key: str, t: Cast[T]) -> T | None: ...
    @overload
    async def get_from_props(self, prop_key: str, t: UnionType | None = None) -> Any: ...
    @overload
    async def get_from_props(self, prop_key: str, t: Cast[T]) -> T | None: ...
    @of_session
    async def get_from_props(self, session_id: str, prop_key: str, t: Any = None) -> Any:
        """One value of the props; `t` and errors as for `get`."""
        return (await self._read_prop(session_id, prop_key, t))()

    @overload
    async def get_user_props(self, session_id: str) -> dict[str, Any]: ...
    @overload
    async def get_user_props(self) -> dict[str, Any]: ...
    @of_session
    async def get_user_props(self, session_id: str) -> dict[str, Any]:
        """A copy of the props; empty where there are none."""
        return dict((await (await self._session(session_id)).load()).props)

    @overload
    async def fetch_all(self, session_id: str, is_global: bool = False) -> dict[str, Any]: ...
    @overload
    async def fetch_all(self, is_global: bool = False) -> dict[str, Any]: ...
    @of_session
    async def fetch_all(self, session_id: str, is_global: bool = False) -> dict[str, Any]:
        """A copy of all values, with the props under `prop_key`; or of all globals.

        `{}` for a session that is unknown, has expired, or was cleared whole: as JAWCE has it, where pywce gives None
        for an unknown one.
        """
        if is_global:
            return await (await self._place.store()).globals.load()
        snapshot = await (await self._session(session_id)).load()
        values, props = dict(snapshot), dict(snapshot.props)
        cleared = values.pop(self.prop_key, MISSING) is not MISSING
        if values or props or (snapshot.exists and not cleared):
            values[self.prop_key] = props
        return values

    @overload
    async def evict(self, session_id: str, key: str) -> None: ...
    @overload
    async def evict(self, key: str) -> None: ...
    @of_session
    async def evict(self, session_id: str, key: str) -> None:
        """Remove one value; `prop_key` stands for all props."""
        await self.evict_all(session_id, [key])

    @overload
    async def evict_all(self, session_id: str, keys: Iterable[str]) -> None: ...
    @overload
    async def evict_all(self, keys: Iterable[str]) -> None: ...
    @of_session
    async def evict_all(self, session_id: str, keys: Iterable[str]) -> None:
        """Remove several values in one step."""
        names = _several(keys, "evict_all")
        session = await self._session(session_id)
        if self.prop_key in names:
            made = [operations.remove(name) for name in names if name != self.prop_key]
            await session.commit(*made, clear_props=True)
        else:
            await session.remove(*names)

    @overload
    async def evict_prop(self, session_id: str, prop_key: str) -> bool: ...
    @overload
    async def evict_prop(self, prop_key: str) -> bool: ...
    @of_session
    async def evict_prop(self, session_id: str, prop_key: str) -> bool:
        """Remove one value of the props; whether it was there."""
        return await (await self._session(session_id)).props.remove(plain(prop_key))

    @overload
    async def clear(self, session_id: str, retain_keys: Iterable[str] | None = None) -> None: ...
    @overload
    async def clear(self, retain_keys: Iterable[str] | None = None) -> None: ...
    @of_session
    async def clear(self, session_id: str, retain_keys: Iterable[str] | None = None) -> None:
        """Remove all values in one step, except the retained ones.

        With keys to retain the props stay too; without, and with none in the list, they go as well. What `remember`
        and `allow` know stays: a message delivered again after a clear is still a repeated one.
        """
        session = await self._session(session_id)
        retained = _several(() if retain_keys is None else retain_keys, "clear")
        if retained:
            await session.commit(clear=retained)
        else:
            # A None under the props' own name, which no value can have: there are none until something is saved.
            await session.commit(operations.set(self.prop_key, None), clear=True, clear_props=True)

    @overload
    async def key_in_session(self, session_id: str, key: str, check_global: bool = True) -> bool: ...
    @overload
    async def key_in_session(self, key: str, check_global: bool = True) -> bool: ...
    @of_session
    async def key_in_session(self, session_id: str, key: str, check_global: bool = True) -> bool:
        """Whether the session has the key, or the globals have it; a stored None is there.

        Args:
            check_global: False looks at the session alone.
        """
        name = plain(key)
        if name == self.prop_key:
            return name in await self.fetch_all(session_id)
        if check_global and await (await self._place.store()).globals.get(name, MISSING) is not MISSING:
            return True
        return await (await self._session(session_id)).get(name, MISSING) is not MISSING

    @overload
    async def remember(self, session_id: str, message_id: object, *, keep: int = 100) -> bool: ...
    @overload
    async def remember(self, message_id: object, *, keep: int = 100) -> bool: ...
    @of_session
    async def remember(self, session_id: str, message_id: object, *, keep: int = 100) -> bool:
        """Remember a message among the session's `keep` last ones; whether it was new.

        Of several workers that got the same webhook, in whatever processes, exactly one hears True.
        """
        return await (await self._session(session_id)).remember(message_id, keep=keep)

    @overload
    async def allow(self, session_id: str, name: str, *, every: Duration) -> bool: ...
    @overload
    async def allow(self, name: str, *, every: Duration) -> bool: ...
    @of_session
    async def allow(self, session_id: str, name: str, *, every: Duration) -> bool:
        """Yes at most once per `every` seconds for this session, whichever workers ask: a debounce."""
        return await (await self._session(session_id)).allow(name, every=every)

    @of_session
    async def _read(self, session_id: str, key: str, t: Any = None) -> Read:
        """What `get` gives once it is called: user's code in `t` belongs to the caller's thread, not to the loop's."""
        name = plain(key)
        if name == self.prop_key:
            return partial(convert, await self.get_user_props(session_id), t, f"$.{name}")
        return partial(convert, await (await self._session(session_id)).get(name), t, f"$.{name}")

    @of_session
    async def _read_prop(self, session_id: str, prop_key: str, t: Any = None) -> Read:
        """What `get_from_props` gives once it is called."""
        name = plain(prop_key)
        return partial(convert, await (await self._session(session_id)).props.get(name), t, f"$.{self.prop_key}.{name}")

    async def _session(self, session_id: str) -> Session:
        return (await self._place.store()).session(stored_id(session_id))

    def _props(self, data: object) -> list[Operation]:
        if not isinstance(data, Mapping):
            path = f"$.{self.prop_key}"
            raise InvalidValue(f"{path} holds the props: save a dict there, not a {type(data).__name__}", path=path)
        return [operations.set(plain(name), value, bag="props") for name, value in data.items()]


def stored_id(session_id: str) -> SessionId:
    """The session of a WhatsApp number.

    Raises:
        InvalidSessionId: not text, empty, or text that names no session.
    """
    if not isinstance(session_id, str):
        raise InvalidSessionId(f"a session_id is the WhatsApp number as text, not {type(session_id).__name__}")
    return SessionId.parse(SessionId(PLATFORM, plain(session_id)))


def plain(text: str) -> str:
    """Text without the class of it: a `StrEnum` of keys is as good. What is no text, the store refuses."""
    return str.__str__(text) if isinstance(text, str) else text


def _several(keys: Iterable[str], method: str) -> list[str]:
    if isinstance(keys, str):
        raise InvalidInput(f"{method} takes several keys: write [{keys!r}]")
    return [plain(key) for key in keys]
