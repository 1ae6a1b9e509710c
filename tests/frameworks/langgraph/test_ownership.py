"""A thread is written by one owner at a time, in all processes; one that was superseded is refused."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from langgraph.checkpoint.memory import InMemorySaver

from gridsession import SessionStore, sync
from gridsession.dialects.langgraph import GridSaver
from gridsession.errors import Leased, LeaseLost, Unavailable
from gridsession.testing.local_grid import LocalGrid
from tests.frameworks.figures import FIGURES
from tests.frameworks.langgraph.graphs import at, checkpoint, counting

pytestmark = pytest.mark.frameworks

RUNS = 10


async def run_at_once(graph: object, runs: int, own: Callable[[], object] | None = None) -> None:
    """That many runs of a graph on one thread, all begun at once."""

    async def one(number: int) -> None:
        message = {"names": [str(number)]}
        if own is None:
            await graph.ainvoke(message, at("shared"))
        else:
            async with own():
                await graph.ainvoke(message, at("shared"))

    await asyncio.gather(*(one(number) for number in range(runs)))


async def test_runs_at_once_lose_each_other_in_the_stock_saver_and_not_in_ours(url: str, namespace: str) -> None:
    stock = counting(InMemorySaver())
    await run_at_once(stock, RUNS)
    lost = (await stock.aget_state(at("shared"))).values
    async with SessionStore.open(url, namespace=namespace) as store:
        saver = GridSaver(store, wait=60)
        graph = counting(saver)
        await run_at_once(graph, RUNS, lambda: saver.aown("shared"))
        kept = (await graph.aget_state(at("shared"))).values
    FIGURES[f"langgraph: of 10 runs ({url.partition(':')[0]})"] = {"stock": lost["count"], "ours": kept["count"]}
    assert lost["count"] < RUNS
    assert kept["count"] == RUNS
    assert sorted(kept["names"]) == [str(number) for number in range(RUNS)]


async def test_others_writes_wait_for_the_owner_and_are_refused_in_the_end(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        saver, other = GridSaver(store), GridSaver(store, wait=0)
        async with saver.aown("t"):
            config = await saver.aput(at("t"), checkpoint(a=1), {}, {})
            with pytest.raises(Leased):
                await other.aput(config, checkpoint(a=2), {}, {})
            with pytest.raises(Leased):
                await other.aput_writes(config, [("a", 2)], "task")
            with pytest.raises(Leased):
                await other.adelete_thread("t")
            with pytest.raises(Leased):
                async with other.aown("t"):
                    pass
            seen = await other.aget_tuple(at("t"))
            assert seen is not None
            assert seen.checkpoint["channel_values"] == {"a": 1}
            await saver.adelete_thread("t")
            assert [session_id async for session_id in store.ids()] == ["langgraph:t"]
        assert [session_id async for session_id in store.ids()] == []


async def test_who_is_cancelled_while_the_thread_is_granted_does_not_keep_it(namespace: str) -> None:
    with sync.SessionStore.open("memory://", namespace=namespace) as store:  # its loop is another thread's
        saver = GridSaver(store, lease=1)

        async def enter() -> None:
            async with saver.aown("t"):
                raise AssertionError("it was cancelled before")

        task = asyncio.create_task(enter())
        await asyncio.sleep(0)
        deadline = time.monotonic() + 10
        while not held(store) and time.monotonic() < deadline:
            pass  # this loop stands still meanwhile: the answer arrives, and nobody has read it
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with saver.aown("t", wait=5):
            pass


def held(store: sync.SessionStore) -> bool:
    """Whether somebody holds the thread, and was told so."""
    try:
        with store.turn("langgraph:t", wait=0):
            return False
    except Leased:
        store.session("langgraph:t").load()
        return True


async def test_a_saver_whose_place_cannot_be_reached_at_first_tries_again(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("in the way")
    saver = GridSaver((tmp_path / "place" / "sessions").as_uri())
    for _ in range(2):
        with pytest.raises(Unavailable):
            async with saver.aown("t"):
                pass
    (tmp_path / "place").unlink()
    async with saver.aown("t"):
        config = await saver.aput(at("t"), checkpoint(a=1), {}, {})
    assert await saver.aget_tuple(config) is not None
    saver.close()


@pytest.mark.grid
async def test_runs_of_two_processes_all_count(grid: LocalGrid, namespace: str) -> None:
    command = [sys.executable, "-m", "tests.frameworks.langgraph.owner", grid.url, namespace, "count"]
    processes = [await asyncio.create_subprocess_exec(*command, name, "6") for name in ("a", "b")]
    assert [await process.wait() for process in processes] == [0, 0]
    async with SessionStore.open(grid.url, namespace=namespace) as store:
        saver = GridSaver(store)
        values = (await counting(saver).aget_state(at("shared"))).values
        assert values["count"] == 12
        assert sorted(values["names"]) == ["a"] * 6 + ["b"] * 6
        # One lineage: each checkpoint is the parent of the next.
        found = [each async for each in saver.alist(at("shared"))]
        parents = [(each.parent_config or at(""))["configurable"].get("checkpoint_id") for each in found]
        assert parents == [each.checkpoint["id"] for each in found[1:]] + [None]


@pytest.mark.grid
async def test_an_owner_that_stood_still_is_refused_after_another_took_over(grid: LocalGrid, namespace: str) -> None:
    pipe = asyncio.subprocess.PIPE
    command = [sys.executable, "-m", "tests.frameworks.langgraph.owner", grid.url, namespace, "hold"]
    first = await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe)
    assert first.stdin is not None
    assert first.stdout is not None
    assert await asyncio.wait_for(first.stdout.readline(), 30) == b"owning\n"
    async with SessionStore.open(grid.url, namespace=namespace) as store:
        saver = GridSaver(store)
        async with saver.aown("held"):
            before = await saver.aget_tuple(at("held"))
            assert before is not None
            await saver.aput(before.config, checkpoint(by="the second owner"), {"step": 1}, {})
            said, _ = await asyncio.wait_for(first.communicate(b"\n"), 30)
            assert said.decode() == f"put: {LeaseLost.__name__}\n"
            found = [each.checkpoint["channel_values"]["by"] async for each in saver.alist(at("held"))]
            assert found == ["the second owner", "the first owner"]
        async with saver.aown("held"):
            pass
        # An index and two bodies: what the superseded owner had half written is cleared.
        assert len([session_id async for session_id in store.ids()]) == 3
