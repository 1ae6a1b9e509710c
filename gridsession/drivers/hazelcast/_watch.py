"""Watching: hints of changes, pushed. One listener per map, or per id, of a process serves all who watch it."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any, Final

from hazelcast.protocol.codec import (
    map_add_entry_listener_codec,
    map_add_entry_listener_to_key_codec,
    map_remove_entry_listener_codec,
)

from gridsession._identity import Space
from gridsession._logs import logger
from gridsession.drivers import Change
from gridsession.drivers.hazelcast import _wire
from gridsession.drivers.hazelcast._client import Client
from gridsession.drivers.hazelcast._listen import Codec, Listener
from gridsession.drivers.hazelcast._peek import peek
from gridsession.drivers.hazelcast._seam import data
from gridsession.errors import CodecError, StoreClosed

# ADDED, REMOVED, UPDATED, EVICTED, EXPIRED, EVICT_ALL, CLEAR_ALL, MERGED
_FLAGS: Final = 1 | 2 | 4 | 8 | 16 | 32 | 64 | 128
_WHOLE_MAP: Final = 32 | 64
_KEPT: Final = 1024
"""Hints kept for one who watches and does not keep up; more become one gap."""

# The client's codecs have no type hints.
_ON_MAP: Any = map_add_entry_listener_codec
_ON_KEY: Any = map_add_entry_listener_to_key_codec
_REMOVE: Any = map_remove_entry_listener_codec

_log = logger("hazelcast")


def map_listener(name: str, key: str | None) -> Codec:
    """The codec of a listener on a map, with values, or on one key of it, without."""

    def remove(registration: Any) -> Any:
        return _REMOVE.encode_request(name, registration)

    if key is None:
        return _ON_MAP.encode_request(name, True, _FLAGS, True), _ON_MAP.decode_response, remove
    request = _ON_KEY.encode_request(name, data(_wire.key_data(key)), False, _FLAGS, True)
    return request, _ON_KEY.decode_response, remove


class Watches:
    """All that is watched over one client."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._feeds: dict[tuple[str, str | None], _Feed] = {}

    def subscribe(self, space: Space, prefix: str, session_id: str | None) -> Subscription:
        """Watch ids with a prefix, or one id."""
        name = _wire.records_map(space)
        feed = self._feeds.get((name, session_id))
        if feed is None:
            feed = self._feeds[name, session_id] = _Feed(self._client, name, session_id, self._feeds)
        return Subscription(feed, prefix)


class _Feed:
    """One listener and those who share it; it ends with the last of them."""

    def __init__(
        self, client: Client, name: str, session_id: str | None, feeds: dict[tuple[str, str | None], _Feed]
    ) -> None:
        self._feeds = feeds
        self._key = (name, session_id)
        self.subscriptions: set[Subscription] = set()
        codec = map_listener(name, session_id)
        self.listener = Listener(client, codec, _wire.event, self._on_event, self._on_gap, self._on_end)

    def leave(self, subscription: Subscription) -> None:
        """One watches no longer."""
        self.subscriptions.discard(subscription)
        if not self.subscriptions and self._feeds.get(self._key) is self:
            del self._feeds[self._key]
            self.listener.stop()

    def _on_event(self, event: _wire.Event) -> None:
        if event.kind & _WHOLE_MAP:
            self._on_gap()
            return
        if event.key is None:
            return
        session_id = _wire.text_key(event.key)
        revision = _revision(event.value)
        for subscription in self.subscriptions:
            if session_id.startswith(subscription.prefix):
                subscription.push(Change(session_id, revision))

    def _on_gap(self) -> None:
        for subscription in self.subscriptions:
            subscription.push(Change(None))

    def _on_end(self) -> None:
        for subscription in self.subscriptions:
            subscription.end()


def _revision(value: bytes | None) -> tuple[int, int] | None:
    """A hint is a hint: what cannot be read has no revision."""
    if value is None:
        return None
    try:
        seen = peek(_wire.bytes_value(value))
    except CodecError as error:
        _log.warning("event.foreign_value", problem=str(error))
        return None
    return (seen.epoch, seen.revision) if seen.live else None


class Subscription:
    """The hints for one who watches, in order; it never holds more than a bounded number."""

    def __init__(self, feed: _Feed, prefix: str) -> None:
        self._feed = feed
        self.prefix = prefix
        self._hints: deque[Change] = deque()
        self._news = asyncio.Event()
        self._ended = False
        feed.subscriptions.add(self)
        if feed.listener.installed:
            self.push(Change(None))

    def push(self, change: Change) -> None:
        """Take a hint; a gap stands for all before it."""
        hints = self._hints
        if change.id is None or len(hints) >= _KEPT:
            hints.clear()
            hints.append(Change(None))
        elif not hints or hints[-1] != change:
            hints.append(change)
        self._news.set()

    def end(self) -> None:
        """The client is closed."""
        self._ended = True
        self._news.set()

    async def next(self) -> Change:
        """The next hint, waited for.

        Raises:
            StoreClosed: the client was closed.
        """
        while not self._hints:
            if self._ended:
                raise StoreClosed("the store was closed while it was watched")
            self._news.clear()
            await self._news.wait()
        return self._hints.popleft()

    def close(self) -> None:
        """Watch no longer."""
        self._feed.leave(self)
