"""The seeds' MongoDB example on a running server."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pymongo
import pytest

from gridsession.dialects import toolbot
from gridsession.dialects.bottender import ConsoleBot, ConsoleContext, MongoSessionStore
from tests.contract.servers import mongo_server, running

pytestmark = pytest.mark.servers


@pytest.fixture(scope="module")
def port(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """A server of our own, a real mongod where there is one."""
    server = mongo_server(tmp_path_factory.mktemp("mongo"))
    with running(server):
        yield server.port


async def count(context: ConsoleContext) -> None:
    """The counting bot."""
    count = context.state["count"] + 1
    context.set_state({"count": count})
    await context.send_text(f"Count: {count}")


async def test_a_bot_with_sessions_of_ten_minutes(port: int) -> None:
    store = MongoSessionStore(f"mongodb://localhost:{port}/", {"collectionName": "session"}, 10)
    async with store, ConsoleBot(store, {"count": 0}) as bot:
        bot.on_event(count)
        assert await bot.say("Hi") == ["Count: 1"]
        assert await bot.say("Hi") == ["Count: 2"]
        assert await bot.say("/state") == ['{ "count": 2 }']
        assert 599 < (await store.sessions.session("console:1").ttl() or 0) <= 600
    with pymongo.MongoClient("localhost", port) as client:
        assert client["gridsession"]["session"].count_documents({}) == 1


async def test_five_methods(port: int) -> None:
    session: dict[str, Any] = {
        "id": "viber:a/b=",
        "platform": "viber",
        "lastActivity": 5,
        "_state": {"$a.b": [1, None]},
    }
    url = f"mongodb://localhost:{port}/bot"
    async with MongoSessionStore({"url": url, "collectionName": "five"}) as store:
        assert await store.read("viber:a/b=") is None
        await store.write("viber:a/b=", {**session, "user": {"id": 1}})
        await store.write("viber:a/b=", session)
        assert await store.read("viber:a/b=") == session
        assert await store.all() == [session]
        await store.destroy("viber:a/b=")
        assert await store.all() == []


def test_a_bot_may_be_made_before_there_is_a_loop(port: int) -> None:
    store = MongoSessionStore(f"mongodb://localhost:{port}/early")
    bot = ConsoleBot(store, {"count": 0})
    bot.on_event(count)

    async def talk() -> list[str]:
        async with store, bot:
            return await bot.say("Hi")

    assert asyncio.run(talk()) == ["Count: 1"]


async def test_toolbots_ten_seconds(port: int) -> None:
    store = toolbot.MongoSessionStore(f"mongodb://localhost:{port}/", {"collectionName": "toolbot"}, 10)
    async with store:
        await store.write("console:1", {"nickname": "Tim"})
        assert await store.read("console:1") == {"id": "console:1", "platform": "console", "nickname": "Tim"}
        assert 9 < (await store.sessions.session("console:1").ttl() or 0) <= 10
