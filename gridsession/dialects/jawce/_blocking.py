"""The session manager that blocks, as JAWCE's and pywce's do: it repeats `AsyncSessionManager` and decides nothing."""

from __future__ import annotations

import copy
import inspect
import threading
from collections.abc import Iterable, Mapping
from types import TracebackType, UnionType
from typing import Any, ClassVar, Self, TypeVar, overload
from weakref import WeakValueDictionary

from gridsession import sync
from gridsession.dialects.jawce._calls import Cast
from gridsession.dialects.jawce._interface import DEFAULT_PROP_KEY, ISessionManager
from gridsession.dialects.jawce._manager import AsyncSessionManager
from gridsession.dialects.jawce._places import BlockingPlace
from gridsession.dialects.jawce._pywce import accept_in_pywce
from gridsession.policy import Duration

T = TypeVar("T")


def _told(face: type[T]) -> type[T]:
    """Signatures and docstrings of the async face: they are written once."""
    for name, member in vars(face).items():
        original = getattr(AsyncSessionManager, "aclose" if name == "close" else name, None)
        if name.startswith("_") or original is None:
            continue
        if isinstance(member, property):
            member.__doc__ = original.__doc__
        elif inspect.isfunction(member):
            member.__doc__ = original.__doc__
            member.__signature__ = inspect.signature(original)  # type: ignore[attr-defined]  # functions take it
    return face


@_told
class SessionManager(ISessionManager):
    """The session manager of JAWCE and pywce, over any driver: `SessionManager("hazelcast://host:5701/cluster")`.

    As `AsyncSessionManager` in every respect, without `await`. It may be used from any number of threads. It connects
    at first use, so a server that forks its workers may make it before; `with` or `connect()` connect at once.

    Args:
        url_or_store: a URL as for `SessionStore.open`; or a `gridsession.sync.SessionStore`, which stays the
            caller's to open and close. None = `GRIDSESSION_URL`.
        user_ttl: how long a session lives after its last change, seconds or timedelta; None = as the URL's `ttl`
            says, else for ever. The policy of a store that is handed in says it itself.
        global_ttl: how long a global lives after it was last saved; None = for ever.
        namespace: one bot or tenant, as for `SessionStore.open`.

    Raises:
        InvalidOption: an argument makes no sense.
    """

    DEFAULT_PROP_KEY: ClassVar[str] = DEFAULT_PROP_KEY
    """The key under which `fetch_all` holds the props bag."""

    def __init__(
        self,
        url_or_store: str | sync.SessionStore | None = None,
        *,
        user_ttl: Duration | None = None,
        global_ttl: Duration | None = None,
        namespace: str | None = None,
    ) -> None:
        accept_in_pywce()
        self._place = BlockingPlace(url_or_store, user_ttl, namespace)
        self._aio = AsyncSessionManager._over(self._place, global_ttl, self.DEFAULT_PROP_KEY)
        self._views: WeakValueDictionary[str | None, Self] = WeakValueDictionary()
        self._lock = threading.Lock()

    def __repr__(self) -> str:
        return repr(self._aio).replace("AsyncSessionManager", type(self).__name__, 1)

    @property
    def prop_key(self) -> str:
        return self._aio.prop_key

    @property
    def bound_to(self) -> str | None:
        return self._aio.bound_to

    def session(self, session_id: str) -> Self:
        with self._lock:
            aio = self._aio.session(session_id)
            view = self._views.get(aio.bound_to)
            if view is None:
                view = self._views[aio.bound_to] = copy.copy(self)
                view._aio = aio
        return view

    def __enter__(self) -> Self:
        return self.connect()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def connect(self) -> Self:
        self._place.blocking().call(self._aio.connect())
        return self

    def close(self) -> None:
        self._aio._check_whole()
        self._place.close()

    @overload
    def save(self, session_id: str, key: str, data: object) -> None: ...
    @overload
    def save(self, key: str, data: object) -> None: ...
    def save(self, *args: Any, **named: Any) -> None:
        return self._place.blocking().call(self._aio.save(*args, **named))

    @overload
    def save_all(self, session_id: str, data: Mapping[str, object]) -> None: ...
    @overload
    def save_all(self, data: Mapping[str, object]) -> None: ...
    def save_all(self, *args: Any, **named: Any) -> None:
        return self._place.blocking().call(self._aio.save_all(*args, **named))

    @overload
    def save_prop(self, session_id: str, prop_key: str, data: object) -> None: ...
    @overload
    def save_prop(self, prop_key: str, data: object) -> None: ...
    def save_prop(self, *args: Any, **named: Any) -> None:
        return self._place.blocking().call(self._aio.save_prop(*args, **named))

    @overload
    def get(self, session_id: str, key: str, t: UnionType | None = None) -> Any: ...
    @overload
    def get(self, session_id: str, key: str, t: Cast[T]) -> T | None: ...
    @overload
    def get(self, key: str, t: UnionType | None = None) -> Any: ...
    @overload
    def get(self, key: str, t: Cast[T]) -> T | None: ...
    def get(self, *args: Any, **named: Any) -> Any:
        return self._place.blocking().call(self._aio._read(*args, **named))()

    @overload
    def get_from_props(self, session_id: str, prop_key: str, t: UnionType | None = None) -> Any: ...
    @overload
    def get_from_props(self, session_id: str, prop_key: str, t: Cast[T]) -> T | None: ...
    @overload
    def get_from_props(self, prop_key: str, t: UnionType | None = None) -> Any: ...
    @overload
    def get_from_props(self, prop_key: str, t: Cast[T]) -> T | None: ...
    def get_from_props(self, *args: Any, **named: Any) -> Any:
        return self._place.blocking().call(self._aio._read_prop(*args, **named))()

    @overload
    def get_user_props(self, session_id: str) -> dict[str, Any]: ...
    @overload
    def get_user_props(self) -> dict[str, Any]: ...
    def get_user_props(self, *args: Any, **named: Any) -> dict[str, Any]:
        return self._place.blocking().call(self._aio.get_user_props(*args, **named))

    @overload
    def fetch_all(self, session_id: str, is_global: bool = False) -> dict[str, Any]: ...
    @overload
    def fetch_all(self, is_global: bool = False) -> dict[str, Any]: ...
    def fetch_all(self, *args: Any, **named: Any) -> dict[str, Any]:
        return self._place.blocking().call(self._aio.fetch_all(*args, **named))

    @overload
    def evict(self, session_id: str, key: str) -> None: ...
    @overload
    def evict(self, key: str) -> None: ...
    def evict(self, *args: Any, **named: Any) -> None:
        return self._place.blocking().call(self._aio.evict(*args, **named))

    @overload
    def evict_all(self, session_id: str, keys: Iterable[str]) -> None: ...
    @overload
    def evict_all(self, keys: Iterable[str]) -> None: ...
    def evict_all(self, *args: Any, **named: Any) -> None:
        return self._place.blocking().call(self._aio.evict_all(*args, **named))

    @overload
    def evict_prop(self, session_id: str, prop_key: str) -> bool: ...
    @overload
    def evict_prop(self, prop_key: str) -> bool: ...
    def evict_prop(self, *args: Any, **named: Any) -> bool:
        return self._place.blocking().call(self._aio.evict_prop(*args, **named))

    @overload
    def clear(self, session_id: str, retain_keys: Iterable[str] | None = None) -> None: ...
    @overload
    def clear(self, retain_keys: Iterable[str] | None = None) -> None: ...
    def clear(self, *args: Any, **named: Any) -> None:
        return self._place.blocking().call(self._aio.clear(*args, **named))

    @overload
    def key_in_session(self, session_id: str, key: str, check_global: bool = True) -> bool: ...
    @overload
    def key_in_session(self, key: str, check_global: bool = True) -> bool: ...
    def key_in_session(self, *args: Any, **named: Any) -> bool:
        return self._place.blocking().call(self._aio.key_in_session(*args, **named))

    @overload
    def remember(self, session_id: str, message_id: object, *, keep: int = 100) -> bool: ...
    @overload
    def remember(self, message_id: object, *, keep: int = 100) -> bool: ...
    def remember(self, *args: Any, **named: Any) -> bool:
        return self._place.blocking().call(self._aio.remember(*args, **named))

    @overload
    def allow(self, session_id: str, name: str, *, every: Duration) -> bool: ...
    @overload
    def allow(self, name: str, *, every: Duration) -> bool: ...
    def allow(self, *args: Any, **named: Any) -> bool:
        return self._place.blocking().call(self._aio.allow(*args, **named))

    def save_global(self, key: str, data: object) -> None:
        return self._place.blocking().call(self._aio.save_global(key, data))

    @overload
    def get_global(self, key: str, t: UnionType | None = None) -> Any: ...
    @overload
    def get_global(self, key: str, t: Cast[T]) -> T | None: ...
    def get_global(self, key: str, t: Any = None) -> Any:
        return self._place.blocking().call(self._aio._read_global(key, t))()

    def evict_global(self, key: str) -> None:
        return self._place.blocking().call(self._aio.evict_global(key))

    def clear_global(self) -> None:
        return self._place.blocking().call(self._aio.clear_global())
