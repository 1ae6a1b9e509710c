"""A history of any length, appended to and popped by many; and runs that hold it do not interleave."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from agents import Agent, Runner, SQLiteSession
from agents.memory import Session
from agents.run import RunConfig
from agents.testing import ScriptedModel
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from gridsession import Policy, SessionStore, sync
from gridsession.dialects.openai_agents import GridSession
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import CorruptRecord, InvalidValue, Leased, LeaseLost, TooLarge, Unavailable
from gridsession.testing import ManualClock
from gridsession.testing.local_grid import LocalGrid
from tests.frameworks.figures import FIGURES

pytestmark = pytest.mark.frameworks

RUNS = 10
QUIET = RunConfig(tracing_disabled=True)


def says(text: str) -> dict[str, Any]:
    """A user's message."""
    return {"role": "user", "content": text}


def texts(items: list[Any]) -> list[str]:
    """What was said, by whom it may be."""
    found = []
    for item in items:
        content = item["content"]
        found.append(content if isinstance(content, str) else content[0]["text"])
    return found


class Echo(ScriptedModel):
    """A model that answers each message after a moment, and has seen only whole exchanges before it."""

    async def get_response(self, system_instructions: Any, input: Any, *rest: Any, **named: Any) -> Any:  # noqa: A002
        heard = input if isinstance(input, str) else texts(input)[-1]
        await asyncio.sleep(0.003)
        text = ResponseOutputText(annotations=[], text=f"echo {heard}", type="output_text")
        self.enqueue([
            ResponseOutputMessage(id="1", content=[text], role="assistant", status="completed", type="message")
        ])  # fmt: skip
        return await super().get_response(system_instructions, input, *rest, **named)


def interleaved(found: list[str]) -> int:
    """How many messages are not followed by their own answer."""
    said = [text for text in found if not text.startswith("echo ")]
    return sum(f"echo {text}" not in found[found.index(text) + 1 : found.index(text) + 2] for text in said)


async def test_runs_at_once_interleave_in_the_stock_session_and_not_in_one_that_is_held(
    url: str, namespace: str, tmp_path: Path
) -> None:
    async def run(number: int, session: Session) -> None:
        await Runner.run(Agent(name="echo", model=Echo()), f"message {number}", session=session, run_config=QUIET)

    async def held(number: int, session: GridSession) -> None:
        async with session.hold(wait=60) as alone:
            await run(number, alone)

    stock = SQLiteSession("s", tmp_path / "stock.db")
    await asyncio.gather(*(run(number, stock) for number in range(RUNS)))
    torn = interleaved(texts(await stock.get_items()))
    stock.close()
    async with SessionStore.open(url, namespace=namespace) as store:
        ours = GridSession("s", store)
        assert isinstance(ours, Session)
        await asyncio.gather(*(held(number, ours) for number in range(RUNS)))
        found = texts(await ours.get_items())
    FIGURES[f"openai_agents: of 10 runs interleaved ({url.partition(':')[0]})"] = {
        "stock": torn,
        "ours": interleaved(found),
    }
    assert torn > 0
    assert interleaved(found) == 0
    assert len(found) == 2 * RUNS


async def test_a_history_may_be_longer_than_a_record(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        session = GridSession("long", store)

        async def records() -> int:
            return len([session_id async for session_id in store.ids()])

        number = 0
        while await records() < 4:
            await session.add_items([says(f"{number} " + "x" * 8_000), says(f"{number}")])
            number += 1
        said = [str(each // 2) for each in range(2 * number)]
        assert [text.split()[0] for text in texts(await session.get_items())] == said
        assert texts(await session.get_items(limit=1)) == [said[-1]]
        assert len(await session.get_items(limit=2 * number - 1)) == 2 * number - 1
        assert await session.get_items(limit=1000) == await session.get_items()
        assert await session.get_items(limit=0) == []
        while await records() == 4:
            popped = await session.pop_item()
            assert popped is not None
            assert texts([popped])[0].split()[0] == said.pop()
        assert [text.split()[0] for text in texts(await session.get_items())] == said
        with pytest.raises(TooLarge):
            await session.add_items([says("x" * 300_000)])
        assert len(await session.get_items()) == len(said)
        await session.clear_session()
        assert await session.get_items() == []
        assert await session.pop_item() is None
        assert await records() == 0


async def test_batches_at_once_stay_whole_while_older_parts_move_away(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:

        async def add(number: int) -> None:
            await GridSession("s", store).add_items([says(f"{number}.{part} " + "x" * 4_000) for part in range(4)])

        await asyncio.gather(*(add(number) for number in range(25)))
        assert len([session_id async for session_id in store.ids()]) > 1
        found = [text.split()[0] for text in texts(await GridSession("s", store).get_items())]
        batches = [found[at : at + 4] for at in range(0, len(found), 4)]
        assert sorted(batches) == sorted([f"{number}.{part}" for part in range(4)] for number in range(25))
        popped: list[str] = []

        async def pop(times: int) -> None:
            for _ in range(times):
                item = await GridSession("s", store).pop_item()
                assert item is not None
                popped.append(texts([item])[0].split()[0])

        await asyncio.gather(*(pop(8) for _ in range(5)))
        assert sorted(popped) == sorted(found[-40:])
        assert [text.split()[0] for text in texts(await GridSession("s", store).get_items())] == found[:-40]


class Distant(MemoryDriver):
    """A memory that others get to before an answer arrives."""

    async def execute(self, *args: Any, **named: Any) -> Any:
        reply = await super().execute(*args, **named)
        await asyncio.sleep(0)
        return reply


async def test_pops_at_once_give_each_item_to_one_while_an_older_part_comes_back(namespace: str) -> None:
    clock = ManualClock()
    async with SessionStore.open(driver=Distant(clock=clock), namespace=namespace) as store:
        said = [says(f"{number} " + "x" * 40_000) for number in range(24)]
        session, popped = GridSession("s", store), list[Any]()
        for item in said:
            await session.add_items([item])  # type: ignore[list-item]
        while await store.session("openai-agents:s").get("items"):
            popped.append(await session.pop_item())
            clock.advance(60)  # what was popped need not be remembered any longer
        assert len([session_id async for session_id in store.ids("openai-agents.older:")]) > 2
        popped += await asyncio.gather(session.pop_item(), session.pop_item())
        assert await session.get_items() + sorted(popped, key=said.index) == said


async def test_what_cannot_be_stored_is_refused_whole(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        session = GridSession("s", store)
        with pytest.raises(InvalidValue, match=r"\$\.items\.content"):
            await session.add_items([says("a"), {"role": "user", "content": object()}])  # type: ignore[dict-item]
        assert await session.get_items() == []


async def test_a_lost_part_is_an_error_never_a_shorter_history(namespace: str) -> None:
    async with SessionStore.open("memory://", namespace=namespace) as store:
        session = GridSession("s", store)
        for _ in range(10):
            await session.add_items([says("x" * 40_000)])
        (part, *_) = [found async for found in store.ids("openai-agents.older:")]
        await store.session(part).delete()
        with pytest.raises(CorruptRecord):
            await session.get_items()


async def test_the_older_part_expires_by_itself(namespace: str) -> None:
    clock = ManualClock()
    policy = Policy(ttl=60)
    async with SessionStore.open(driver=MemoryDriver(clock=clock), namespace=namespace, policy=policy) as store:
        session = GridSession("s", store)
        for number in range(8):
            await session.add_items([says(f"{number} " + "x" * 40_000)])
        clock.advance(40)
        await session.add_items([says("later")])
        clock.advance(30)
        left = [text.split()[0] for text in texts(await session.get_items())]
        assert left[-1] == "later"
        assert 1 < len(left) < 9
        assert [text.split()[0] for text in texts(await session.get_items(limit=9))] == left


@pytest.mark.parametrize("saved", [0, 1, 2])
async def test_a_limit_counts_what_is_saved_and_what_is_not_yet(saved: int, namespace: str) -> None:
    async with SessionStore.open("memory://", namespace=namespace) as store:
        session = GridSession("s", store)
        said = [says(f"{number}") for number in range(saved + 3)]
        await session.add_items(said[:saved])  # type: ignore[arg-type]
        async with session.hold(message=7) as alone:
            await alone.add_items(said[saved:])  # type: ignore[arg-type]
            for limit in range(10):
                assert await alone.get_items(limit) == said[max(len(said) - limit, 0) :]


def until_held(store: sync.SessionStore, name: str) -> None:
    """Wait, while the caller's own loop stands still, until somebody holds a session and was told so."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            with store.turn(name, wait=0):
                pass
        except Leased:
            store.session(name).load()
            return
    raise AssertionError("nobody held it")


async def test_who_is_cancelled_while_the_session_is_granted_does_not_keep_it(namespace: str) -> None:
    with sync.SessionStore.open("memory://", namespace=namespace) as store:  # its loop is another thread's
        session = GridSession("s", store)

        async def enter() -> None:
            async with session.hold(lease=1):
                raise AssertionError("it was cancelled before")

        task = asyncio.create_task(enter())
        await asyncio.sleep(0)
        until_held(store, "openai-agents:s")
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        async with session.hold(wait=5):
            pass


async def test_a_place_that_cannot_be_reached_at_first_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "place").write_text("in the way")
    session = GridSession("s", (tmp_path / "place" / "sessions").as_uri())
    for _ in range(2):
        with pytest.raises(Unavailable):
            await session.get_items()
    (tmp_path / "place").unlink()
    await session.add_items([says("a")])
    assert await session.get_items() == [says("a")]
    await session.close()


async def test_a_run_for_a_message_is_saved_once_and_in_one_step(url: str, namespace: str) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        session = GridSession("s", store)
        await session.add_items([says("before")])
        with pytest.raises(RuntimeError, match="on the way"):
            async with session.hold(message=7) as alone:
                await alone.add_items([says("half")])
                raise RuntimeError("on the way")
        assert texts(await session.get_items()) == ["before"]
        async with session.hold(message=7) as alone:
            assert not alone.repeated
            await alone.add_items([says("one"), says("two"), says("three")])
            popped = await alone.pop_item()
            assert popped == says("three")
            assert texts(await alone.get_items()) == ["before", "one", "two"]
            assert texts(await alone.get_items(limit=1)) == ["two"]
            assert texts(await session.get_items()) == ["before"]
        async with session.hold(message=7) as alone:
            assert alone.repeated
        assert texts(await session.get_items()) == ["before", "one", "two"]


def test_it_serves_any_loop_and_blocking_callers(url: str, namespace: str) -> None:
    with sync.SessionStore.open(url, namespace=namespace) as store:
        session = GridSession("s", store)
        for text in ("a", "b"):
            Runner.run_sync(Agent(name="echo", model=Echo()), text, session=session, run_config=QUIET)
        asyncio.get_event_loop_policy().get_event_loop().close()  # the one that `run_sync` leaves open
        assert texts(asyncio.run(session.get_items())) == ["a", "echo a", "b", "echo b"]


@pytest.mark.grid
async def test_a_holder_that_stood_still_is_refused_after_another_took_over(grid: LocalGrid, namespace: str) -> None:
    program = """
import asyncio, sys
from gridsession import SessionStore
from gridsession.dialects.openai_agents import GridSession
async def main():
    async with SessionStore.open(sys.argv[1], namespace=sys.argv[2]) as store:
        async with GridSession("s", store).hold(lease=0.5) as alone:
            await alone.add_items([{"role": "user", "content": "first"}])
            print("holding", flush=True)
            sys.stdin.readline()  # blocks on purpose: its lease is not renewed meanwhile
            await alone.add_items([{"role": "user", "content": "late"}])
try:
    asyncio.run(main())
except Exception as error:
    print(type(error).__name__, flush=True)
"""
    pipe = asyncio.subprocess.PIPE
    late = await asyncio.create_subprocess_exec(
        sys.executable, "-c", program, grid.url, namespace, stdin=pipe, stdout=pipe
    )
    assert late.stdout is not None
    assert await asyncio.wait_for(late.stdout.readline(), 30) == b"holding\n"
    async with SessionStore.open(grid.url, namespace=namespace) as store:
        async with GridSession("s", store).hold() as alone:
            await alone.add_items([says("second")])
            said, _ = await asyncio.wait_for(late.communicate(b"\n"), 30)
            assert said.decode().strip() == LeaseLost.__name__
        assert texts(await GridSession("s", store).get_items()) == ["first", "second"]
