"""A checkpoint saver over sessions: LangGraph's interface, both colours."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from typing import Any, Final, Self

import msgpack
from langchain_core.runnables import RunnableConfig
from langgraph.checkpoint.base import (
    WRITES_IDX_MAP,
    BaseCheckpointSaver,
    ChannelVersions,
    Checkpoint,
    CheckpointMetadata,
    CheckpointTuple,
    get_checkpoint_metadata,
    writes_sort_key,
)
from langgraph.checkpoint.serde.base import SerializerProtocol

from gridsession import SessionStore, sync
from gridsession.dialects._two_colours import TwoColours, blocking
from gridsession.dialects.langgraph._checkpoints import CHECKPOINT, WRITES, Entry, Threads, recent
from gridsession.dialects.langgraph._thread_owners import Checkpoints, Owners, names
from gridsession.errors import InvalidOption
from gridsession.policy import Duration

_NOWHERE: Final = ("", 0)


class GridSaver(BaseCheckpointSaver[int]):
    """Checkpoints of any number of threads, shared by all processes; each async method has its blocking twin.

    Args:
        store: an open store (async or `gridsession.sync`), which stays its owner's; or a URL (None =
            `GRIDSESSION_URL`), opened at first use, closed by `close()` or at the end of a `with` block.
        serde: LangGraph's serializer; its bytes are kept as they are.
        lease: for how long others wait for a process that died; a living one renews it.
        wait: how long a write waits for a thread that another owns.
    """

    def __init__(
        self,
        store: SessionStore | sync.SessionStore | str | None = None,
        *,
        serde: SerializerProtocol | None = None,
        lease: Duration = 30.0,
        wait: Duration = 10.0,
    ) -> None:
        super().__init__(serde=serde)
        self._at = TwoColours(store)
        self._threads = Threads(self._at)
        self._owners = Owners(self._at, self._threads, lease, wait)

    def __enter__(self) -> Self:
        self._at.connect()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    async def __aenter__(self) -> Self:
        await asyncio.to_thread(self._at.connect)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.close)

    def close(self) -> None:
        """Close the store if it is this saver's own."""
        self._at.close()

    def aown(self, thread_id: str, *, wait: Duration | None = None) -> AbstractAsyncContextManager[None]:
        """Own a thread for a run: nobody else writes it meanwhile, first come first served.

        Raises:
            Leased: on entering: others had it for longer than `wait` (by default the saver's).
            LeaseLost: on leaving, if it was seen to be lost; writes after that were refused in any case.
        """
        return self._owners.aown(str(thread_id), wait)

    def own(self, thread_id: str, *, wait: Duration | None = None) -> AbstractContextManager[None]:
        """`aown` for code that blocks."""
        return self._owners.own(str(thread_id), wait)

    # --- LangGraph's interface --------------------------------------------------------------------------------------

    async def aget_tuple(self, config: RunnableConfig) -> CheckpointTuple | None:
        """A checkpoint by its id, or the newest of its namespace."""
        thread, ns, checkpoint_id = _where(config)
        return await self._at.reach(self._find(thread, ns or "", checkpoint_id))

    async def alist(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - the framework's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> AsyncIterator[CheckpointTuple]:
        """Checkpoints, newest first; of all threads if there is no config."""
        left = -1 if limit is None else max(limit, 0)
        for thread in [_where(config)[0]] if config else await self._at.reach(self._threads.names()):
            for ns, checkpoint_id in await self._at.reach(self._candidates(thread, config, before)):
                if not left:
                    return
                found = await self._at.reach(self._find(thread, ns, checkpoint_id))
                if found and all(found.metadata.get(key) == value for key, value in (filter or {}).items()):
                    left -= 1
                    yield found

    def list(
        self,
        config: RunnableConfig | None,
        *,
        filter: dict[str, Any] | None = None,  # noqa: A002 - the framework's name
        before: RunnableConfig | None = None,
        limit: int | None = None,
    ) -> Iterator[CheckpointTuple]:
        """`alist` for code that blocks."""
        return self._at.each(self.alist(config, filter=filter, before=before, limit=limit))

    async def aput(
        self,
        config: RunnableConfig,
        checkpoint: Checkpoint,
        metadata: CheckpointMetadata,
        new_versions: ChannelVersions,
    ) -> RunnableConfig:
        """Add a checkpoint, the newest of its namespace; when this returns it is on the grid.

        Raises:
            Leased: another owns the thread, and the wait ran out.
            LeaseLost: this owner of the thread was superseded; the thread stays as it was.
        """
        thread, ns, parent = _where(config)
        told = get_checkpoint_metadata(config, metadata)
        body = msgpack.packb([self.serde.dumps_typed(checkpoint), self.serde.dumps_typed(told)])
        await self._at.reach(
            self._owners.add(
                thread, Entry(CHECKPOINT, ns or "", checkpoint["id"], parent, told.get("run_id"), _NOWHERE), body
            )
        )
        return _config(thread, ns or "", checkpoint["id"])

    async def aput_writes(
        self, config: RunnableConfig, writes: Sequence[tuple[str, Any]], task_id: str, task_path: str = ""
    ) -> None:
        """Add what a task wrote on the way to a checkpoint: of each write the first counts, of special ones the last.

        Raises:
            Leased, LeaseLost: as `aput`.
        """
        thread, ns, checkpoint_id = _where(config)
        made = [
            [task_path, task_id, WRITES_IDX_MAP.get(channel, at), channel, *self.serde.dumps_typed(value)]
            for at, (channel, value) in enumerate(writes)
        ]
        entry = Entry(WRITES, ns or "", checkpoint_id or "", None, None, _NOWHERE)
        await self._at.reach(self._owners.add(thread, entry, msgpack.packb(made)))

    async def adelete_thread(self, thread_id: str) -> None:
        """Delete everything of a thread, in all its namespaces."""
        await self._at.reach(self._owners.keep(str(thread_id), _none))

    async def adelete_for_runs(self, run_ids: Sequence[str]) -> None:
        """Delete the checkpoints that these runs made, and their writes, in all threads."""
        runs = frozenset(run_ids)

        async def others(_: str, entries: Sequence[Entry]) -> Checkpoints:
            return names(entries) - names(entry for entry in entries if entry.run in runs)

        for thread in await self._at.reach(self._threads.names()) if runs else ():
            # Looked at first: threads that these runs never wrote may be owned by others.
            if any(entry.run in runs for entry in await self._at.reach(self._threads.history(thread))):
                await self._at.reach(self._owners.keep(thread, others))

    async def acopy_thread(self, source_thread_id: str, target_thread_id: str) -> None:
        """Copy all checkpoints and writes to the end of another thread, where they appear at once."""
        await self._at.reach(self._owners.copy(str(source_thread_id), str(target_thread_id)))

    async def aprune(self, thread_ids: Sequence[str], *, strategy: str = "keep_latest") -> None:
        """Delete all checkpoints of threads (`delete`), or all but the newest of each namespace (`keep_latest`).

        What a `DeltaChannel` of a kept checkpoint is rebuilt from is kept too.

        Raises:
            InvalidOption: another strategy.
        """
        choices = {"keep_latest": self._latest, "delete": _none}
        if strategy not in choices:
            raise InvalidOption(f"the strategy of prune is 'keep_latest' or 'delete', not {strategy!r}")
        for thread in thread_ids:
            await self._at.reach(self._owners.keep(str(thread), choices[strategy]))

    get_tuple = blocking(aget_tuple)
    put = blocking(aput)
    put_writes = blocking(aput_writes)
    delete_thread = blocking(adelete_thread)
    delete_for_runs = blocking(adelete_for_runs)
    copy_thread = blocking(acopy_thread)
    prune = blocking(aprune)

    # --- on the store's loop ----------------------------------------------------------------------------------------

    async def _latest(self, thread: str, entries: Sequence[Entry]) -> Checkpoints:
        made = [entry for entry in entries if entry.kind == CHECKPOINT]
        # Writes may arrive before the checkpoint they belong to.
        kept = names(entries) - names(made)
        for newest in {entry.ns: entry for entry in made}.values():
            found = await self._find(thread, newest.ns, newest.id)
            missing: set[str] | None = None
            while found is not None and missing != set():
                values = found.checkpoint["channel_values"].keys()
                deltas = found.metadata.get("counters_since_delta_snapshot", {}) if missing is None else missing
                missing = set(deltas) - values
                kept.add((newest.ns, found.checkpoint["id"]))
                found = await self._find(*_where(found.parent_config)) if found.parent_config else None
        return kept

    async def _candidates(
        self, thread: str, config: RunnableConfig | None, before: RunnableConfig | None
    ) -> Sequence[tuple[str, str]]:
        made = [entry for entry in await self._threads.history(thread) if entry.kind == CHECKPOINT]
        newest_first = [*dict.fromkeys((entry.ns, entry.id) for entry in reversed(made))]
        _, ns, wanted = _where(config) if config else ("", None, None)
        mark = _where(before)[2] if before else None
        if mark is not None:
            at = next((at for at, (_, name) in enumerate(newest_first) if name == mark), None)
            newest_first = [n for n in newest_first if n[1] < mark] if at is None else newest_first[at + 1 :]
        return [name for name in newest_first if ns in (None, name[0]) and wanted in (None, name[1])]

    async def _find(self, thread: str, ns: str | None, checkpoint_id: str | None) -> CheckpointTuple | None:
        while True:
            index = await self._threads.index(thread)
            entries = recent(index)
            if (entry := _newest(entries, ns or "", checkpoint_id)) is None and index.get("pages"):
                entries = await self._threads.history(thread, index)
                entry = _newest(entries, ns or "", checkpoint_id)
            if entry is None:
                return None
            writes = [each for each in entries if each.kind == WRITES and (each.ns, each.id) == (entry.ns, entry.id)]
            body, *written = await self._threads.read([entry.body, *(each.body for each in writes)])
            if (body is not None and None not in written) or await self._threads.stands(thread, index):
                return None if body is None else self._tuple(thread, entry, body, filter(None, written))

    def _tuple(self, thread: str, entry: Entry, body: bytes, written: Iterable[bytes]) -> CheckpointTuple:
        checkpoint, metadata = (self.serde.loads_typed(tuple(typed)) for typed in msgpack.unpackb(body))
        counted: dict[tuple[str, int], tuple[str, str, Any]] = {}
        for path, task, at, channel, *typed in (write for made in written for write in msgpack.unpackb(made)):
            if at < 0 or (task, at) not in counted:
                counted[task, at] = (path, channel, typed)
        ordered = sorted(counted.items(), key=lambda write: writes_sort_key(write[1][0], *write[0]))
        return CheckpointTuple(
            _config(thread, entry.ns, entry.id),
            checkpoint,
            metadata,
            _config(thread, entry.ns, entry.parent) if entry.parent else None,
            [(task, channel, self.serde.loads_typed(tuple(typed))) for (task, _), (_, channel, typed) in ordered],
        )


async def _none(_: str, __: Sequence[Entry]) -> Checkpoints:
    return set()


def _newest(entries: Sequence[Entry], ns: str, checkpoint_id: str | None) -> Entry | None:
    made = (entry for entry in reversed(entries) if entry.kind == CHECKPOINT and entry.ns == ns)
    return next((entry for entry in made if checkpoint_id in (None, entry.id)), None)


def _where(config: RunnableConfig) -> tuple[str, str | None, str | None]:
    told = config["configurable"]
    return str(told["thread_id"]), told.get("checkpoint_ns"), told.get("checkpoint_id") or None


def _config(thread: str, ns: str, checkpoint_id: str) -> RunnableConfig:
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, "checkpoint_id": checkpoint_id}}
