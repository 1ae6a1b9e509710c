"""Where an adapter's sessions live: a store that is lent, or one of our own, opened at first use and closed by us."""

from __future__ import annotations

from gridsession import Policy, SessionStore
from gridsession.errors import InvalidOption, StoreClosed


class Place:
    """A store for frameworks that construct their storage outside of any event loop.

    Args:
        store: a store that somebody else opens and closes; or a URL (None = `GRIDSESSION_URL`) of a store of our own.
        policy: of a store of our own; the URL's `ttl` and `deadline` count.

    Raises:
        InvalidOption: neither of them, or a URL that makes no sense.
    """

    def __init__(self, store: SessionStore | str | None, *, policy: Policy | None = None) -> None:
        if store is not None and not isinstance(store, (str, SessionStore)):
            raise InvalidOption(f"give a gridsession.SessionStore or its URL, not {type(store).__name__}")
        self._lent = isinstance(store, SessionStore)
        self._store = store if isinstance(store, SessionStore) else SessionStore.open(store, policy=policy)
        self._closed = False

    async def store(self) -> SessionStore:
        """The store, open. One that was lent is left to its owner, who must have opened it.

        Raises:
            StoreClosed: after `aclose()`.
            Unavailable: the place cannot be reached; the next call tries again.
        """
        if self._closed:
            raise StoreClosed("this storage was closed: make another one")
        return self._store if self._lent else await self._store.connect()

    def same_store(self, other: Place) -> bool:
        """Whether both are the same store, so that what is held in the one is held in the other."""
        return self._store is other._store

    async def aclose(self) -> None:
        """Close what is ours; a second call does nothing."""
        if not self._lent:
            self._closed = True
            await self._store.aclose()
