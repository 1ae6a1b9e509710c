"""openai-agents on the grid: `GridSession` keeps a conversation's history, appended to and read from its end.

    session = GridSession("user-123", "hazelcast://host:5701/cluster?ttl=86400")
    await Runner.run(agent, "Hello", session=session)
    async with session.hold() as alone:  # two runs on one session do not interleave
        await Runner.run(agent, "Hello again", session=alone)

`add_items` is one atomic command, whatever the history's length. A history longer than a record may be goes on in
further records: the older half moves to one of its own, which has the store's ttl from then on. One call's items must
fit into a record (256 KB by default), and so must the items popped within the store's deadline.
"""

from __future__ import annotations

import asyncio
import contextlib
import copy
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, Final

from gridsession import Session as Record
from gridsession import SessionStore, Snapshot, sync
from gridsession import operations as op
from gridsession.dialects._two_colours import TwoColours, on_its_loop
from gridsession.errors import Conflict, CorruptRecord, TooLarge
from gridsession.policy import Duration

try:
    from agents.memory.session_settings import SessionSettings, coerce_session_settings, resolve_session_limit
except ImportError as error:
    raise ImportError(
        "gridsession.dialects.openai_agents needs openai-agents: pip install 'gridsession[openai-agents]'"
    ) from error

if TYPE_CHECKING:
    from agents.items import TResponseInputItem

__all__ = ["GridSession"]

_PLATFORM: Final = "openai-agents"
_ITEMS: Final = "items"
_OLDER: Final = "older"
_HANDLED: Final = "handled"
_REMEMBERED: Final = 200
"""How many messages' ids a session remembers for `hold(message=...)`."""


class GridSession:
    """The history of one conversation, in any number of processes: openai-agents' `Session` protocol.

    Args:
        session_id: names the conversation.
        store: an open store (async or `gridsession.sync`), which stays its owner's; or a URL (None =
            `GRIDSESSION_URL`), opened at first use.
        session_settings: openai-agents' settings: how many of the latest items `get_items` gives by default.

    Attributes:
        repeated: what `hold(message=...)` gave: that message was handled before.
    """

    def __init__(
        self,
        session_id: str,
        store: SessionStore | sync.SessionStore | str | None = None,
        *,
        session_settings: SessionSettings | dict[str, Any] | None = None,
    ) -> None:
        self.session_id = session_id
        self.repeated = False
        self.session_settings: SessionSettings | None = coerce_session_settings(session_settings or {})
        self._at = TwoColours(store)
        self._held: Record | None = None
        self._unsaved: list[Any] | None = None

    @on_its_loop
    async def get_items(self, limit: int | None = None) -> list[TResponseInputItem]:
        """The history, oldest first; of it the latest `limit` items (by default the settings' limit, else all)."""
        limit = resolve_session_limit(limit, self.session_settings)
        unsaved: list[Any] = copy.deepcopy(self._unsaved or [])
        if limit is None:
            return await self._whole(self._record, None) + unsaved
        wanted = max(limit - len(unsaved), 0)
        latest: list[Any] = await self._record.get(_ITEMS, [], last=wanted)
        if len(latest) < wanted:
            latest = await self._whole(self._record, wanted)
        return [*latest, *unsaved[max(len(unsaved) - max(limit, 0), 0) :]]

    @on_its_loop
    async def add_items(self, items: list[TResponseInputItem]) -> None:
        """Add to the end of the history, all of them or none.

        Raises:
            InvalidValue: an item cannot be stored; the path says where.
            TooLarge: these items alone are more than a record may hold.
            LeaseLost: the session was held, and its lease ended.
        """
        if self._unsaved is not None:
            op.append(_ITEMS, *items)  # refused here, not at the end
            self._unsaved += copy.deepcopy(items)
        elif items:
            await self._append(self._record, items)

    @on_its_loop
    async def pop_item(self) -> TResponseInputItem | None:
        """Remove and return the latest item; None if there is none. Each item is given to one caller."""
        if self._unsaved:
            unsaved: TResponseInputItem = self._unsaved.pop()
            return unsaved
        record = self._record
        while (item := await record.pop(_ITEMS)) is None:
            now = await record.load()
            if not now.get(_ITEMS):
                if not now.get(_OLDER):
                    return None
                await self._bring_back(record, now)
        popped: TResponseInputItem = item
        return popped

    @on_its_loop
    async def clear_session(self) -> None:
        """Forget the whole history."""
        if self._unsaved:
            self._unsaved.clear()
        record = self._record
        before = await record.commit(op.remove(_ITEMS), op.take(_OLDER))
        for part in before.results[1] or []:
            await self._older(part).delete()
        if self._held is None:
            with contextlib.suppress(Conflict):  # somebody has begun anew
                await record.delete(before.revision)

    @asynccontextmanager
    async def hold(
        self, *, message: str | int | None = None, lease: Duration | None = None, wait: Duration | None = None
    ) -> AsyncGenerator[GridSession]:
        """The same session, held alone against others that hold it: first come first served, in all processes.

        Args:
            message: the platform's id of the message this run is for. The run's items are then saved at the end, in one
                step together with that id, and not at all if it fails; `repeated` tells whether that was done before.
            lease: for how long others wait for a process that died; a living one renews it. By default the store's.
            wait: how long to wait for those before; by default the store's.

        Raises:
            Leased: on entering, when the wait ran out.
            LeaseLost: when the lease ended on the way; what was to be written after that was refused.
        """
        turn = self._at.store.turn(self._id, lease=lease, wait=wait)
        await self._at.enter(turn)
        try:
            alone = GridSession(self.session_id, self._at.store, session_settings=self.session_settings)
            alone._held = turn.session
            alone.repeated = message is not None and message in turn.state.get(_HANDLED, [])
            alone._unsaved = None if message is None else []
            yield alone
            if alone._unsaved is not None and not alone.repeated:
                handled = op.append(_HANDLED, message, keep=_REMEMBERED)
                await self._at.reach(alone._append(alone._held, alone._unsaved, handled))
        except BaseException as error:
            await self._at.reach(turn.__aexit__(type(error), error, None))
            raise
        await self._at.reach(turn.__aexit__(None, None, None))

    async def close(self) -> None:
        """Close the store if it is this session's own."""
        await asyncio.to_thread(self._at.close)

    # --- records ----------------------------------------------------------------------------------------------------

    @property
    def _id(self) -> str:
        return f"{_PLATFORM}:{self.session_id}"

    async def _append(self, record: Record, items: list[Any], *also: Any) -> None:
        while True:
            try:
                if also:
                    await record.commit(*([op.append(_ITEMS, *items)] if items else []), *also)
                else:
                    await record.append(_ITEMS, *items)
            except TooLarge:
                if not await self._move_older_half(record):
                    raise
            else:
                return

    @property
    def _record(self) -> Record:
        return self._held or self._at.store.session(self._id)

    def _older(self, part: str) -> Record:
        return self._at.store.session(f"{_PLATFORM}.older:{part}:{self.session_id}")

    async def _read(self, part: str, record: Record, seen: Snapshot) -> list[Any] | None:
        """A part's items, none if they have expired; None = the history was changed meanwhile, read again."""
        items: list[Any] | None = await self._older(part).get(_ITEMS)
        if items is not None:
            return items
        if (await record.load()).revision != seen.revision:
            return None
        policy = self._at.store.policy
        if policy.ttl is None and policy.max_lifetime is None:
            raise CorruptRecord(
                f"{self._id!a} has lost its older part {part}: restore or clear it", session_id=self._id
            )
        return []

    async def _whole(self, record: Record, limit: int | None) -> list[Any]:
        while True:
            now = await record.load()
            parts: list[list[Any] | None] = [now.get(_ITEMS, [])]
            for part in reversed(now.get(_OLDER, [])):
                if limit is not None and sum(map(len, filter(None, parts))) >= limit:
                    break
                parts.append(await self._read(part, record, now))
            if None not in parts:
                found = [item for items in reversed(parts) for item in items or []]
                return found if limit is None else found[max(len(found) - limit, 0) :]

    async def _move_older_half(self, record: Record) -> bool:
        """Make room; whether there was anything to move."""
        now = await record.load()
        items: list[Any] = now.get(_ITEMS, [])
        half = (len(items) + 1) // 2
        if not half:
            return False
        # Named for the revision it is taken from: whoever else does this at once writes the same under the same name.
        part = f"{now.revision.epoch}.{now.revision.number}"
        older = self._older(part)
        await older.set(_ITEMS, items[:half])
        try:
            await record.commit(op.set(_ITEMS, items[half:]), op.append(_OLDER, part), if_revision=now.revision)
        except Conflict:
            if part not in await record.get(_OLDER, []):
                await older.delete()
        return True

    async def _bring_back(self, record: Record, now: Snapshot) -> None:
        part = now[_OLDER][-1]
        items = await self._read(part, record, now)
        if items is not None:
            with contextlib.suppress(Conflict):  # somebody else did
                await record.commit(op.set(_ITEMS, items), op.pop(_OLDER), if_revision=now.revision)
                await self._older(part).delete()
