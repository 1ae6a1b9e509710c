"""`gridsession top`: what a client can see of a place, live."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections import Counter, deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Annotated, Any

import typer
from rich.console import Group
from rich.live import Live
from rich.text import Text

from gridsession import SessionStore
from gridsession.cli._places import AsJson, Namespace, Url, run_until_interrupted
from gridsession.cli._tables import Output, heap_mib, table
from gridsession.errors import Unavailable

_PROBE_EVERY = 0.2
_WINDOW = 256
_SHARE_OF_COUNTING = 10
"""Where counting means reading all ids, it may take one part in so many of the time."""


def command(
    url: Url,
    namespace: Namespace = None,
    interval: Annotated[float, typer.Option(min=0.1, help="Seconds between two looks.")] = 2.0,
    count: Annotated[int | None, typer.Option(min=1, help="End after so many looks.", show_default="Ctrl-C")] = None,
    as_json: AsJson = False,
) -> None:
    """Shows members, sessions, changes per second and latency, live, until Ctrl-C.

    Seen from here, by one client: changes are those of this namespace's sessions, as they are pushed (reads are not
    seen, and fast changes of one session may count as one); latency is that of this command's own reads of an id that
    nobody has; sessions of a grid are counted with those that ended and are not swept yet. Heap is told by each
    member, in use and at most, garbage included.
    """
    output = Output(as_json=as_json)

    async def work(store: SessionStore) -> None:
        seen = _Seen(store)
        tasks = [asyncio.create_task(task) for task in _watching(seen, interval)]
        try:
            with Live(console=output.console, auto_refresh=False, screen=False) as live:
                looks = 0
                while count is None or looks < count:
                    await asyncio.sleep(interval)
                    for task in tasks:
                        if task.done():
                            task.result()
                    facts = seen.look()
                    looks += 1
                    output.line(**facts)
                    if output.people:
                        live.update(_screen(facts), refresh=True)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    run_until_interrupted(url, namespace, work)


def _watching(seen: _Seen, interval: float) -> tuple[Coroutine[Any, Any, None], ...]:
    return seen.follow(), seen.measure(), seen.count(interval), seen.weigh(interval)


@dataclass(slots=True)
class _Seen:
    """What was seen of a place since the last look."""

    store: SessionStore
    changes: int = 0
    gaps: int = 0
    failures: int = 0
    sessions: int | None = None
    heaps: dict[str, dict[str, int] | None] = field(default_factory=dict)
    looked: float = field(default_factory=time.monotonic)
    waits: deque[float] = field(default_factory=lambda: deque(maxlen=_WINDOW))

    async def follow(self) -> None:
        """Count changes."""
        begun = False
        async for change in self.store.watch():
            if change.id is not None:
                self.changes += 1
            else:
                self.gaps += begun
                begun = True

    async def measure(self) -> None:
        """Time reads of an id that nobody has: what a worker's read takes, from here."""
        while True:
            session = self.store.session(f"top:{secrets.token_hex(8)}")
            started = time.monotonic()
            try:
                await session.exists()
            except Unavailable:
                self.failures += 1
            else:
                self.waits.append((time.monotonic() - started) * 1000)
            await asyncio.sleep(_PROBE_EVERY)

    async def count(self, interval: float) -> None:
        """Count sessions, as often as that is cheap."""
        link = self.store._links[0]
        while True:
            started = time.monotonic()
            try:
                if (client := _client(self.store)) is not None:
                    from gridsession.cli._grid import entries

                    self.sessions = await entries(client.link, link.space, asyncio.get_running_loop().time() + interval)
                else:
                    self.sessions = len({session_id async for session_id in self.store.ids()})
            except Unavailable:
                self.sessions = None
            await asyncio.sleep(max(interval, (time.monotonic() - started) * _SHARE_OF_COUNTING))

    async def weigh(self, interval: float) -> None:
        """Ask each member for its heap."""
        client = _client(self.store)
        if client is None:
            return
        from gridsession.drivers.hazelcast._probe import address_of, probe

        async def ask(member: Any) -> None:
            heap = None
            try:
                report = await probe(client.link, member, asyncio.get_running_loop().time() + interval)
                heap = None if report is None or report.heap is None else report.heap._asdict()
            except Unavailable:
                # The line above it tells whether it is connected.
                pass
            self.heaps[address_of(member)] = heap

        while True:
            await asyncio.gather(*map(ask, client.link.members()))
            await asyncio.sleep(interval)

    def look(self) -> dict[str, Any]:
        """What there is to tell, and count anew."""
        now = time.monotonic()
        rate, self.changes = self.changes / (now - self.looked), 0
        gaps, self.gaps = self.gaps, 0
        failures, self.failures = self.failures, 0
        self.looked = now
        waits = sorted(self.waits)
        self.waits.clear()
        return {
            "members": _members(self.store, self.heaps),
            "sessions": self.sessions,
            "changes_per_second": round(rate, 1),
            "p50_ms": _share(waits, 0.5),
            "p99_ms": _share(waits, 0.99),
            "failed_reads": failures,
            "gaps": gaps,
        }


def _client(store: SessionStore) -> Any:
    """The grid's client, or None of other places."""
    # It brings the whole Hazelcast client with it.
    from gridsession.cli._grid import client_of

    return client_of(store)


def _members(store: SessionStore, heaps: dict[str, dict[str, int] | None]) -> list[dict[str, Any]] | None:
    client = _client(store)
    if client is None:
        return None
    from gridsession.cli._grid import connection_to
    from gridsession.drivers.hazelcast._probe import address_of

    link = client.link
    owned = Counter(link.owner(partition) for partition in range(link.partition_count()))
    return [
        {
            "address": address_of(member),
            "connected": connection_to(link, member) is not None,
            "partitions": owned[member.uuid],
            "heap": heaps.get(address_of(member)),
        }
        for member in link.members()
    ]


def _share(ordered: list[float], share: float) -> float | None:
    return round(ordered[min(int(len(ordered) * share), len(ordered) - 1)], 2) if ordered else None


def _screen(facts: dict[str, Any]) -> Group:
    members = facts["members"]
    rows = [
        ("sessions", "?" if facts["sessions"] is None else f"{facts['sessions']:,}"),
        ("changes per second", f"{facts['changes_per_second']:,}" + (" (with gaps)" if facts["gaps"] else "")),
        ("read p50 / p99", f"{_text(facts['p50_ms'])} / {_text(facts['p99_ms'])} ms"),
        ("failed reads", str(facts["failed_reads"])),
    ]
    parts: list[Any] = [Text(time.strftime("%H:%M:%S"), style="bold"), table(("", ""), rows, head=False)]
    if members is not None:
        cells = [(*(_text(member[name]) for name in _COLUMNS), heap_mib(member["heap"])) for member in members]
        parts.append(table(("member", "connected", ">partitions", ">heap MiB"), cells))
    return Group(*parts)


_COLUMNS = ("address", "connected", "partitions")


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "?" if value is None else str(value)
