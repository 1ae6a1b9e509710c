"""The session manager without blocking: all logic of the dialect, over `gridsession.SessionStore`."""

from __future__ import annotations

import copy
from functools import partial
from types import TracebackType, UnionType
from typing import Any, ClassVar, Self, TypeVar, overload
from weakref import WeakValueDictionary

from gridsession import SessionStore
from gridsession.dialects.jawce._calls import Cast, Read, SessionCalls, plain, stored_id
from gridsession.dialects.jawce._convert import convert
from gridsession.dialects.jawce._interface import DEFAULT_PROP_KEY
from gridsession.dialects.jawce._places import AsyncPlace, Place
from gridsession.errors import UsageError
from gridsession.policy import Duration, milliseconds

T = TypeVar("T")


class AsyncSessionManager(SessionCalls):
    """The session manager of JAWCE and pywce, awaited; `SessionManager` is the same one without `await`.

    A session is known by the bare WhatsApp number. Inside the store it is the session `whatsapp-cloud:<number>`, with
    the user's data as its state and the props as its props. Each method is one atomic command, so savers of
    different keys never undo each other. What is handed out is a copy.

    `manager.session(id)` is the same manager bound to one session: its methods take the id or go without it, told by
    the number of arguments. `view.save("key", 1)` is `manager.save(id, "key", 1)`.

    Args:
        url_or_store: a URL as for `SessionStore.open`, connected to at first use or by `async with`; or a
            `gridsession.SessionStore`, which stays the caller's to open and close. None = `GRIDSESSION_URL`.
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
        url_or_store: str | SessionStore | None = None,
        *,
        user_ttl: Duration | None = None,
        global_ttl: Duration | None = None,
        namespace: str | None = None,
    ) -> None:
        self._begin(AsyncPlace(url_or_store, user_ttl, namespace), global_ttl, self.DEFAULT_PROP_KEY)

    @classmethod
    def _over(cls, place: Place, global_ttl: Duration | None, prop_key: str) -> Self:
        """A manager over a place that somebody else opens and closes."""
        manager = cls.__new__(cls)
        manager._begin(place, global_ttl, prop_key)
        return manager

    def _begin(self, place: Place, global_ttl: Duration | None, prop_key: str) -> None:
        if global_ttl is not None:
            milliseconds(global_ttl, "global_ttl")
        super().__init__(place, prop_key)
        self._global_ttl = global_ttl
        self._views: WeakValueDictionary[str, Self] = WeakValueDictionary()

    def __repr__(self) -> str:
        bound = "" if self._bound_to is None else f" bound to {self._bound_to!a}"
        return f"<{type(self).__name__}{bound} over {self._place!r}>"

    def session(self, session_id: str) -> Self:
        """The view of one session; no I/O. The same object for an id as long as somebody holds it.

        Raises:
            InvalidSessionId: not text, empty, or text that names no session.
        """
        known = stored_id(session_id).key
        view = self._views.get(known)
        if view is None:
            view = copy.copy(self)
            view._bound_to = known
            self._views[known] = view
        return view

    async def __aenter__(self) -> Self:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def connect(self) -> Self:
        """Connect now rather than at first use.

        Raises:
            Unavailable: the place cannot be reached or is unfit; it may be tried again.
            UsageError: of a view.
        """
        self._check_whole()
        await self._place.store()
        return self

    async def aclose(self) -> None:
        """Give everything back; a store handed in stays open. It ends all views.

        Raises:
            UsageError: of a view.
        """
        self._check_whole()
        if isinstance(self._place, AsyncPlace):
            await self._place.aclose()

    def _check_whole(self) -> None:
        if self._bound_to is not None:
            raise UsageError("a view of one session is not opened and closed: do that with the manager it is of")

    async def save_global(self, key: str, data: object) -> None:
        """Put a value that all sessions share; it lives for `global_ttl` from now.

        Raises:
            InvalidValue: the data cannot be stored.
        """
        await (await self._place.store()).globals.set(plain(key), data, ttl=self._global_ttl)

    @overload
    async def get_global(self, key: str, t: UnionType | None = None) -> Any: ...
    @overload
    async def get_global(self, key: str, t: Cast[T]) -> T | None: ...
    async def get_global(self, key: str, t: Any = None) -> Any:
        """One shared value; `t` and errors as for `get`.

        On the grid it is read from a pushed local copy: what another worker saved is there within milliseconds.
        """
        return (await self._read_global(key, t))()

    async def _read_global(self, key: str, t: Any) -> Read:
        return partial(convert, await (await self._place.store()).globals.get(plain(key)), t, f"$.{plain(key)}")

    async def evict_global(self, key: str) -> None:
        """Remove one shared value."""
        await (await self._place.store()).globals.delete(plain(key))

    async def clear_global(self) -> None:
        """Remove all shared values, one after another."""
        await (await self._place.store()).globals.clear()
