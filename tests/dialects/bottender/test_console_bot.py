"""A bot typed at: the seeds' own conversations, commands, and what a handler is given."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import time
from pathlib import Path
from typing import Any

import pytest

from gridsession import SessionStore
from gridsession.dialects.bottender import (
    ConsoleBot,
    ConsoleContext,
    FileSessionStore,
    GridSessionStore,
    MemorySessionStore,
)
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import InvalidSessionId, InvalidValue, UsageError
from gridsession.testing.clock import ManualClock
from gridsession.testing.local_grid import LocalGrid
from tests.dialects.stores import OwnStore, in_another_process


async def count(context: ConsoleContext) -> None:
    """The seed's counting bot."""
    count = context.state["count"] + 1
    context.set_state({"count": count})
    await context.send_text(f"Count: {count}")


async def whose(context: ConsoleContext) -> None:
    """The seed's bot that tells the session's id."""
    assert context.session is not None
    await context.send_text(f"session.platform: {context.session.platform}")
    await context.send_text(f"session.id: {context.session.id}")


@pytest.fixture(params=["memory", "file", "own", pytest.param("grid", marks=pytest.mark.grid)])
def store(request: pytest.FixtureRequest, tmp_path: Path, namespace: str) -> Any:
    """What a bot may be given to keep its sessions in."""
    if request.param == "grid":
        grid: LocalGrid = request.getfixturevalue("grid")
        return f"{grid.url}?namespace={namespace}"
    return {"memory": MemorySessionStore, "file": lambda: FileSessionStore(tmp_path), "own": OwnStore}[request.param]()


async def a_millisecond_later() -> None:
    """Wait until the host's clock shows another millisecond: two events of one are as good as one activity."""
    before = time.time_ns() // 1_000_000
    while time.time_ns() // 1_000_000 == before:
        await asyncio.sleep(0)


# --- the seeds' conversations -----------------------------------------------------------------------------------------


async def test_the_counting_bot_counts(store: Any) -> None:
    async with ConsoleBot(store, {"count": 0}) as bot:
        bot.on_event(count)
        assert await bot.say("Hi") == ["Count: 1"]
        assert await bot.say("Hi") == ["Count: 2"]
        assert await bot.say("/state") == ['{ "count": 2 }']


async def test_the_reply_of_the_session_id(store: Any) -> None:
    async with ConsoleBot(store) as bot:
        bot.on_event(whose)
        assert await bot.say("Hi") == ["session.platform: console", "session.id: console:1"]


async def test_a_state_that_was_set_once_stays_and_a_deeper_merge_is_explicit() -> None:
    async def merge(context: ConsoleContext) -> None:
        if "my_object" not in context.state:
            context.set_state({"my_object": {"a": 1}})
        context.set_state({"my_object": {**context.state["my_object"], "key": context.event.message.text}})

    async with ConsoleBot(initial_state={"count": 1}) as bot:
        bot.on_event(merge)
        assert await bot.say("value") == []
        assert await bot.say("/state") == ['{ "count": 1, "my_object": { "a": 1, "key": "value" } }']


async def test_after_ten_minutes_of_silence_there_is_a_new_session() -> None:
    clock = ManualClock()
    sessions = SessionStore.open(driver=MemoryDriver(clock=clock))
    async with sessions, ConsoleBot(GridSessionStore(sessions, 10), {"count": 0}) as bot:
        bot.on_event(count)
        for _ in range(3):
            await bot.say("Hi")
            clock.advance(dt.timedelta(minutes=9, seconds=59))
        assert await bot.say("Hi") == ["Count: 4"]
        clock.advance(dt.timedelta(minutes=10))
        assert await bot.say("/session") == ["{}"]
        assert await bot.say("Hi") == ["Count: 1"]


async def test_who_only_reads_does_not_expire_while_active() -> None:
    clock = ManualClock()
    sessions = SessionStore.open(driver=MemoryDriver(clock=clock))
    async with sessions, ConsoleBot(GridSessionStore(sessions, 10), {"count": 0}) as bot:
        bot.on_event(count)
        await bot.say("Hi")
        bot.on_event(lambda context: None)
        for _ in range(3):
            clock.advance(dt.timedelta(minutes=9))
            await a_millisecond_later()
            await bot.say("just looking")
        assert await bot.say("/state") == ['{ "count": 1 }']


def test_a_bot_may_be_made_before_there_is_a_loop(store: Any) -> None:
    bot = ConsoleBot(store, {"count": 0})
    bot.on_event(count)

    async def talk() -> list[str]:
        async with bot:
            return await bot.say("Hi")

    assert asyncio.run(talk()) == ["Count: 1"]


# --- commands ---------------------------------------------------------------------------------------------------------


async def test_without_a_session_the_commands_show_nothing(store: Any) -> None:
    async with ConsoleBot(store, {"count": 0}) as bot:
        bot.on_event(count)
        assert await bot.say("/session") == ["{}"]
        assert await bot.say("/state") == ["{}"]


async def test_session_shows_it_whole() -> None:
    async with ConsoleBot(initial_state={"count": 0}, pretty=True) as bot:
        bot.on_event(count)
        await bot.say("Hi")
        shown = (await bot.say("/session"))[0]
        assert shown.startswith('{\n  "id": "console:1",\n  "platform": "console",\n')
        session = json.loads(shown)
        assert session["_state"] == {"count": 1}
        assert session["user"]["id"] == "1"
        assert isinstance(session["lastActivity"], int)
        assert await bot.say("/state") == ['{\n  "count": 1\n}']
        bot.pretty = False
        assert json.loads((await bot.say("/session"))[0]) == session


async def test_the_commands_extend_no_life() -> None:
    clock = ManualClock()
    sessions = SessionStore.open(driver=MemoryDriver(clock=clock))
    async with sessions, ConsoleBot(GridSessionStore(sessions, 1), {"count": 0}) as bot:
        bot.on_event(count)
        await bot.say("Hi")
        clock.advance(40)
        assert await bot.say("/state") == ['{ "count": 1 }']
        await bot.say("/session")
        assert await sessions.session("console:1").ttl() == 20


@pytest.mark.parametrize("line", ["/quit", "/exit", " /quit "])
async def test_quit_and_exit_end_it_and_reach_no_handler(line: str) -> None:
    async with ConsoleBot(initial_state={"count": 0}) as bot:
        bot.on_event(count)
        assert not bot.ended
        assert await bot.say(line) == []
        assert bot.ended
        assert await bot.say("/session") == ["{}"]


async def test_state_on_one_line_holds_whatever_can_be_stored() -> None:
    async def fill(context: ConsoleContext) -> None:
        context.set_state(
            name='Ploy "P"\n',
            thai="สวัสดี",
            nested={"a": {}, "b": [1, 2.5, None, True], 7: "seven"},
            when=dt.date(2024, 2, 29),
            raw=b"\x00",
            pair=(1, 2),
        )

    async with ConsoleBot() as bot:
        bot.on_event(fill)
        await bot.say("Hi")
        expected = (
            '{ "name": "Ploy \\"P\\"\\n", "thai": "สวัสดี", "nested": { "a": {}, "b": [1, 2.5, null, true],'
            ' "7": "seven" }, "when": "2024-02-29", "raw": "AA==", "pair": [1, 2] }'
        )
        assert await bot.say("/state") == [expected]
        bot.pretty = True
        assert json.loads((await bot.say("/state"))[0]) == json.loads(expected)


# --- events -----------------------------------------------------------------------------------------------------------


async def test_a_line_is_an_event_of_text_and_payload_one_of_its_own() -> None:
    seen = []
    async with ConsoleBot() as bot:
        bot.on_event(lambda context: seen.append(context.event))
        for line in ("Hi there ", "/payload BUY:1 2", "/payload", "", "/unknown"):
            await bot.say(line)
    assert [event.raw_event for event in seen] == [
        {"message": {"text": "Hi there "}},
        {"payload": "BUY:1 2"},
        {"message": {"text": "/payload"}},
        {"message": {"text": ""}},
        {"message": {"text": "/unknown"}},
    ]
    text, payload, *_ = seen
    assert (text.is_message, text.is_text, text.is_payload, text.text) == (True, True, False, "Hi there ")
    assert (payload.is_message, payload.is_text, payload.is_payload, payload.text) == (False, False, True, None)
    assert (text.message.text, payload.payload) == ("Hi there ", "BUY:1 2")
    assert (text.isMessage, text.isText, payload.isPayload, payload.rawEvent) == (True, True, True, payload.raw_event)
    assert "Hi there" not in repr(text)


async def test_bottenders_own_names_work_too() -> None:
    async with ConsoleBot() as bot:

        @bot.onEvent
        async def answer(context: ConsoleContext) -> None:
            context.setState({"n": 1})
            await context.sendText(context.event.message.text)

        assert await bot.say("Hi") == ["Hi"]
        assert await bot.say("/state") == ['{ "n": 1 }']


async def test_without_a_handler_it_is_said() -> None:
    async with ConsoleBot() as bot:
        with pytest.raises(UsageError, match="on_event"):
            await bot.say("Hi")


async def test_replies_come_as_they_are_sent() -> None:
    go_on = asyncio.Event()

    async def slow(context: ConsoleContext) -> None:
        await context.send_text("one moment")
        await go_on.wait()
        await context.send_text("done")

    async with ConsoleBot() as bot:
        bot.on_event(slow)
        replies = bot.hear("Hi")
        assert await anext(replies) == "one moment"
        go_on.set()
        assert [reply async for reply in replies] == ["done"]


async def test_who_stops_listening_stops_the_handler_and_nothing_is_written() -> None:
    ended = []

    async def forever(context: ConsoleContext) -> None:
        context.set_state(n=1)
        await context.send_text("one moment")
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("yes")

    async with ConsoleBot() as bot:
        bot.on_event(forever)
        replies = bot.hear("Hi")
        assert await anext(replies) == "one moment"
        await replies.aclose()
        assert ended == ["yes"]
        assert await bot.say("/session") == ["{}"]


# --- failures ---------------------------------------------------------------------------------------------------------


async def test_what_a_handler_raises_is_raised_and_nothing_is_written(store: Any) -> None:
    async def fail(context: ConsoleContext) -> None:
        context.set_state(count=99)
        raise ZeroDivisionError

    async with ConsoleBot(store, {"count": 0}) as bot:
        bot.on_event(count)
        await bot.say("Hi")
        bot.on_event(fail)
        with pytest.raises(ZeroDivisionError):
            await bot.say("Hi")
        assert await bot.say("/state") == ['{ "count": 1 }']
        bot.on_event(count)
        assert await bot.say("Hi") == ["Count: 2"]


async def test_what_is_set_after_the_session_was_written_is_warned_of() -> None:
    kept = []
    async with ConsoleBot(initial_state={"count": 0}) as bot:
        bot.on_event(kept.append)
        await bot.say("Hi")
        with pytest.warns(RuntimeWarning, match="forget to await"):
            kept[0].set_state(count=1)
        assert await bot.say("/state") == ['{ "count": 0 }']


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"platform": "", "user": "1"}, InvalidSessionId),
        ({"platform": "telegram", "user": ""}, InvalidSessionId),
        ({"platform": "Not A Platform"}, InvalidSessionId),
        ({"initial_state": {"f": print}}, InvalidValue),
    ],
)
def test_a_bot_of_nobody_is_refused(options: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        ConsoleBot(**options)


# --- whose conversation -----------------------------------------------------------------------------------------------


async def test_another_platforms_user_is_played_over_that_very_session() -> None:
    async with MemorySessionStore() as sessions:
        bot = ConsoleBot(sessions, {"count": 0}, platform="telegram", user="16423")
        bot.on_event(count)
        assert await bot.say("Hi") == ["Count: 1"]
        bot.on_event(whose)
        assert await bot.say("Hi") == ["session.platform: telegram", "session.id: telegram:16423"]
        assert bot.session_id == "telegram:16423"
        session = await sessions.read("telegram:16423")
        assert session is not None
        assert session["_state"] == {"count": 1}
        # The console does not know who that is: what the platform's own events recorded stays.
        assert "user" not in session
        assert await sessions.read("console:1") is None


async def test_users_have_sessions_of_their_own_with_copies_of_the_initial_state() -> None:
    initial = {"cart": []}

    async def put(context: ConsoleContext) -> None:
        context.set_state({"cart": [*context.state["cart"], context.event.message.text]})

    async with MemorySessionStore() as sessions:
        one, two = (ConsoleBot(sessions, initial, user=user) for user in ("1", "2"))
        one.on_event(put)
        two.on_event(put)
        await one.say("tea")
        initial["cart"].append("changed later")
        await two.say("rice")
        assert await one.say("/state") == ['{ "cart": ["tea"] }']
        assert await two.say("/state") == ['{ "cart": ["rice"] }']


async def test_a_hundred_lines_at_once_are_counted_a_hundred_times() -> None:
    async with ConsoleBot(initial_state={"count": 0}) as bot:
        bot.on_event(count)
        replies = await asyncio.gather(*(bot.say("Hi") for _ in range(100)))
        assert sorted(replies) == sorted([f"Count: {n}"] for n in range(1, 101))


ONE_LINE = """
import asyncio, sys
from gridsession.dialects.bottender import ConsoleBot, GridSessionStore

async def count(context):
    count = context.state["count"] + 1
    context.set_state({"count": count})
    await context.send_text(f"Count: {count}")

async def main(url):
    async with GridSessionStore(url) as store:
        bot = ConsoleBot(store, {"count": 0})
        bot.on_event(count)
        print(*await bot.say("Hi"))

asyncio.run(main(sys.argv[1]))
"""


@pytest.mark.parametrize("place", ["file", pytest.param("grid", marks=pytest.mark.grid)])
async def test_consoles_of_two_processes_are_one_conversation(
    place: str, request: pytest.FixtureRequest, tmp_path: Path, namespace: str
) -> None:
    url = f"file://{tmp_path}"
    if place == "grid":
        url = f"{request.getfixturevalue('grid').url}?namespace={namespace}"
    async with ConsoleBot(url, {"count": 0}) as bot:
        bot.on_event(count)
        assert await bot.say("Hi") == ["Count: 1"]
        assert await asyncio.to_thread(in_another_process, ONE_LINE, url) == "Count: 2"
        assert await bot.say("Hi") == ["Count: 3"]


async def test_closing_a_bot_closes_no_store_that_was_handed_in() -> None:
    async with MemorySessionStore() as sessions:
        async with ConsoleBot(sessions, {"count": 0}) as bot:
            bot.on_event(count)
            await bot.say("Hi")
        assert (await sessions.read("console:1") or {})["_state"] == {"count": 1}
