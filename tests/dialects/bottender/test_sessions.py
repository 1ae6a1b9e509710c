"""From a request to sessions: expiry, deliveries that come twice, and many events at once."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from gridsession import SessionStore, platforms
from gridsession.dialects.bottender import Context, MemorySessionStore, Sessions
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import (
    InvalidInput,
    InvalidOption,
    Leased,
    StoreClosed,
    UnknownEvent,
    UsageError,
)
from gridsession.testing.clock import ManualClock
from gridsession.testing.local_grid import LocalGrid
from tests.contract.servers import redis_server, running
from tests.dialects.bottender.requests import from_user, posted
from tests.dialects.stores import OwnStore, in_another_process, until

Make = Callable[..., Sessions]
ID = "line:U1"
MINUTE = 60.0


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own."""
    server = redis_server(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield f"redis://127.0.0.1:{server.port}/0"


async def count(context: Context) -> str:
    """The counting bot."""
    count = context.state["count"] + 1
    context.set_state({"count": count})
    return f"Count: {count}"


# --- the seed's examples ----------------------------------------------------------------------------------------------


async def test_the_counting_bot_counts(place: object) -> None:
    async with Sessions.over(place, initial_state={"count": 0}) as sessions:
        for expected in ("Count: 1", "Count: 2"):
            async with sessions.context("line", from_user()) as context:
                assert await count(context) == expected
        async with sessions.context("line", from_user("U2")) as context:
            assert await count(context) == "Count: 1"


@pytest.mark.parametrize(
    ("platform", "event", "session_id"),
    [
        ("line", from_user("U4af4980629"), "line:U4af4980629"),
        ("line", {"type": "join", "source": {"type": "group", "groupId": "Ca56f94637c"}}, "line:Ca56f94637c"),
        ("line", {"type": "join", "source": {"type": "room", "roomId": "Ra8dbf4673c"}}, "line:Ra8dbf4673c"),
        ("telegram", {"update_id": 1, "message": {"chat": {"id": 16423}, "from": {"id": 16423}}}, "telegram:16423"),
        ("messenger", {"sender": {"id": "11"}, "recipient": {"id": "22"}, "message": {}}, "messenger:11"),
        (
            "messenger",
            {"sender": {"id": "22"}, "recipient": {"id": "11"}, "message": {"is_echo": True}},
            "messenger:11",
        ),
        ("slack", {"type": "event_callback", "event": {"type": "message", "channel": "C1", "user": "U1"}}, "slack:C1"),
        ("viber", {"event": "message", "sender": {"id": "v/1+2=="}}, "viber:v/1+2=="),
        (
            "whatsapp",
            {"SmsStatus": "received", "From": "whatsapp:+886912", "To": "whatsapp:+1"},
            "whatsapp:whatsapp:+886912",
        ),
        ("console", {"message": {"text": "Hi"}}, "console:1"),
    ],
)
async def test_the_bot_that_replies_session_id(platform: str, event: dict[str, Any], session_id: str) -> None:
    async with Sessions() as sessions, sessions.context(platform, event) as context:
        assert context.session is not None
        assert f"session.platform: {context.session.platform}" == f"session.platform: {platform}"
        assert f"session.id: {context.session.id}" == f"session.id: {session_id}"


# --- events of a request ----------------------------------------------------------------------------------------------


async def test_two_events_of_one_request_are_two_sessions(place: object) -> None:
    body = posted(from_user("U1"), from_user("U2"), from_user("U1"), {"type": "accountLink"})
    async with Sessions.over(place, initial_state={"count": 0}) as sessions:
        events = sessions.events("line", json.dumps(body))
        assert [event.session_id for event in events] == ["line:U1", "line:U2", "line:U1", None]
        assert events == body["events"]
        with pytest.raises(LookupError):
            for event in events:
                async with sessions.context("line", event) as context:
                    if context.session is None:
                        raise LookupError
                    await count(context)
        assert (await sessions.store.read("line:U1") or {})["_state"] == {"count": 2}
        assert (await sessions.store.read("line:U2") or {})["_state"] == {"count": 1}


@pytest.mark.parametrize("form", ["parsed", "text", "bytes"])
async def test_a_body_of_one_event_is_taken_for_it(form: str) -> None:
    body: Any = posted(from_user("U7"))
    if form != "parsed":
        body = json.dumps(body) if form == "text" else json.dumps(body).encode()
    async with Sessions() as sessions, sessions.context("line", body) as context:
        assert context.event == from_user("U7")
        assert context.event.session_id == "line:U7"


async def test_a_body_of_several_or_no_events_is_refused() -> None:
    async with Sessions() as sessions:
        with pytest.raises(InvalidInput, match=r"2 events.*events\(\)"):
            sessions.context("line", posted(from_user("U1"), from_user("U2")))
        with pytest.raises(UnknownEvent, match=r"events\(\)"):
            sessions.context("line", posted())
        with pytest.raises(UnknownEvent, match="telegram"):
            sessions.context("telegram", {"hello": 1})
        with pytest.raises(InvalidOption, match="known are"):
            sessions.context("icq", {"hello": 1})
        with pytest.raises(InvalidOption, match="mapping"):
            sessions.context("line", "{}", session_id="line:U1")


async def test_a_slack_event_is_the_whole_body() -> None:
    body = {
        "type": "event_callback",
        "team_id": "T1",
        "event": {"type": "message", "channel": "C1", "user": "U1", "text": "Hi"},
    }
    async with Sessions() as sessions:
        async with sessions.context("slack", body) as context:
            assert context.event.event.text == "Hi"
        form = "payload=" + json.dumps({"type": "block_actions", "user": {"id": "U9"}, "channel": {"id": "C1"}})
        async with sessions.context("slack", form) as context:
            assert context.event["type"] == "block_actions"
            assert context.session is not None
            assert (context.session.id, context.session.user["id"]) == ("slack:C1", "U9")


# --- expiry -----------------------------------------------------------------------------------------------------------


async def test_a_user_who_only_reads_does_not_expire_while_active() -> None:
    clock = ManualClock()
    async with Sessions.over(MemoryDriver(clock=clock), initial_state={"count": 0}, expires_in=10) as sessions:
        async with sessions.context("line", from_user()) as context:
            await count(context)
        for _ in range(3):
            clock.advance(9 * MINUTE)
            async with sessions.context("line", from_user()) as context:
                assert context.state == {"count": 1}
        clock.advance(10 * MINUTE)
        async with sessions.context("line", from_user()) as context:
            assert context.state == {"count": 0}
            assert context.last_activity is None


async def test_an_event_restarts_the_expiry(place: object) -> None:
    async with Sessions.over(place, expires_in=dt.timedelta(seconds=30)) as sessions:
        session = sessions.store.sessions.session(ID)
        async with sessions.context("line", from_user()):
            pass

        async def has_aged() -> bool:
            return 0 < (await session.ttl() or 0) < 29.9

        await until(has_aged, "a tenth of a second of its life")
        aged = await session.ttl() or 0
        async with sessions.context("line", from_user()):
            pass
        assert aged < (await session.ttl() or 0) <= 30


async def test_a_changed_expiry_reaches_sessions_that_exist(place: object) -> None:
    for minutes, seconds in ((15, 900), (2, 120), (math.inf, None)):
        async with Sessions.over(place, expires_in=minutes) as sessions:
            async with sessions.context("line", from_user()):
                pass
            left = await sessions.store.sessions.session(ID).ttl()
            assert left == seconds if seconds is None else seconds - 10 < (left or 0) <= seconds


async def test_where_nothing_is_said_of_an_expiry_sessions_keep_the_one_they_have(place: object) -> None:
    """Two bots may share sessions of which one alone knows how long they live."""
    async with Sessions.over(place) as sessions:
        session = sessions.store.sessions.session(ID)
        await session.update(a=1)
        assert await session.ttl() is None
        await session.touch(100)
        async with sessions.context("line", from_user()):
            pass
        assert 90 < (await session.ttl() or 0) <= 100
        async with sessions.context("line", from_user("U2")):
            pass
        assert await sessions.store.sessions.session("line:U2").ttl() is None


async def test_a_store_that_was_told_an_expiry_keeps_it() -> None:
    store = MemorySessionStore(None, 10)
    async with store:
        for sessions, seconds in ((Sessions.over(store), 600), (Sessions.over(store, expires_in=1), 60)):
            async with sessions, sessions.context("line", from_user()):
                pass
            assert seconds - 5 < (await store.sessions.session(ID).ttl() or 0) <= seconds
    async with Sessions.over("memory://?ttl=90") as sessions:
        async with sessions.context("line", from_user()):
            pass
        assert 85 < (await sessions.store.sessions.session(ID).ttl() or 0) <= 90


# --- twice, and at once -----------------------------------------------------------------------------------------------


async def test_a_message_delivered_twice_is_recognised(place: object) -> None:
    event = from_user(webhookEventId="01H")
    async with Sessions.over(place, initial_state={"count": 0}) as sessions:
        repeated = []
        for _ in range(2):
            async with sessions.context("line", event, message=platforms.message_id("line", event)) as context:
                repeated.append(context.repeated)
                if not context.repeated:
                    await count(context)
        assert repeated == [False, True]
        assert (await sessions.store.read(ID) or {})["_state"] == {"count": 1}


async def test_delivered_to_many_workers_at_once_it_is_handled_once(place: object) -> None:
    async with Sessions.over(place, initial_state={"count": 0}) as sessions:

        async def handle() -> None:
            async with sessions.context("line", from_user(), message="01H") as context:
                if not context.repeated:
                    await count(context)

        await asyncio.gather(*(handle() for _ in range(10)))
        assert (await sessions.store.read(ID) or {})["_state"] == {"count": 1}


@pytest.mark.parametrize(
    "kind", ["memory", "own", "file", "lmdb", "redis", pytest.param("grid", marks=pytest.mark.grid)]
)
async def test_a_hundred_events_at_once_count_to_a_hundred(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path, namespace: str
) -> None:
    place: object = {"memory": MemoryDriver, "own": OwnStore}.get(kind, lambda: f"{kind}://{tmp_path}")()
    if kind == "grid":
        place = f"{request.getfixturevalue('grid').url}?namespace={namespace}"
    if kind == "redis":
        place = f"{request.getfixturevalue('redis_url')}?namespace={namespace}"
    async with Sessions.over(place, initial_state={"count": 0}) as sessions:

        async def handle(number: int) -> None:
            async with sessions.context("line", from_user(), wait=60) as context:
                seen = context.state["count"]
                await asyncio.sleep(0)  # where another's event would come between
                context.set_state({"count": seen + 1, f"event {number}": number})

        await asyncio.gather(*(handle(number) for number in range(100)))
        state = (await sessions.store.read(ID) or {})["_state"]
        assert state == {"count": 100, **{f"event {number}": number for number in range(100)}}


WORKER = """
import asyncio, sys
from gridsession.dialects.bottender import Sessions

async def main():
    event = {"type": "message", "source": {"type": "user", "userId": "U1"}}
    stores = {"hazelcast": {"url": sys.argv[1], "namespace": sys.argv[2]}}
    config = {"session": {"driver": "hazelcast", "stores": stores}, "initialState": {"count": 0}}
    async with Sessions(config) as sessions:
        async def handle():
            async with sessions.context("line", event, wait=60) as context:
                context.set_state({"count": context.state["count"] + 1})
        await asyncio.gather(*(handle() for _ in range(50)))

asyncio.run(main())
"""


@pytest.mark.grid
async def test_two_processes_count_to_a_hundred_together(grid: LocalGrid, namespace: str) -> None:
    work = [asyncio.to_thread(in_another_process, WORKER, grid.url, namespace) for _ in range(2)]
    await asyncio.gather(*work)
    async with Sessions.over(f"{grid.url}?namespace={namespace}") as sessions:
        found = await sessions.store.read(ID)
        assert found is not None
        assert found["_state"] == {"count": 100}


async def test_who_waits_too_long_for_a_session_is_told(place: object) -> None:
    async with Sessions.over(place) as sessions, sessions.context("line", from_user()):
        with pytest.raises(Leased):
            async with sessions.context("line", from_user(), wait=0):
                raise AssertionError("another holds the session")


# --- opening and closing ----------------------------------------------------------------------------------------------


async def test_sessions_are_opened_and_closed(place: object) -> None:
    sessions = Sessions.over(place)
    with pytest.raises(StoreClosed, match="async with"):
        _ = sessions.store
    assert await sessions is sessions
    assert await sessions.connect() is sessions
    async with sessions.context("line", from_user()):
        pass
    await sessions.aclose()
    await sessions.aclose()
    with pytest.raises(StoreClosed):
        sessions.context("line", from_user())
    with pytest.raises(UsageError, match="not opened again"):
        await sessions.connect()


async def test_the_first_context_opens_them_once_for_all_who_wait() -> None:
    made: list[SessionStore] = []

    async def make() -> SessionStore:
        await asyncio.sleep(0)  # where another's event would come between
        made.append(SessionStore.open("memory://"))
        return made[-1]

    for place in (make, "memory://"):
        sessions = Sessions({"session": {"driver": "it", "stores": {"it": place}}, "initialState": {"count": 0}})

        async def handle(sessions: Sessions = sessions) -> None:
            async with sessions.context("line", from_user()) as context:
                await count(context)

        context = sessions.context("line", from_user())
        with pytest.raises(UsageError, match="async with"):
            context.set_state({"count": 1})
        await asyncio.gather(*(handle() for _ in range(5)))
        assert (await sessions.store.read(ID) or {})["_state"] == {"count": 5}
        await sessions.aclose()
        with pytest.raises(UsageError, match="not opened again"):
            async with context:
                raise AssertionError("they are closed")
    assert len(made) == 1


async def test_a_context_is_used_once() -> None:
    async with Sessions() as sessions:
        context = sessions.context("line", from_user())
        async with context:
            context.set_state({"count": 1})
        with pytest.raises(UsageError, match="used once"):
            async with context:
                raise AssertionError("it was used")


async def test_what_was_handed_in_stays_open() -> None:
    async with MemorySessionStore() as store:
        async with Sessions.over(store) as sessions, sessions.context("line", from_user()):
            pass
        assert await store.read(ID) is not None
    async with SessionStore.open("memory://") as ours:
        async with Sessions.over(ours) as sessions, sessions.context("line", from_user()):
            pass
        assert await ours.session(ID).exists()


async def test_a_store_of_ones_own_is_given_readable_sessions() -> None:
    own = OwnStore()
    first = Sessions.over(own, initial_state={"count": 0})
    async with first as sessions, sessions.context("line", from_user()) as context:
        await count(context)
    assert own.ready == 1
    kept = json.loads(own.texts[ID])
    assert (kept["id"], kept["platform"], kept["state"]) == (ID, "line", {"count": 1})
    async with Sessions.over(own) as sessions, sessions.context("line", from_user()) as context:
        assert context.state == {"count": 1}


async def test_no_store_is_refused() -> None:
    with pytest.raises(InvalidOption, match="store"):
        Sessions.over(object())
    with pytest.raises(InvalidOption, match="store"):
        Sessions.over(None)
