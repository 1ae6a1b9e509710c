"""toolbot's sessions: attributes that are changed directly and saved after the handler; stores that count seconds."""

from __future__ import annotations

import asyncio
import copy
import datetime as dt
import json
import pickle
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gridsession import SessionStore
from gridsession.dialects import bottender
from gridsession.dialects.toolbot import (
    ConsoleBot,
    ConsoleContext,
    Context,
    FileSessionStore,
    GridSessionStore,
    MemorySessionStore,
    Session,
    Sessions,
)
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import InvalidValue, UnknownEvent, UsageError
from gridsession.testing.clock import ManualClock
from tests.dialects.stores import OwnStore, in_another_process, until

Handler = Callable[[Context], object]


@pytest.fixture(params=["memory", "file", "own", pytest.param("grid", marks=pytest.mark.grid)])
def store(request: pytest.FixtureRequest, tmp_path: Path, namespace: str) -> Any:
    """What a bot may be given to keep its sessions in."""
    if request.param == "grid":
        return f"{request.getfixturevalue('grid').url}?namespace={namespace}"
    return {"memory": MemorySessionStore, "file": lambda: FileSessionStore(tmp_path), "own": OwnStore}[request.param]()


async def nickname(context: ConsoleContext) -> None:
    """The seed's dialogue."""
    if context.session.asking:
        context.session.nickname = context.event.message.text
        context.session.asking = False
        await context.send_text(f"Hello {context.session.nickname}")
    else:
        context.session.asking = True
        await context.send_text("Hi, what's your nickname?")


# --- the seed's dialogue ----------------------------------------------------------------------------------------------


async def test_the_nickname_dialogue(store: Any) -> None:
    async with ConsoleBot(store) as bot:
        bot.on_event(nickname)
        assert await bot.say("Hi") == ["Hi, what's your nickname?"]
        assert await bot.say("Tim") == ["Hello Tim"]
        assert await bot.say("/state") == ['{ "asking": false, "nickname": "Tim" }']


async def test_after_ten_seconds_of_silence_there_is_a_new_session() -> None:
    clock = ManualClock()
    async with SessionStore.open(driver=MemoryDriver(clock=clock)) as sessions:
        bot = ConsoleBot(GridSessionStore(sessions, 10))
        bot.on_event(nickname)
        await bot.say("Hi")
        clock.advance(9)
        assert await bot.say("Tim") == ["Hello Tim"]
        clock.advance(10)
        assert await bot.say("/session") == ["{}"]
        assert await bot.say("Tim") == ["Hi, what's your nickname?"]


DIALOGUE = """
import asyncio, sys
from gridsession.dialects.toolbot import ConsoleBot

async def nickname(context):
    if context.session.asking:
        context.session.nickname = context.event.message.text
        context.session.asking = False
        await context.send_text(f"Hello {context.session.nickname}")
    else:
        context.session.asking = True
        await context.send_text("Hi, what's your nickname?")

async def main(url, line):
    async with ConsoleBot(url) as bot:
        bot.on_event(nickname)
        print(*await bot.say(line))

asyncio.run(main(*sys.argv[1:]))
"""


@pytest.mark.parametrize("place", ["file", pytest.param("grid", marks=pytest.mark.grid)])
async def test_one_process_asks_and_another_hears_the_answer(
    place: str, request: pytest.FixtureRequest, tmp_path: Path, namespace: str
) -> None:
    url = f"file://{tmp_path}"
    if place == "grid":
        url = f"{request.getfixturevalue('grid').url}?namespace={namespace}"
    async with ConsoleBot(url) as bot:
        bot.on_event(nickname)
        assert await bot.say("Hi") == ["Hi, what's your nickname?"]
        assert await asyncio.to_thread(in_another_process, DIALOGUE, url, "Tim") == "Hello Tim"
        assert await bot.say("/state") == ['{ "asking": false, "nickname": "Tim" }']


# --- the session ------------------------------------------------------------------------------------------------------


async def test_who_takes_part_and_parts_of_the_event_may_be_kept_as_attributes(store: Any) -> None:
    async with ConsoleBot(store) as bot:

        @bot.on_event
        def keep(context: ConsoleContext) -> None:
            cart = [context.event.message]
            context.session.cart = cart
            cart.append(context.session.user)
            context.session.both = {"first": context.event, "then": context.session.cart}

        await bot.say("Hi")
        kept = await bot.store.read("console:1") or {}
    message, user = {"text": "Hi"}, kept["user"]
    assert kept["cart"] == [message, user]
    assert kept["both"] == {"first": {"message": message}, "then": [message, user]}


async def test_a_copy_of_a_session_is_a_plain_dict_of_its_attributes() -> None:
    async with Sessions() as sessions, sessions.context("line:U1") as context:
        context.session.cart = ["tea"]
        for whole in (copy.copy(context.session), copy.deepcopy(context.session)):
            assert whole == {"cart": ["tea"]}
            whole["cart"].append("a copy's own")
        assert pickle.loads(pickle.dumps(context.session)) == {"cart": ["tea"]}
        assert context.session.cart == ["tea"]


async def test_attributes_are_values_of_any_depth_and_changed_in_place(store: Any) -> None:
    async with Sessions(store) as sessions:
        async with sessions.context("line:U1") as context:
            session = context.session
            assert (session.cart, session["cart"]) == (None, None)
            session.cart = {"items": []}
            session["odd name"] = 1
            session.update = "an attribute like any other"
        async with sessions.context("line:U1") as context:
            context.session.cart["items"].append({"name": "tea", "price": 1.5})
            assert context.session.update == "an attribute like any other"
        async with sessions.context("line:U1") as context:
            assert context.session.cart == {"items": [{"name": "tea", "price": 1.5}]}
            assert (list(context.session), len(context.session)) == (["cart", "odd name", "update"], 3)
            assert "cart" in context.session
            assert "basket" not in context.session
            del context.session.cart
            del context.session["odd name"]
            del context.session.never
        async with sessions.context("line:U1") as context:
            assert list(context.session) == ["update"]
            assert context.session.cart is None


async def test_one_conversation_knows_nothing_of_another(store: Any) -> None:
    async with Sessions(store) as sessions:
        async with sessions.context("line:U1") as one, sessions.context("line:U2") as two:
            one.session.name = "one"
            two.session.name = "two"
        async with sessions.context("line:U1") as one, sessions.context("line:U2") as two:
            assert (one.session.name, two.session.name) == ("one", "two")


@pytest.mark.parametrize("name", ["id", "platform", "user", "group", "channel", "room", "team", "page", "lastActivity"])
async def test_who_it_is_can_be_read_and_never_set(name: str) -> None:
    async with Sessions(MemorySessionStore()) as sessions, sessions.context("telegram:5") as context:
        for change in (
            lambda: setattr(context.session, name, "x"),
            lambda: context.session.__setitem__(name, "x"),
            lambda: delattr(context.session, name),
        ):
            with pytest.raises(UsageError, match=name):
                change()
        assert (context.session.id, context.session.platform) == ("telegram:5", "telegram")


async def test_who_takes_part_is_recorded_and_frozen(store: Any) -> None:
    update = {
        "update_id": 1,
        "message": {"message_id": 1, "from": {"id": 7}, "chat": {"id": -5, "type": "group"}, "text": "Hi"},
    }
    seen = []
    async with Sessions(store) as sessions:
        await sessions.handle("telegram", update, lambda context: seen.append(context.session.id))
        await sessions.handle("telegram", update, lambda context: seen.append(context.session.user["id"]))
        assert seen == ["telegram:-5", 7]
        async with sessions.context("telegram:-5") as context:
            assert context.session.group["id"] == -5
            assert isinstance(context.session.lastActivity, int)
            with pytest.raises(UsageError):
                context.session.user["id"] = 8


async def test_what_is_set_after_the_handler_is_refused(store: Any) -> None:
    async with Sessions(store) as sessions:
        async with sessions.context("line:U1") as context:
            context.session.step = 1
        with pytest.raises(UsageError, match="forget to await"):
            context.session.step = 2
        assert context.session.step == 1
        async with sessions.context("line:U1") as context:
            assert context.session.step == 1


async def test_what_a_handler_raises_leaves_the_session_as_it_was(store: Any) -> None:
    async with Sessions(store) as sessions:
        async with sessions.context("line:U1") as context:
            context.session.steps = [1]
        with pytest.raises(ZeroDivisionError):
            async with sessions.context("line:U1") as context:
                context.session.steps.append(2)
                context.session.other = 1
                raise ZeroDivisionError
        async with sessions.context("line:U1") as context:
            assert list(context.session) == ["steps"]
            assert context.session.steps == [1]


async def test_what_cannot_be_stored_is_refused_and_nothing_is_written(store: Any) -> None:
    async with Sessions(store) as sessions:
        with pytest.raises(InvalidValue) as raised:
            async with sessions.context("line:U1") as context:
                context.session.step = 1
                context.session.callback = {"f": print}
        assert raised.value.path == "$.callback.f"
        async with sessions.context("line:U1") as context:
            assert list(context.session) == []


async def test_handlers_of_one_conversation_wait_for_each_other(store: Any) -> None:
    async with Sessions(store) as sessions:

        async def add() -> None:
            async with sessions.context("line:U1") as context:
                seen = context.session.count or 0
                await asyncio.sleep(0)
                context.session.count = seen + 1

        await asyncio.gather(*(add() for _ in range(30)))
        async with sessions.context("line:U1") as context:
            assert context.session.count == 30


async def test_a_conversation_that_changes_nothing_does_not_expire_while_it_goes_on() -> None:
    clock = ManualClock()
    async with SessionStore.open(driver=MemoryDriver(clock=clock)) as opened:
        sessions = Sessions(GridSessionStore(opened, 10))
        async with sessions.context("line:U1") as context:
            context.session.step = 1
        for _ in range(3):
            clock.advance(9)
            before = time.time_ns() // 1_000_000
            while time.time_ns() // 1_000_000 == before:
                await asyncio.sleep(0)
            async with sessions.context("line:U1") as context:
                assert context.session.step == 1
        assert await opened.session("line:U1").ttl() == 10


async def test_a_session_is_itself_to_python() -> None:
    async with Sessions(MemorySessionStore()) as sessions, sessions.context("line:U1") as context:
        session = context.session
        session.secret = "geheim"
        assert session
        assert "geheim" not in repr(session) + repr(context)
        assert not hasattr(session, "__html__")
        assert isinstance(session, Session)


# --- events -----------------------------------------------------------------------------------------------------------

LINE_BODY = {
    "destination": "Ubot",
    "events": [
        {"type": "message", "replyToken": "r", "source": {"type": "user", "userId": user}, "message": {"type": "text"}}
        for user in ("U1", "U2", "U1")
    ],
}


async def count(context: Context) -> None:
    """Counts a conversation's events."""
    if context.session is not None:
        context.session.count = (context.session.count or 0) + 1


async def test_each_event_of_a_body_has_its_own_session(store: Any) -> None:
    async with Sessions(store) as sessions:
        await sessions.handle("line", LINE_BODY, count)
        await sessions.handle("line", json.dumps(LINE_BODY).encode(), count)
        for name, expected in (("line:U1", 4), ("line:U2", 2)):
            async with sessions.context(name) as context:
                assert context.session.count == expected


async def test_an_event_of_no_conversation_has_no_session() -> None:
    seen: list[Any] = []
    async with Sessions(MemorySessionStore()) as sessions:
        poll = {"update_id": 1, "poll": {"id": "9"}}
        await sessions.handle("telegram", poll, lambda context: seen.append((context.session, context.event)))
        assert seen == [(None, poll)]
        with pytest.raises(UnknownEvent):
            await sessions.handle("telegram", {"what": 1}, count)


async def test_keys_are_toolbots_if_it_is_asked_for() -> None:
    update = {"update_id": 1, "message": {"from": {"id": 7}, "chat": {"id": -5}, "text": "Hi"}}
    async with MemorySessionStore() as store:
        await Sessions(store).handle("telegram", update, count)
        await Sessions(store, rules="toolbot").handle("telegram", update, count)
        assert sorted(session["id"] for session in await store.all()) == ["telegram:-5", "telegram:7"]


# --- stores -----------------------------------------------------------------------------------------------------------


async def test_a_session_is_flat_in_toolbots_stores(store: Any) -> None:
    kept = store if isinstance(store, bottender.GridSessionStore) else GridSessionStore(store)
    async with kept:
        assert await kept.read("console:1") is None
        session = {"nickname": "Tim", "cart": {"a": [1]}, "_state": "an attribute", "user": {"id": "1"}}
        await kept.write("console:1", session)
        assert await kept.read("console:1") == {"id": "console:1", "platform": "console", **session}
        await kept.write("console:1", {"nickname": "Tom"})
        assert await kept.read("console:1") == {"id": "console:1", "platform": "console", "nickname": "Tom"}
        await kept.destroy("console:1")
        assert await kept.read("console:1") is None
        with pytest.raises(InvalidValue):
            await kept.write("console:1", "text")


async def test_ten_seconds_are_seconds(tmp_path: Path) -> None:
    short = dt.timedelta(milliseconds=300)
    for made in (MemorySessionStore(None, 10), FileSessionStore(tmp_path, 10)):
        async with made as store:
            await store.write("console:1", {"nickname": "Tim"})
            assert 9 < (await store.sessions.session("console:1").ttl() or 0) <= 10
    async with MemorySessionStore(5, short) as store:
        await store.write("console:1", {"nickname": "Tim"})

        async def gone() -> bool:
            return await store.read("console:1") is None

        await until(gone, "the end of a session of 0.3 s")


async def test_attributes_are_bottenders_state_of_the_same_session() -> None:
    async with SessionStore.open("memory://") as opened:
        bot = ConsoleBot(opened)
        bot.on_event(nickname)
        await bot.say("Hi")
        later = bottender.ConsoleBot(opened)
        assert await later.say("/state") == ['{ "asking": true }']


async def test_toolbots_own_names_work_too() -> None:
    async with ConsoleBot(pretty=True, user="7") as bot:

        @bot.onEvent
        async def answer(context: ConsoleContext) -> None:
            context.session.n = 1
            await context.sendText(context.event.message.text)

        assert await bot.say("Hi") == ["Hi"]
        assert await bot.say("/state") == ['{\n  "n": 1\n}']
        assert bot.session_id == "console:7"
