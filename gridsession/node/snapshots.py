"""Snapshots that a node takes by itself, and what it puts back when the grid has just formed.

All that a grid holds is in its members' memory: when all of them end, it is gone. So each node writes the whole grid
into a directory of its own every so many seconds, the nodes one after another, and keeps the newest files.

A cold start is told by what members saw: a member that finds no other founds a new cluster, and a new cluster is empty.
Nodes then say in a record of the grid, `node:start` in the namespace `gridsession-nodes`, how new their newest file is.
The one with the newest takes that session's turn, puts the file back and says in the turn's commit that it is done; if
it dies, its lease ends and the next one does it. Restoring again changes nothing, and never replaces what is newer: a
session that was made meanwhile has a higher epoch than any snapshot. Until it is done no node is ready, and none
takes a snapshot, which could push a good one out. In a grid that runs already, the record says that nothing is to be
done.

When each node takes its own is by the wall clock, so that it stays over restarts: the nodes that take any say so, with
the time, in the record `node:snapshots`, and share the interval evenly in the order of their addresses.
"""

from __future__ import annotations

import asyncio
import contextlib
import tempfile
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, Final, NamedTuple

from gridsession._logs import logger
from gridsession._store import SessionStore
from gridsession.errors import CodecError, Conflict, GridSessionError, Leased, LeaseLost, NodeError, Unavailable
from gridsession.moving import Contents, check_snapshot, restore, snapshot
from gridsession.node.config import NodeConfig
from gridsession.node.metrics import SnapshotsTaken
from gridsession.policy import Policy

NAMESPACE: Final = "gridsession-nodes"
"""Where nodes agree on things; no bot's, and in no snapshot of all namespaces."""
_START: Final = "node:start"
_TAKING: Final = "node:snapshots"
_ALL_HEARD: Final = 20.0
"""Seconds a node waits, after it first could, for the others to say what they have."""
_NEXT_ONE: Final = 15.0
"""Seconds by which a node with an older file waits for one with a newer file to begin."""
_PAUSE: Final = 0.5
_AFTER_FAILURE: Final = 30.0
_FORGOTTEN: Final = 3
"""Intervals after which a node that says no more that it takes snapshots has no share in them."""
_TRIES: Final = 5
"""How often in a row something unforeseen may keep a node from settling before it is sent work without that."""
_LEASE: Final = 10.0
_PREFIX, _SUFFIX = "gridsession-", ".gsr"

_log = logger("node")


class Kept(NamedTuple):
    """A whole snapshot in a node's directory: when it was begun (ms since 1970), its file and what is in it."""

    taken: int
    path: Path
    contents: Contents


class SnapshotKeeper:
    """Takes a node's snapshots, and restores one at a cold start, on a thread of its own; a context manager.

    Args:
        config: with `snapshot_every` and `snapshot_dir`.
        founded: whether this node's member founded its cluster; asked once the cluster serves.
        settled: called when it is clear that nothing is to be restored (any more).

    Raises:
        NodeError: nothing can be written to the directory.
    """

    def __init__(self, config: NodeConfig, founded: Callable[[], bool], settled: Callable[[], None]) -> None:
        assert config.snapshot_dir is not None
        assert config.snapshot_every is not None
        self._config = config
        self._directory = config.snapshot_dir
        self._every = config.snapshot_every
        self._founded = founded
        self._settled = settled
        self._damaged: set[Path] = set()
        self._partial: list[Path] = []
        self._failures = 0
        self._make_directory()
        newest = next(iter(self._files()), None)
        self._last = time.time() if newest is None else (_taken(newest) or 0) / 1000
        self._thread = threading.Thread(target=self._run, name="node-snapshots", daemon=True)
        self._started = threading.Event()
        self._stop: Callable[[], object] | None = None

    @property
    def taken(self) -> SnapshotsTaken:
        """How this node's snapshots stand, for its metrics."""
        return SnapshotsTaken(self._every, self._last, self._failures)

    def _make_directory(self) -> None:
        try:
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            list(self._directory.iterdir())
            with tempfile.NamedTemporaryFile(dir=self._directory, prefix=".gridsession-") as probe:
                probe.write(b"can be written to")
                probe.flush()
        except OSError as error:
            raise NodeError(f"cannot keep snapshots in {self._directory}: {error.strerror or error}") from error

    def __enter__(self) -> SnapshotKeeper:
        self._thread.start()
        self._started.wait()
        return self

    def __exit__(self, *_: object) -> None:
        if self._stop is not None:
            self._stop()
        # What it was writing stays as a part that nobody takes for a snapshot.
        self._thread.join(5.0)

    def _run(self) -> None:
        try:
            asyncio.run(self._work())
        except asyncio.CancelledError:
            return
        except Exception as error:  # noqa: BLE001 - the node goes on without snapshots, and says so
            _log.exception("snapshots_ended", error=type(error).__name__)
            self._failures += 1
            self._settled()

    async def _work(self) -> None:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None

        def stop() -> None:
            with contextlib.suppress(RuntimeError):
                loop.call_soon_threadsafe(task.cancel)

        self._stop = stop
        self._started.set()
        policy = Policy(deadline=10, lease=_LEASE)
        store = SessionStore.open(self._url(), namespace=NAMESPACE, policy=policy)
        try:
            await _until_it_works("snapshots_wait", store.connect)
            await _until_it_works("snapshot_not_restored", self._settle(store))
            self._settled()
            await self._take_all(store)
        finally:
            await store.aclose()

    def _url(self) -> str:
        addresses = dict.fromkeys((self._config.address, *self._config.join))
        return f"hazelcast://{','.join(addresses)}/{self._config.cluster_name}"

    # --- taking ------------------------------------------------------------------------------------------------------

    async def _take_all(self, store: SessionStore) -> None:
        """One snapshot after another; each node has its own moment of the interval."""
        while True:
            try:
                await self._wait_for_moment(store)
                await self._take(store)
            except Exception as error:  # noqa: BLE001 - whatever it was, the next one is tried
                self._failures += 1
                _log.warning(
                    "snapshot_failed",
                    directory=str(self._directory),
                    reason=type(error).__name__,
                    error=str(error),
                    exc_info=not isinstance(error, GridSessionError | OSError),
                )
                await asyncio.sleep(min(self._every, _AFTER_FAILURE))
            # Where the wall clock is set back a little, this moment is not taken for the next one.
            await asyncio.sleep(_PAUSE)

    async def _wait_for_moment(self, store: SessionStore) -> None:
        """Return at this node's moment; who else takes snapshots may change while it waits."""
        waited_for = None
        while (share := await self._share(store)) != waited_for:
            await asyncio.sleep(until_moment(time.time(), self._every, share))
            waited_for = share

    async def _share(self, store: SessionStore) -> float:
        """Say that this node takes snapshots; return which part of the interval lies before its own."""
        taking, own = store.session(_TAKING), f"at {self._config.address}"
        now = time.time()
        said = await taking.update({own: now})
        gone = {name for name, when in said.items() if now - float(when) > _FORGOTTEN * self._every}
        await taking.remove(*gone)
        order = sorted(said.keys() - gone)
        return order.index(own) / len(order)

    async def _take(self, store: SessionStore) -> None:
        for left in self._directory.glob(f"{_PREFIX}*{_SUFFIX}.part"):
            left.unlink(missing_ok=True)
        began = time.monotonic()
        path = self._directory / f"{_PREFIX}{time.time_ns() // 1_000_000}{_SUFFIX}"
        # Without any namespace it is written too: what an older file holds was ended or deleted since.
        chosen = sorted(await store._links[0].driver.namespaces() - {NAMESPACE}) or ["default"]
        report, contents = await snapshot(store, path, namespaces=chosen, names=(self._config.cluster_name,))
        facts = {"records": sum(contents.records.values()), "bytes": contents.size, "ok": report.ok}
        _log.info("snapshot_taken", file=path.name, **facts, seconds=round(time.monotonic() - began, 3))
        self._forget_older(path, ok=report.ok)

    def _forget_older(self, path: Path, *, ok: bool) -> None:
        """A snapshot that lacks something takes the place of such ones only, never of a good one."""
        if ok:
            self._last, self._partial = (_taken(path) or 0) / 1000, []
            forgotten = self._files()[self._config.snapshot_keep :]
        else:
            self._failures += 1
            forgotten, self._partial = self._partial, [path]
        for old in forgotten:
            old.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        """The snapshots there are, the newest first."""
        found = [path for path in self._directory.glob(f"{_PREFIX}*{_SUFFIX}") if _taken(path) is not None]
        return sorted(found, key=lambda path: _taken(path) or 0, reverse=True)

    def _newest(self) -> Kept | None:
        """The newest snapshot that is whole; damaged ones are passed over, and said. It blocks."""
        for path in self._files():
            if path in self._damaged:
                continue
            try:
                return Kept(_taken(path) or 0, path, check_snapshot(path))
            except (CodecError, Unavailable) as error:
                _log.error("snapshot_damaged", file=str(path), problem=str(error))
        return None

    # --- a cold start ------------------------------------------------------------------------------------------------

    def _settle(self, store: SessionStore) -> Callable[[], Coroutine[Any, Any, None]]:
        kept: list[Kept | None] = []

        async def settle() -> None:
            """Return when what had to be restored is, by whichever node."""
            marker = store.session(_START)
            if "settled" in await marker.load():
                return
            if not kept or (kept[0] is not None and kept[0].path in self._damaged):
                kept[:] = [await asyncio.to_thread(self._newest)]
            newest = kept[0]
            taken = 0 if newest is None else newest.taken
            # Once it was said it stays: the founder itself may die, and come back as one that joins.
            formed = {"founded": True} if self._founded() else {}
            await marker.update({f"at {self._config.address}": taken, **formed})
            began = time.monotonic()
            while True:
                state = await marker.load()
                if "settled" in state:
                    return
                said = {name.removeprefix("at "): state[name] for name in state if name.startswith("at ")}
                waited = time.monotonic() - began
                if len(said) >= self._config.members_declared or waited > _ALL_HEARD:
                    order = sorted(said, key=lambda address: (said[address], address), reverse=True)
                    place = order.index(self._config.address) if self._config.address in order else len(order)
                    if waited > place * _NEXT_ONE:
                        await self._restore(store, newest, founded="founded" in state)
                await asyncio.sleep(_PAUSE)

        return settle

    async def _restore(self, store: SessionStore, newest: Kept | None, *, founded: bool) -> None:
        """Restore if this is a cold start, alone; what another does is waited for by who called."""
        try:
            async with store.turn(_START, wait=0) as turn:
                if "settled" in turn.state:
                    return
                facts: dict[str, Any] = {"by": self._config.address, "restored": None}
                if newest is not None and (founded or await _is_empty(store)):
                    facts["restored"] = newest.path.name
                    _log.warning("restoring", file=newest.path.name, records=sum(newest.contents.records.values()))
                    # Times count on while a grid is down: what ended by now stays ended.
                    try:
                        report = await restore(store, newest.path, contents=newest.contents, elapsed=True)
                    except CodecError:
                        # Whole by its sums, and yet no good: the next round takes the next older one.
                        self._damaged.add(newest.path)
                        raise
                    age = round(time.time() - newest.taken / 1000, 1)
                    _log.warning("restored", ok=report.ok, **_flat(report.counts()), snapshot_age_seconds=age)
                turn.state["settled"] = facts
        except (Leased, LeaseLost, Conflict):
            return


def until_moment(now: float, every: float, share: float) -> float:
    """Seconds from `now` (since 1970) to the next moment that lies `share` (0 to 1) into an interval of `every`."""
    return (share * every - now) % every


async def _until_it_works(event: str, work: Callable[[], Coroutine[Any, Any, object]]) -> None:
    """Wait for `work`, however long the grid refuses it.

    What is no refusal is a fault of ours, and might stay one: it is given up after a while.
    """
    said, unforeseen = "", 0
    while True:
        try:
            await work()
            return
        except GridSessionError as error:
            # A grid without its majority answers so until the others are there: said once.
            if type(error).__name__ != said:
                said = type(error).__name__
                _log.info(event, reason=said, error=str(error))
        except Exception as error:
            unforeseen += 1
            _log.exception(event, error=type(error).__name__, tries_left=_TRIES - unforeseen)
            if unforeseen == _TRIES:
                raise
        await asyncio.sleep(_PAUSE)


async def _is_empty(store: SessionStore) -> bool:
    """Whether no bot has a session or global here."""
    for namespace in await store._links[0].driver.namespaces() - {NAMESPACE}:
        for link in store._links:
            space = link.space._replace(namespace=namespace)
            page = await link.driver.scan(space, limit=1)
            while not page.ids and page.cursor is not None:
                page = await link.driver.scan(space, cursor=page.cursor, limit=1)
            if page.ids:
                return False
    return True


def _taken(path: Path) -> int | None:
    """When a snapshot was begun, by its name; None if it is no name of ours."""
    digits = path.name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return int(digits) if digits.isascii() and digits.isdigit() else None


def _flat(counts: dict[str, dict[str, int]]) -> dict[str, int]:
    return {
        f"{step.replace(' ', '_')}_{outcome}": count for step, each in counts.items() for outcome, count in each.items()
    }
