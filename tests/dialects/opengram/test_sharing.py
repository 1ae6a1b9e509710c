"""Updates that come at once: nothing is lost, on any driver, in one process and in two."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from gridsession import Policy, SessionStore
from gridsession.dialects.opengram import session
from gridsession.drivers.mapping import MappingDriver
from gridsession.errors import Leased
from tests.contract.servers import redis_server, running
from tests.dialects.opengram.contexts import Ctx, count, read, slow_count, update

PATIENT = Policy(wait=60)
PLACES = ("memory", "dict", "map", "driver", "file", "lmdb", "redis", pytest.param("grid", marks=pytest.mark.grid))


class AsyncMap:
    """An asynchronous store with get and set."""

    def __init__(self) -> None:
        self.found: dict[str, Any] = {}

    async def get(self, key: str) -> Any:
        """Others run meanwhile."""
        await asyncio.sleep(0)
        return self.found.get(key)

    async def set(self, key: str, value: Any) -> None:
        """Others run meanwhile."""
        await asyncio.sleep(0)
        self.found[key] = value


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own."""
    server = redis_server(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture(params=PLACES)
def store(request: pytest.FixtureRequest, tmp_path: Path, namespace: str) -> Any:
    """What a bot hands in as its store."""
    match request.param:
        case "memory":
            return "memory://"
        case "dict":
            return {}
        case "map":
            return AsyncMap()
        case "driver":
            return MappingDriver(AsyncMap(), bare="opengram")
        case "redis":
            return f"{request.getfixturevalue('redis_url')}?namespace={namespace}"
        case "grid":
            return f"{request.getfixturevalue('grid').url}?namespace={namespace}"
        case scheme:
            return f"{scheme}://{tmp_path}"


async def test_a_hundred_increments_at_once_are_a_hundred(store: Any) -> None:
    async with session(store=store, policy=PATIENT) as use:
        await asyncio.gather(*(update(use, Ctx(), slow_count) for _ in range(100)))
        assert await update(use, Ctx(), read) == {"counter": 100}


async def test_two_middlewares_over_many_chats_at_once_are_independent(store: Any) -> None:
    async with (
        session(store=store, policy=PATIENT) as both,
        session(lambda ctx: f"chat {ctx.chat.id}", property="chat_session", store=both.sessions) as per_chat,
    ):

        async def handle(ctx: Any) -> None:
            async def handler() -> None:
                await slow_count(ctx)
                ctx.chat_session.counter = (ctx.chat_session.counter or 0) + 1

            await both(ctx, lambda: per_chat(ctx, handler))

        await asyncio.gather(*(handle(Ctx(user, chat)) for chat in range(10) for user in (1, 2, 1)))
        for chat in range(10):
            assert await update(per_chat, Ctx(1, chat), lambda ctx: ctx.chat_session.counter) == 3
            assert [await update(both, Ctx(user, chat), lambda ctx: ctx.session.counter) for user in (1, 2)] == [2, 1]


WORKER = """
import asyncio, sys
from gridsession import Policy
from gridsession.dialects.opengram import session
from tests.dialects.opengram.contexts import Ctx, slow_count, update

async def main():
    async with session(store=sys.argv[1], policy=Policy(wait=60)) as use:
        print("ready", flush=True)
        sys.stdin.readline()
        await asyncio.gather(*(update(use, Ctx(), slow_count) for _ in range(50)))

asyncio.run(main())
"""


def together(url: str) -> None:
    """Two processes count to fifty each, beginning together."""
    command = [sys.executable, "-W", "error", "-c", WORKER, url]
    root = str(Path(__file__).parents[3])
    environment = {**os.environ, "PYTHONPATH": root}
    workers = [
        subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        for _ in range(2)
    ]
    try:
        for worker in workers:
            assert worker.stdout is not None
            assert worker.stdout.readline() == "ready\n"
        for worker in workers:
            worker.communicate("go\n", timeout=60)
        assert [worker.returncode for worker in workers] == [0, 0]
    finally:
        for worker in workers:
            worker.kill()
            worker.communicate()


@pytest.mark.parametrize("place", ["file", pytest.param("grid", marks=pytest.mark.grid)])
async def test_fifty_increments_of_each_of_two_processes_are_a_hundred(
    request: pytest.FixtureRequest, place: str, tmp_path: Path, namespace: str
) -> None:
    url = f"file://{tmp_path}" if place == "file" else f"{request.getfixturevalue('grid').url}?namespace={namespace}"
    together(url)
    async with session(store=url) as use:
        assert await update(use, Ctx(), read) == {"counter": 100}


# --- several sessions at once ----------------------------------------------------------------------------------------


async def test_one_key_twice_on_a_context_is_one_session(sessions: SessionStore) -> None:
    async with sessions:
        one, two = session(store=sessions), session(property="same", store=sessions)
        ctx: Any = Ctx()

        def handler() -> None:
            count(ctx)
            assert ctx.same.counter == 1
            ctx.same.other = 2
            assert ctx.session.other == 2

        await one(ctx, lambda: two(ctx, handler))
        assert await update(one, Ctx(), read) == {"counter": 1, "other": 2}


@pytest.mark.parametrize("kind", ["url", "environment", "object"])
async def test_one_key_twice_is_one_session_however_the_store_was_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, kind: str
) -> None:
    store: Any = {"url": f"file://{tmp_path}", "environment": None, "object": {}}[kind]
    monkeypatch.setenv("GRIDSESSION_URL", f"file://{tmp_path}")
    ctx: Any = Ctx()
    async with session(store=store) as one, session(property="same", store=store) as two:
        await one(ctx, lambda: two(ctx, lambda: count(ctx)))
        assert await update(two, ctx, lambda ctx: ctx.same.counter) == 1


async def test_one_key_in_memories_of_their_own_is_two_sessions() -> None:
    ctx: Any = Ctx()

    def handler() -> None:
        count(ctx)
        assert ctx.other == {}

    async with session(store="memory://") as one, session(property="other", store="memory://") as two:
        await one(ctx, lambda: two(ctx, handler))
        assert await update(one, Ctx(), read) == {"counter": 1}


async def test_a_context_that_comes_again_after_its_update_is_another_update(sessions: SessionStore) -> None:
    ended, tasks = asyncio.Event(), []

    async def again(ctx: Any) -> int:
        await ended.wait()
        counted: int = await update(use, ctx, count)
        return counted

    def handler(ctx: Any) -> None:
        count(ctx)
        tasks.append(asyncio.create_task(again(ctx)))

    async with sessions:
        use = session(store=sessions)
        await update(use, Ctx(), handler)
        ended.set()
        assert await tasks[0] == 2


async def test_the_same_context_again_inside_its_handlers_is_the_same_session(sessions: SessionStore) -> None:
    async with sessions:
        use, ctx = session(store=sessions), Ctx()
        await use(ctx, lambda: update(use, ctx, count))
        assert await update(use, Ctx(), read) == {"counter": 1}


@pytest.mark.parametrize("store", ["memory://", {}])
async def test_another_context_of_the_same_key_inside_a_handler_waits_no_longer_than_it_may(store: Any) -> None:
    async with session(store=store, policy=Policy(wait=0.05)) as use:
        with pytest.raises(Leased, match="1:2"):
            await use(Ctx(), lambda: update(use, Ctx(), count))
        assert await update(use, Ctx(), count) == 1


async def test_two_sessions_taken_in_opposite_order_end_in_leased_and_free_both() -> None:
    async with SessionStore.open("memory://", policy=Policy(wait=0.2)) as store:
        first = session(lambda ctx: "a", store=store)
        second = session(lambda ctx: "b", property="other", store=store)
        met = asyncio.Barrier(2)

        async def handle(outer: Any, inner: Any) -> None:
            ctx = Ctx()

            async def inside() -> None:
                await met.wait()
                await inner(ctx, lambda: None)

            await outer(ctx, inside)

        outcomes = await asyncio.gather(handle(first, second), handle(second, first), return_exceptions=True)
        assert any(isinstance(outcome, Leased) for outcome in outcomes)
        met = asyncio.Barrier(1)
        await handle(first, second)


async def test_a_cancelled_update_saves_nothing_and_frees_the_session(sessions: SessionStore) -> None:
    async def waits(ctx: Any) -> None:
        ctx.session.a = 1
        began.set()
        await asyncio.Event().wait()

    async with sessions:
        for store in (sessions, {}):
            began = asyncio.Event()
            use = session(store=store)
            task = asyncio.create_task(update(use, Ctx(), waits))
            await began.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
            assert await update(use, Ctx(), read) == {}


async def test_a_grid_client_and_the_store_see_the_same_session(sessions: SessionStore) -> None:
    async with sessions:
        await update(session(store=sessions), Ctx(), count)
        await sessions.session("opengram:1:2").increment("counter")
        assert await update(session(store=sessions), Ctx(), count) == 3
