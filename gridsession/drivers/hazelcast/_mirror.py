"""A local copy of a namespace's globals: read once, then pushed by the members, and read again now and then."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any, Final

from hazelcast.protocol.codec import replicated_map_add_entry_listener_codec, replicated_map_remove_entry_listener_codec

from gridsession._identity import Space
from gridsession._logs import logger
from gridsession.drivers import Mirror
from gridsession.drivers.hazelcast import _wire
from gridsession.drivers.hazelcast._call import NotSent, introduce
from gridsession.drivers.hazelcast._execute import Executor
from gridsession.drivers.hazelcast._listen import Codec, Listener
from gridsession.drivers.hazelcast._peek import Peek, peek
from gridsession.drivers.hazelcast._scan import patiently, records
from gridsession.errors import CodecError, DeadlineExceeded, StoreClosed

_REFRESH: Final = 30.0

# The client's codecs have no type hints.
_ADD: Any = replicated_map_add_entry_listener_codec
_REMOVE: Any = replicated_map_remove_entry_listener_codec

_log = logger("hazelcast")


def replicated_listener(name: str) -> Codec:
    """The codec of a listener on a replicated map; its events always carry values."""

    def remove(registration: Any) -> Any:
        return _REMOVE.encode_request(name, registration)

    return _ADD.encode_request(name, True), _ADD.decode_response, remove


class GlobalsMirror(Mirror):
    """The globals as last heard of. Of news the newer counts, in whatever order; now and then, what the records say."""

    def __init__(self, executor: Executor, space: Space, patience: float) -> None:
        self._executor = executor
        self._client = executor.client
        self._space = space
        self._patience = patience
        self.held: dict[str, bytes] = {}
        self._ages: dict[str, tuple[int, bool, int, int]] = {}
        self._stale = asyncio.Event()
        self._installed = asyncio.Event()
        self._listener: Listener[_wire.Event] | None = None
        self._refreshing: asyncio.Task[None] | None = None

    async def open(self) -> None:
        """Listen, then read what is there, so that nothing is missed in between.

        Raises:
            Unavailable: it could not be read in time.
        """
        name = _wire.published_map(self._space)
        codec = replicated_listener(name)
        self._listener = Listener(self._client, codec, _wire.event, self._on_event, self._on_gap, self._installed.set)
        due = asyncio.get_running_loop().time() + self._patience
        try:
            async with asyncio.timeout_at(due):
                await self._installed.wait()
            await self._introduce(due)
            message = await patiently(self._client, lambda: _wire.replicated_entries_request(name), 0, due)
            for key, value in _wire.replicated_entries(message):
                self._take(key, value)
            # What was changed while no member could publish stands in the records only.
            await self._refresh(due)
        except TimeoutError:
            await self.aclose()
            raise DeadlineExceeded(
                "no listener on the globals by the deadline: see whether members are overloaded"
            ) from None
        except BaseException:
            await self.aclose()
            raise
        self._stale.clear()
        self._refreshing = asyncio.create_task(self._keep_fresh())

    def offer(self, name: str, record: bytes) -> None:
        """Take a record that this process just read or wrote, if it is newer than the one held.

        Raises:
            CodecError: not a record, or that of another name.
        """
        seen = peek(record)
        if seen.id != name:
            raise CodecError(f"a record of another name was offered for the global {name!a}")
        held = self._ages.get(name)
        if held is None or held < seen.age:
            self._hold(name, record, seen)

    def _hold(self, name: str, record: bytes, seen: Peek) -> None:
        self.held[name] = record
        self._ages[name] = seen.age

    async def aclose(self) -> None:
        """Stop listening."""
        if self._refreshing is not None:
            self._refreshing.cancel()
            with suppress(asyncio.CancelledError):
                await self._refreshing
        if self._listener is not None:
            self._listener.stop()

    def _on_event(self, event: _wire.Event) -> None:
        # A deletion is published as a tombstone; an entry that goes from the published map tells nothing.
        if event.key is not None and event.value is not None:
            self._take(event.key, event.value)

    def _on_gap(self) -> None:
        self._installed.set()
        self._stale.set()

    def _take(self, key: bytes, value: bytes) -> None:
        try:
            self.offer(_wire.text_key(key), _wire.bytes_value(value))
        except CodecError as error:
            _log.warning("globals.foreign_entry", problem=str(error))

    async def _keep_fresh(self) -> None:
        while not self._client.closed:
            with suppress(TimeoutError):
                async with asyncio.timeout(_REFRESH):
                    await self._stale.wait()
            self._stale.clear()
            try:
                await self._refresh(asyncio.get_running_loop().time() + self._patience)
            except StoreClosed:
                return
            except Exception as error:  # noqa: BLE001 - without refreshing the mirror would grow stale unnoticed
                _log.warning("globals.refresh_failed", error=type(error).__name__)
                self._stale.set()
                await asyncio.sleep(1.0)

    async def _introduce(self, due: float) -> None:
        """Without it, members that were told of no change yet do not publish what they hold."""
        with suppress(NotSent):
            await introduce(self._client.link, _wire.records_map(self._space), due)

    async def _refresh(self, due: float) -> None:
        """Hold what stands in the records, but for what was heard of meanwhile."""
        before = dict(self._ages)
        found = await records(self._executor, self._space, due)
        for name, (seen, record) in found.items():
            held = self._ages.get(name)
            # Also one that is older than what we heard: it was restored, or what we heard of was applied by a member
            # that was cut off, and is gone. News during the scan is no part of it.
            if held is None or held < seen.age or held == before.get(name) != seen.age:
                self._hold(name, record, seen)
        # A record that is gone was deleted or expired, which we may have missed.
        for name, age in before.items():
            if name not in found and self._ages.get(name) == age:
                del self.held[name], self._ages[name]
