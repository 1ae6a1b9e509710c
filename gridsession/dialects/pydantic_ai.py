"""pydantic-ai on the grid: `GridConversationStore` keeps conversations as its `ConversationStore` asks.

    store = GridConversationStore("hazelcast://host:5701/cluster")
    conversation = await store.load(conversation_id) or Conversation(conversation_id=conversation_id)
    result = await agent.run(prompt, conversation=conversation)
    await store.save(result)  # ConversationConflict, if another saved it meanwhile

Each message is stored once, as a session of its own; a save writes the new ones first and then, in one guarded step,
the conversation's record that points at the last: of several saves at once one wins, the others are told and leave
nothing. One message must fit into a record (256 KB by default). Deleting a conversation deletes its messages, except
those that a fork shares. Listing conversations looks at every one there is.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Coroutine, Iterable, Sequence
from typing import Any, Final, TypeVar

from gridsession import Policy, Revision, Session, SessionStore, Snapshot
from gridsession import operations as op
from gridsession.dialects._place import Place
from gridsession.errors import Conflict, InvalidOption, Refused

try:
    from pydantic import TypeAdapter
    from pydantic_ai.conversation_store import (
        ConversationConflict,
        ConversationEntry,
        ConversationRecord,
        ConversationStore,
    )
    from pydantic_ai.messages import ModelMessagesTypeAdapter
except ImportError as error:
    raise ImportError(
        "gridsession.dialects.pydantic_ai needs pydantic-ai: pip install 'gridsession[pydantic-ai]'"
    ) from error

__all__ = ["GridConversationStore"]

T = TypeVar("T")
Line = list[tuple[str, Snapshot]]
_PLATFORM: Final = "pydantic-ai"
_RECORD: Final = "record"
_ENTRY: Final = "entry"
_MESSAGE: Final = "message"
_PARENT: Final = "parent"
_BEFORE: Final = "before"
"""Of a message: the ids of those before it, latest first, so that a history is read many messages at a time."""
_SHARED: Final = "shared"
_REACH: Final = 32
_TOGETHER: Final = 64
_RECORDS: Final = TypeAdapter(ConversationRecord)


class GridConversationStore(ConversationStore):
    """Conversations in any number of processes, on any driver.

    Args:
        store: an open store, which stays its owner's; or a URL (None = `GRIDSESSION_URL`), opened at first use, closed
            by `close()`. A store with a ttl needs `Policy(touch_on_read=True)`, as one of our own has: loading a
            conversation then keeps all the messages loaded, which would otherwise expire one by one.
    """

    def __init__(self, store: SessionStore | str | None = None) -> None:
        self._place = Place(store, policy=Policy(touch_on_read=True))

    async def close(self) -> None:
        """Close the store if it is our own."""
        await self._place.aclose()

    async def read_record(self, conversation_id: str) -> ConversationRecord | None:
        """A conversation's record, or None."""
        return _record(await (await self._session(conversation_id)).load())

    async def read_records(self, *, scope: str | None = None, limit: int | None = None) -> Sequence[ConversationRecord]:
        """The records there are (of one scope), the last saved first."""
        prefix = f"{_PLATFORM}:"
        ids = {found.removeprefix(prefix) async for found in (await self._store()).ids(prefix)}
        found = await _all(self.read_record(conversation_id) for conversation_id in ids)
        records = [record for record in found if record is not None and scope in (None, record.scope)]
        return sorted(records, key=lambda record: record.updated_at, reverse=True)[:limit]

    async def write_record(
        self,
        record: ConversationRecord,
        *,
        new_entries: Sequence[ConversationEntry] = (),
        expected_revision: str | None,
    ) -> None:
        """Store a conversation's new messages, then its record in place of the one with that revision.

        Raises:
            ConversationConflict: that is not the stored revision, or what the history goes on from is gone.
        """
        session = await self._session(record.conversation_id)
        now = await session.load()
        if _revision(now) != expected_revision:
            raise ConversationConflict(record.conversation_id)
        joint = new_entries[0].parent_id if new_entries else record.head_id
        before = [] if joint is None else await self._join(record.conversation_id, joint, fork=not now.exists)
        await self._add(new_entries, before)
        made = op.set(_RECORD, _RECORDS.dump_json(record).decode())
        try:
            revision = now.revision if now.exists else None
            await session.commit(made, if_absent=revision is None, if_revision=revision)
        except Refused as error:
            await _all(self._drop(entry.id) for entry in new_entries)
            if isinstance(error, Conflict):
                raise ConversationConflict(record.conversation_id) from None
            raise

    async def delete_record(self, conversation_id: str, *, expected_revision: str) -> None:
        """Delete a conversation, then its messages, but for those that a fork shares.

        Raises:
            ConversationConflict: it was saved, replaced or deleted meanwhile.
        """
        session = await self._session(conversation_id)
        now = await session.load()
        record = _record(now)
        if record is None or record.revision != expected_revision:
            raise ConversationConflict(conversation_id)
        lines = [await self._line(tip) for tip in (record.head_id, *record.branches)]
        try:
            deleted = await session.delete(now.revision)
        except Conflict:
            deleted = False
        if not deleted:
            raise ConversationConflict(conversation_id)
        await self._forget(lines)

    async def read_entry(self, entry_id: str) -> ConversationEntry:
        """One message.

        Raises:
            LookupError: there is none of this id.
        """
        return _entry(entry_id, await self._load(entry_id))

    async def read_history(self, head_id: str | None, *, limit: int | None = None) -> list[ConversationEntry]:
        """The messages up to `head_id`, oldest first, or the last `limit` of them.

        Raises:
            LookupError: one of them is gone.
        """
        return [_entry(name, found) for name, found in reversed(await self._line(head_id, limit=limit))]

    # --- sessions ---------------------------------------------------------------------------------------------------

    async def _store(self) -> SessionStore:
        store = await self._place.store()
        if store.policy.ttl is not None and not store.policy.touch_on_read:
            raise InvalidOption(
                "conversations on a store with a ttl need Policy(touch_on_read=True): open one and give it"
            )
        return store

    async def _session(self, conversation_id: str) -> Session:
        return (await self._store()).session(f"{_PLATFORM}:{conversation_id}")

    async def _message(self, entry_id: str) -> Session:
        return (await self._store()).session(f"{_PLATFORM}.message:{entry_id}")

    async def _line(self, head_id: str | None, *, limit: int | None = None) -> Line:
        """Messages from `head_id` back, latest first; up to the first that is gone."""
        line: Line = []
        ids = [] if head_id is None else [head_id]
        while ids and (limit is None or len(line) < limit):
            ids = ids if limit is None else ids[: limit - len(line)]
            found = await _all(map(self._load, ids))
            line += zip(ids, found, strict=True)
            ids = _before(found[-1])
        return line

    async def _join(self, conversation_id: str, joint: str, *, fork: bool) -> list[str]:
        """The ids before a message that goes on from `joint`, which a fork keeps from being deleted."""
        message = await self._message(joint)
        while (now := await message.load()).exists:
            if not fork or _SHARED in now:
                return [joint, *_before(now)][:_REACH]
            with contextlib.suppress(Conflict):
                await message.commit(op.set(_SHARED, True), if_revision=now.revision)
        raise ConversationConflict(conversation_id)

    async def _add(self, entries: Sequence[ConversationEntry], before: list[str]) -> None:
        histories = [before]
        for entry in entries:
            histories.append([entry.id, *histories[-1]][:_REACH])
        await _all(self._put(entry, history) for entry, history in zip(entries, histories, strict=False))

    async def _put(self, entry: ConversationEntry, before: list[str]) -> None:
        text = ModelMessagesTypeAdapter.dump_json([entry.message]).decode()
        made = {_MESSAGE: text, _PARENT: entry.parent_id, _BEFORE: before}
        await (await self._message(entry.id)).set(_ENTRY, made)

    async def _load(self, entry_id: str) -> Snapshot:
        return await (await self._message(entry_id)).load()

    async def _drop(self, entry_id: str, at: Revision | None = None) -> bool:
        """Delete a message; False if it was changed since it was read."""
        try:
            await (await self._message(entry_id)).delete(at)
        except Conflict:
            return False
        return True

    async def _forget(self, lines: Sequence[Line]) -> None:
        """Delete messages, each before the one it goes on from: so a fork that found one finds all before it."""
        depths: dict[str, tuple[int, Snapshot]] = {}
        kept = set[str]()
        for line in lines:
            depths |= {name: (len(line) - back, found) for back, (name, found) in enumerate(line)}
            kept |= _from(line, next((name for name, found in line if _SHARED in found), None))
        for name, (_, found) in sorted(depths.items(), key=lambda each: each[1][0], reverse=True):
            if name not in kept and not await self._drop(name, found.revision):
                for line in lines:  # a fork shares it since it was read
                    kept |= _from(line, name)


def _from(line: Line, name: str | None) -> set[str]:
    """This message of a line and those before it."""
    names = [each for each, _ in line]
    return set(names[names.index(name) :]) if name in names else set()


def _revision(stored: Snapshot) -> str | None:
    record = _record(stored)
    return None if record is None else record.revision


def _record(stored: Snapshot) -> ConversationRecord | None:
    return _RECORDS.validate_json(stored.read(_RECORD, str)) if stored.exists else None


def _entry(entry_id: str, stored: Snapshot) -> ConversationEntry:
    if not stored.exists:
        raise LookupError(f"message {entry_id!r} is not in the store")
    entry = stored[_ENTRY]
    (message,) = ModelMessagesTypeAdapter.validate_json(entry[_MESSAGE])
    return ConversationEntry(id=entry_id, parent_id=entry[_PARENT], message=message)


def _before(stored: Snapshot) -> list[str]:
    entry: dict[str, Any] = stored.get(_ENTRY, {_BEFORE: []})
    return list(entry[_BEFORE])


async def _all(calls: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Their results, some at a time."""
    waiting, results = iter(calls), list[T]()
    while some := list(itertools.islice(waiting, _TOGETHER)):
        results += await asyncio.gather(*some)
    return results
