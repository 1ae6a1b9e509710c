"""py-key-value on the grid: `GridKeyValueStore`, and with it whatever takes one, such as FastMCP.

    store = GridKeyValueStore("hazelcast://host:5701/cluster")
    await store.put("token", {"scope": "read"}, collection="oauth", ttl=3600)
    FastMCP("server", session_state_store=store)  # any worker serves any client

An entry is one session with a ttl of its own (the store's, if none is given); whether it still lives the place where it
is kept decides, no worker's clock. The many-operations are not one step: each entry is. An entry holds up to a record's
size (256 KB by default).
"""

from __future__ import annotations

import asyncio
import hashlib
import itertools
import re
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Final, TypeVar

from gridsession import Session, SessionId, SessionStore
from gridsession.dialects._place import Place

try:
    from key_value.aio._utils.managed_entry import ManagedEntry, load_from_json
    from key_value.aio.stores.base import BaseContextManagerStore
except ImportError as error:
    raise ImportError(
        "gridsession.dialects.key_value needs py-key-value-aio: pip install 'gridsession[key-value]'"
    ) from error

__all__ = ["GridKeyValueStore", "session_id"]

T = TypeVar("T")
_PLATFORM: Final = "key-value"
_ENTRY: Final = "entry"
_MOMENT: Final = 0.001
"""Seconds that an entry lives at least: the shortest ttl there is."""
_TOGETHER: Final = 64
_LONE_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_LONGEST: Final = 1_900
"""Most bytes of a key kept readable in the session's id, which takes 2,048; a longer one is kept as its digest."""


def session_id(collection: str, key: str) -> SessionId:
    """The session of an entry, `key-value:<collection>/<key>`; different pairs never share one."""
    text = "/".join(part.replace("%", "%25").replace("/", "%2F").replace("\0", "%00") for part in (collection, key))
    encoded = text.encode("utf-8", "surrogatepass")
    if len(encoded) <= _LONGEST and not _LONE_SURROGATE.search(text):
        return SessionId(_PLATFORM, text)
    return SessionId(f"{_PLATFORM}.sha256", hashlib.sha256(encoded).hexdigest())


class GridKeyValueStore(BaseContextManagerStore):
    """Collections of entries, shared by all processes.

    Args:
        store: an open store, which stays its owner's; or a URL (None = `GRIDSESSION_URL`), opened at first use and
            closed by `close()` or at the end of `async with`.
        default_collection: the collection of calls that name none.
    """

    def __init__(self, store: SessionStore | str | None = None, *, default_collection: str | None = None) -> None:
        self._place = Place(store)
        super().__init__(
            client_provided_by_user=isinstance(store, SessionStore),
            default_collection=default_collection,
            stable_api=True,
        )

    async def ttl(self, key: str, *, collection: str | None = None) -> tuple[dict[str, Any] | None, float | None]:
        """An entry's value and the seconds it has left (None = it does not expire); (None, None) if there is none."""
        (answer,) = await self.ttl_many([key], collection=collection)
        return answer

    async def ttl_many(
        self, keys: Sequence[str], *, collection: str | None = None
    ) -> list[tuple[dict[str, Any] | None, float | None]]:
        """The same of several entries; an entry that is put meanwhile may show its old value with its new time."""
        values = await self.get_many(keys, collection=collection)
        sessions = [await self._session(collection or self.default_collection, key) for key in keys]
        left = await asyncio.gather(*(session.ttl() for session in sessions))
        return [
            (None, None) if value is None or seconds == 0.0 else (value, seconds)
            for value, seconds in zip(values, left, strict=True)
        ]

    async def _setup(self) -> None:
        await self._place.store()
        self._exit_stack.push_async_callback(self._place.aclose)

    async def _session(self, collection: str, key: str) -> Session:
        return (await self._place.store()).session(session_id(collection, key))

    async def _get_managed_entry(self, *, collection: str, key: str) -> ManagedEntry | None:
        found: list[Any] | None = await (await self._session(collection, key)).get(_ENTRY)
        if found is None:
            return None
        value, created_at = found
        # Without a time of its own: what is found has not expired, by the clock of the place it is at.
        return ManagedEntry(value=load_from_json(value), created_at=created_at)

    async def _put_managed_entry(self, *, collection: str, key: str, managed_entry: ManagedEntry) -> None:
        store = await self._place.store()
        left = managed_entry.ttl
        ttl = store.policy.ttl if left is None else max(left, _MOMENT)
        made = [managed_entry.value_as_json, managed_entry.created_at]
        await store.session(session_id(collection, key)).set(_ENTRY, made, ttl=ttl)

    async def _delete_managed_entry(self, *, key: str, collection: str) -> bool:
        return await (await self._session(collection, key)).delete()

    async def _get_managed_entries(self, *, collection: str, keys: Sequence[str]) -> list[ManagedEntry | None]:
        return await _all(self._get_managed_entry(collection=collection, key=key) for key in keys)

    async def _put_managed_entries(
        self, *, collection: str, keys: Sequence[str], managed_entries: Sequence[ManagedEntry], **_: object
    ) -> None:
        entries = dict(zip(keys, managed_entries, strict=True))  # of one key twice, the last counts
        await _all(
            self._put_managed_entry(collection=collection, key=key, managed_entry=entry)
            for key, entry in entries.items()
        )

    async def _delete_managed_entries(self, *, keys: Sequence[str], collection: str) -> int:
        return sum(await _all(self._delete_managed_entry(collection=collection, key=key) for key in keys))


async def _all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Their results, some at a time, so that a long list does not crowd out others."""
    waiting, results = iter(calls), list[T]()
    while some := list(itertools.islice(waiting, _TOGETHER)):
        results += await asyncio.gather(*some)
    return results
