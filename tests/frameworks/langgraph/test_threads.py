"""How threads are kept: sync and async on one object, of any size and length, deleted without a trace."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest
from langgraph.checkpoint.base import BaseCheckpointSaver
from langgraph.checkpoint.memory import InMemorySaver

from gridsession import Policy, SessionStore, sync
from gridsession.dialects.langgraph import GridSaver
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import CorruptRecord, InvalidOption, StoreClosed, UsageError
from gridsession.testing import ManualClock
from tests.frameworks.langgraph.graphs import at, checkpoint, counting, counting_without_awaiting

pytestmark = pytest.mark.frameworks


async def fill(saver: GridSaver, thread: str, number: int, ns: str = "", **told: Any) -> list[Any]:
    """That many checkpoints one after another, each with one write; their configs."""
    made, config = [], at(thread, ns)
    for step in range(number):
        config = await saver.aput(config, checkpoint(step=step), {"source": "loop", "step": step, **told}, {"step": 1})
        await saver.aput_writes(config, [("written", step)], f"task-{step}")
        made.append(config)
    return made


async def left(store: SessionStore) -> list[str]:
    """Every session there is."""
    return [session_id async for session_id in store.ids()]


def test_a_graph_runs_with_and_without_awaiting_on_one_saver(url: str, namespace: str) -> None:
    with sync.SessionStore.open(url, namespace=namespace) as store:
        saver = GridSaver(store)
        assert counting_without_awaiting(saver).invoke({"names": ["a"]}, at("t")) == {"names": ["a"], "count": 1}
        asyncio.run(counting(saver).ainvoke({"names": ["b"]}, at("t")))
        assert counting_without_awaiting(saver).get_state(at("t")).values == {"names": ["a", "b"], "count": 2}
        steps = [found.metadata["step"] for found in saver.list(at("t"))]
        assert steps == sorted(steps, reverse=True)
        assert len(steps) == 8
        with saver.own("t"):
            counting_without_awaiting(saver).invoke({"names": ["c"]}, at("t"))
        saver.delete_thread("t")
        assert saver.get_tuple(at("t")) is None


async def test_on_its_own_store_a_saver_opens_and_closes_it(url: str, namespace: str) -> None:
    place = f"{url}?namespace={namespace}"
    async with GridSaver(place) as saver:
        assert (await counting(saver).ainvoke({"names": ["a"]}, at("t")))["count"] == 1
    with pytest.raises(StoreClosed):
        await saver.aget_tuple(at("t"))
    with GridSaver("memory://") as other:
        assert other.get_tuple(at("t")) is None
    never_used = GridSaver("memory://")
    never_used.close()


async def test_a_lent_store_stays_open_and_blocking_on_its_loop_is_refused(namespace: str) -> None:
    async with SessionStore.open("memory://", namespace=namespace) as store:
        saver = GridSaver(store)
        with pytest.raises(UsageError, match="await the async twin"):
            saver.get_tuple(at("t"))
        assert await asyncio.to_thread(saver.get_tuple, at("t")) is None
        saver.close()
        await fill(saver, "t", 1)


async def test_a_checkpoint_may_be_larger_than_a_record(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        saver = GridSaver(store)
        large = {"bytes": bytes(range(256)) * 4096, "text": "สวัสดี" * 50_000}
        config = await saver.aput(at("t"), checkpoint(**large), {"step": 0}, {"bytes": 1, "text": 1})
        await saver.aput_writes(config, [("also", "x" * 500_000)], "task")
        found = await saver.aget_tuple(at("t"))
        assert found is not None
        assert found.checkpoint["channel_values"] == large
        assert found.pending_writes == [("task", "also", "x" * 500_000)]
        assert len(await left(store)) > 10
        await saver.adelete_thread("t")
        assert await left(store) == []


async def test_a_long_thread_is_listed_found_copied_pruned_and_deleted_whole(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        saver = GridSaver(store)
        async with saver.aown("long"):
            made = [config["configurable"]["checkpoint_id"] for config in await fill(saver, "long", 150)]
        inner = [config["configurable"]["checkpoint_id"] for config in await fill(saver, "long", 2, "inner:1")]
        assert len((await store.session("langgraph:long").load())["pages"]) >= 2
        ids = [found.checkpoint["id"] async for found in saver.alist(at("long"))]
        assert ids == made[::-1]
        everything = [f.checkpoint["id"] async for f in saver.alist({"configurable": {"thread_id": "long"}})]
        assert everything == inner[::-1] + made[::-1]
        page = [f.checkpoint["id"] async for f in saver.alist(at("long"), before=at("long", "", made[100]), limit=3)]
        assert page == [made[99], made[98], made[97]]
        first = await saver.aget_tuple(at("long", "", made[0]))
        assert first is not None
        assert first.pending_writes == [("task-0", "written", 0)]
        assert first.parent_config is None
        await saver.acopy_thread("long", "copy")
        copied = [found async for found in saver.alist(at("copy"))]
        assert [found.checkpoint["id"] for found in copied] == ids
        assert [(f.pending_writes or [])[0][2] for f in copied] == list(range(149, -1, -1))
        await saver.aprune(["long"])
        kept = [f.checkpoint["id"] async for f in saver.alist({"configurable": {"thread_id": "long"}})]
        assert kept == [inner[-1], made[-1]]
        assert sorted(
            [f.config["configurable"]["thread_id"] async for f in saver.alist(None, filter={"step": 149})]
        ) == [
            "copy",
            "long",
        ]
        with pytest.raises(InvalidOption):
            await saver.aprune(["long"], strategy="some")
        await saver.adelete_thread("copy")
        # An index, two checkpoints, and one write each.
        assert len(await left(store)) == 5
        await saver.aprune(["long", "never"], strategy="delete")
        assert await left(store) == []


async def test_pruning_keeps_what_a_delta_channel_is_rebuilt_from(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        saver = GridSaver(store)
        config, ids = at("t"), []
        for step, values in enumerate([{}, {"delta": ["a"]}, {}, {}]):
            told = {"step": step, "counters_since_delta_snapshot": {} if "delta" in values else {"delta": (1, 1)}}
            config = await saver.aput(config, checkpoint(**values), told, {})
            await saver.aput_writes(config, [("delta", step)], "task")
            ids.append(config["configurable"]["checkpoint_id"])
        before = await saver.aget_delta_channel_history(config=config, channels=["delta"])
        await saver.aprune(["t"])
        assert [found.checkpoint["id"] async for found in saver.alist(at("t"))] == ids[:0:-1]
        assert await saver.aget_delta_channel_history(config=config, channels=["delta"]) == before


async def test_the_newest_is_the_last_written_whatever_a_clock_says(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        saver = GridSaver(store)
        later, sooner = checkpoint(by="a fast clock"), checkpoint(by="a slow clock")
        later["id"], sooner["id"] = "f" * 8, "0" * 8
        await saver.aput(at("t"), later, {}, {})
        await saver.aput(at("t", "", later["id"]), sooner, {}, {})
        found = await saver.aget_tuple(at("t"))
        assert found is not None
        assert found.checkpoint["channel_values"] == {"by": "a slow clock"}
        assert [f.checkpoint["id"] async for f in saver.alist(at("t"))] == [sooner["id"], later["id"]]


async def test_what_a_killed_process_left_is_cleared_by_the_next_owner(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        saver = GridSaver(store)
        await fill(saver, "t", 1)
        before = set(await left(store))
        index = store.session("langgraph:t")
        await saver._threads.write(index, [b"half", b"written"])  # what `aput` does first; then the process dies
        assert len(set(await left(store)) - before) == 2
        await fill(saver, "t", 1)
        assert len(await left(store)) == 5
        assert not [name for name in await index.load() if name.startswith("draft:")]


async def test_a_lost_body_is_an_error_never_an_empty_thread(namespace: str) -> None:
    async with SessionStore.open("memory://", namespace=namespace) as store:
        saver = GridSaver(store)
        await fill(saver, "t", 1)
        bodies = [session_id for session_id in await left(store) if session_id.startswith("langgraph.data:")]
        await asyncio.gather(*(store.session(body).delete() for body in bodies))
        with pytest.raises(CorruptRecord, match="has lost a body"):
            await saver.aget_tuple(at("t"))


async def test_checkpoints_expire_one_by_one_and_the_thread_goes_on(namespace: str) -> None:
    clock = ManualClock()
    policy = Policy(ttl=60)
    async with SessionStore.open(driver=MemoryDriver(clock=clock), namespace=namespace, policy=policy) as store:
        saver = GridSaver(store)
        (first,) = await fill(saver, "t", 1)
        clock.advance(40)
        await saver.aput(first, checkpoint(step=1), {"step": 1}, {"step": 1})
        clock.advance(30)
        assert [found.metadata["step"] async for found in saver.alist(at("t"))] == [1]
        assert await saver.aget_tuple(first) is None
        await saver.acopy_thread("t", "copy")
        assert [found.metadata["step"] async for found in saver.alist(at("copy"))] == [1]
        await saver.adelete_thread("t")
        await saver.adelete_thread("copy")
        assert await left(store) == []


class Cut(BaseException):
    """The process ends here."""


@pytest.mark.parametrize("writes", range(9))
async def test_a_run_cut_off_after_any_write_is_finished_as_with_the_stock_saver(writes: int, namespace: str) -> None:
    """Whatever reached the saver before the process died, the next run goes on from the same place."""

    async def run_cut_and_resume(saver: BaseCheckpointSaver[Any]) -> Any:
        graph, written = counting(saver), 0

        def cut_off(method: Any) -> Any:
            async def call(*args: Any, **named: Any) -> Any:
                nonlocal written
                written += 1
                if written > writes:
                    raise Cut
                return await method(*args, **named)

            return call

        put, put_writes = saver.aput, saver.aput_writes
        saver.aput, saver.aput_writes = cut_off(put), cut_off(put_writes)  # type: ignore[method-assign]
        with contextlib.suppress(Cut):
            await graph.ainvoke({"names": ["a"]}, at("t"), durability="sync")
        saver.aput, saver.aput_writes = put, put_writes  # type: ignore[method-assign]
        found = await saver.aget_tuple(at("t"))
        begun = found is not None
        done = await graph.ainvoke(None if begun else {"names": ["a"]}, at("t"), durability="sync")
        return begun, done, [each.metadata["step"] async for each in saver.alist(at("t"))]

    async with SessionStore.open("memory://", namespace=namespace) as store:
        ours = await run_cut_and_resume(GridSaver(store))
    assert ours == await run_cut_and_resume(InMemorySaver())
    assert ours[1] == {"names": ["a"], "count": 1}


async def test_deleting_for_runs_leaves_others_threads_alone(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        saver, other = GridSaver(store, wait=0), GridSaver(store)
        await fill(saver, "mine", 2, run_id="r1")
        async with other.aown("owned"):
            await fill(other, "owned", 2, run_id="r2")
            await saver.adelete_for_runs(["r1", "r9"])
        assert [found async for found in saver.alist(None, filter={"run_id": "r1"})] == []
        assert len([found async for found in saver.alist(at("owned"))]) == 2


async def test_writes_at_once_all_stay_and_of_one_task_the_first_counts(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        saver = GridSaver(store)
        config = await saver.aput(at("t"), checkpoint(), {}, {})
        async with saver.aown("t"):
            await asyncio.gather(
                *(saver.aput_writes(config, [("c", n)], f"task-{n}", f"path-{n:02}") for n in range(20))
            )
            await saver.aput_writes(config, [("c", "again"), ("__error__", "first")], "task-3", "path-03")
            await saver.aput_writes(config, [("x", "again"), ("__error__", "last")], "task-3", "path-03")
        found = await saver.aget_tuple(config)
        assert found is not None
        written = [(task, channel, value) for task, channel, value in found.pending_writes or []]
        assert [value for task, channel, value in written if channel == "c"] == list(range(20))
        assert [value for task, channel, value in written if channel == "__error__"] == ["last"]
