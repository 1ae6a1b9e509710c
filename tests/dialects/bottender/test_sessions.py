"""From a request to sessions: ids, who is recorded, expiry, deliveries that come twice, and many events at once."""

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
from gridsession.dialects.bottender import Context, Event, MemorySessionStore, Sessions
from gridsession.dialects.jawce import AsyncSessionManager
from gridsession.drivers.memory import MemoryDriver
from gridsession.errors import (
    InvalidInput,
    InvalidOption,
    InvalidSessionId,
    Leased,
    StoreClosed,
    UnknownEvent,
    UsageError,
)
from gridsession.testing.clock import ManualClock
from gridsession.testing.local_grid import LocalGrid
from tests.contract.servers import redis_server, running
from tests.dialects.stores import OwnStore, in_another_process, until

Make = Callable[..., Sessions]
ID = "line:U1"
MINUTE = 60.0


def from_user(user: str = "U1", text: str = "Hi", **more: Any) -> dict[str, Any]:
    """A LINE message of one user."""
    source = {"type": "user", "userId": user}
    return {"type": "message", "source": source, "message": {"type": "text", "text": text}, **more}


def posted(*events: dict[str, Any]) -> dict[str, Any]:
    """A LINE request."""
    return {"destination": "Ubot", "events": list(events)}


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A Redis of our own."""
    server = redis_server(tmp_path_factory.mktemp("redis"))
    with running(server):
        yield f"redis://127.0.0.1:{server.port}/0"


@pytest.fixture(params=["memory", pytest.param("grid", marks=pytest.mark.grid)])
def place(request: pytest.FixtureRequest, namespace: str) -> object:
    """Where sessions live."""
    if request.param == "memory":
        return MemoryDriver()
    grid: LocalGrid = request.getfixturevalue("grid")
    return f"{grid.url}?namespace={namespace}"


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


# --- ids --------------------------------------------------------------------------------------------------------------


async def test_ids_without_platform_are_shown_bare_and_kept_apart(place: object) -> None:
    message = {"from": "66812345678", "id": "wamid.1", "type": "text"}
    value = {
        "messaging_product": "whatsapp",
        "contacts": [{"wa_id": "66812345678"}],
        "messages": [message],
    }
    body = {"object": "whatsapp_business_account", "entry": [{"changes": [{"value": value}]}]}
    async with Sessions.over(place) as sessions:
        for event in (sessions.events("whatsapp-cloud", body)[0], message, body):
            async with sessions.context("whatsapp-cloud", event) as context:
                assert context.session is not None
                assert context.session.id == context.event.session_id == "66812345678"
                assert context.session.platform == context.platform == "whatsapp-cloud"
                context.set_state({"seen": context.state.get("seen", 0) + 1})
        assert (await sessions.store.read("66812345678") or {})["_state"] == {"seen": 3}
        async with sessions.context("whatsapp-cloud", message, session_id="66812345678") as context:
            assert context.state == {"seen": 3}
        # Whatever a number may look like, it is no other platform's session.
        async with sessions.context("whatsapp-cloud", {"from": "line:U1", "id": "wamid.2"}) as context:
            assert context.session is not None
            context.set_state({"seen": -1})
        assert await sessions.store.read("line:U1") is None
        assert (await sessions.store.read(context.session.id) or {})["_state"] == {"seen": -1}


async def test_a_bare_number_is_the_session_that_jawce_and_our_own_api_know(place: object) -> None:
    message = {"from": "66812345678", "id": "wamid.1", "type": "text"}
    async with Sessions.over(place, initial_state={"count": 0}) as sessions:
        ours = sessions.store.sessions
        async with AsyncSessionManager(ours) as manager:
            await manager.save("66812345678", "count", 4)
            await manager.save_prop("66812345678", "vip", True)
            async with sessions.context("whatsapp-cloud", message) as context:
                assert context.session is not None
                assert (context.session.id, context.session.vip) == ("66812345678", True)
                await count(context)
            assert await manager.get("66812345678", "count") == 5
        assert (await sessions.store.read("66812345678") or {})["_state"] == {"count": 5}
        assert await ours.session("whatsapp-cloud:66812345678").get("count") == 5
        assert [session_id async for session_id in ours.ids()] == ["whatsapp-cloud:66812345678"]


async def test_an_id_may_be_told() -> None:
    async with Sessions() as sessions:
        async with sessions.context("my-own", {"text": "Hi"}, session_id="my-own:7") as context:
            assert context.session is not None
            assert (context.session.id, context.platform, context.event.text) == ("my-own:7", "my-own", "Hi")
            assert context.session.user is None
            context.set_state({"count": 1})
        assert (await sessions.store.read("my-own:7") or {})["_state"] == {"count": 1}
        with pytest.raises(InvalidSessionId):
            sessions.context("my-own", {}, session_id="7")


@pytest.mark.parametrize(
    "options", [{}, {"tenant": True}, {"tenant": "shop"}, {"session_key_prefix": "whatsapp-cloud:"}, {"scope": "user"}]
)
async def test_a_store_finds_the_session_by_the_id_that_is_shown(options: Any) -> None:
    value = {"metadata": {"phone_number_id": "42"}, "messages": [{"from": "668", "id": "1"}]}
    cloud = {"object": "whatsapp_business_account", "entry": [{"changes": [{"value": value}]}]}
    async with Sessions(**options) as sessions:
        for platform, body in (("whatsapp-cloud", cloud), ("line", posted(from_user("a:b/c")))):
            async with sessions.context(platform, sessions.events(platform, body)[0]) as context:
                assert context.session is not None
                context.set_state({"platform": context.session.platform})
            found = await sessions.store.read(context.session.id)
            assert found is not None
            assert (found["id"], found["_state"]) == (context.session.id, {"platform": platform})


async def test_a_prefix_keeps_two_bots_apart(place: object) -> None:
    def channel(event: Event) -> str:
        return f"{event.destination}/"

    for prefix in ("Ubot/", channel):
        async with Sessions.over(place, session_key_prefix=prefix) as sessions:
            event = from_user("U1", destination="Ubot")
            assert [event.session_id for event in sessions.events("line", posted(event))] == ["line:Ubot/U1"]
            async with sessions.context("line", event) as context:
                assert context.session is not None
                assert context.session.id == "line:Ubot/U1"
                context.set_state({"count": context.state.get("count", 0) + 1})
            message = {"from": "668", "id": "1", "destination": "Ubot"}
            assert sessions.context("whatsapp-cloud", message).event.session_id == "Ubot/668"
            assert sessions.context("line", {"type": "x", "destination": "Ubot"}).event.session_id is None
    async with Sessions.over(place) as sessions:
        assert (await sessions.store.read("line:Ubot/U1") or {})["_state"] == {"count": 2}


@pytest.mark.parametrize("prefix", [None, 7, "a\nb", "x" * 513])
async def test_a_prefix_that_is_no_text_is_refused(prefix: Any) -> None:
    async with Sessions(session_key_prefix=lambda event: prefix) as sessions:
        with pytest.raises(InvalidOption, match="session_key_prefix"):
            sessions.context("line", from_user())


async def test_options_of_the_platforms_go_through() -> None:
    reply = {"type": "message", "channel": "C1", "user": "U1", "text": "Hi", "bot_id": "B1", "thread_ts": "1.2"}
    body = {"type": "event_callback", "team_id": "T1", "event": reply}
    group = {"type": "message", "source": {"type": "group", "groupId": "C1", "userId": "U1"}}
    nobody = {"type": "message", "source": {"type": "user"}}

    def ids(sessions: Sessions, platform: str, body: dict[str, Any]) -> list[str | None]:
        return [event.session_id for event in sessions.events(platform, body)]

    assert ids(Sessions(), "slack", body) == []
    assert ids(Sessions(include_bot_messages=True), "slack", body) == ["slack:C1"]
    assert ids(Sessions(include_bot_messages=True, scope="thread", tenant=True), "slack", body) == ["slack:T1:C1:1.2"]
    assert ids(Sessions(scope="user_in_chat"), "line", posted(group)) == ["line:U1:C1"]
    assert ids(Sessions(tenant=True), "line", posted(group)) == ["line:Ubot:C1"]
    assert ids(Sessions(), "line", posted(nobody)) == [None]
    assert ids(Sessions(mode="bottender"), "line", posted(nobody)) == ["line:undefined"]
    assert ids(Sessions(rules="toolbot"), "slack", {"event": {"type": "x"}}) == ["slack:U000000000"]
    async with (
        Sessions(mock_platform="telegram") as sessions,
        sessions.context("console", {"message": {"text": "Hi"}}) as context,
    ):
        assert context.session is not None
        assert (context.session.id, context.platform, context.session.user["name"]) == ("telegram:1", "telegram", "you")
    with pytest.raises(InvalidOption, match="opengram"):
        Sessions(rules="opengram").events("telegram", {"update_id": 1})


async def test_sessions_over_a_store_have_channels_too() -> None:
    body = {"type": "event_callback", "event": {"type": "message", "channel": "C1", "bot_id": "B1"}}
    sessions = Sessions.over("memory://", channels={"slack": {"include_bot_messages": True}})
    assert [event.session_id for event in sessions.events("slack", body)] == ["slack:C1"]


async def test_a_tenant_of_a_request_holds_for_its_events() -> None:
    async with Sessions(tenant=True) as sessions:
        event = sessions.events("line", posted(from_user("U1")))[0]
        async with sessions.context("line", event) as context:
            assert context.session is not None
            assert context.session.id == "line:Ubot:U1"


# --- who speaks -------------------------------------------------------------------------------------------------------

RECORDED: dict[str, tuple[str, dict[str, Any], dict[str, Any]]] = {
    "LINE user": ("line", from_user("U1"), {"type": "user", "user": "U1"}),
    "LINE group": (
        "line",
        {"type": "message", "source": {"type": "group", "groupId": "C1", "userId": "U1"}},
        {"type": "group", "user": "U1", "group": "C1"},
    ),
    "LINE room, no user": (
        "line",
        {"type": "join", "source": {"type": "room", "roomId": "R1"}},
        {"type": "room", "user": None, "room": "R1"},
    ),
    "Telegram private": (
        "telegram",
        {"update_id": 1, "message": {"chat": {"id": 5, "type": "private"}, "from": {"id": 5}}},
        {"user": 5},
    ),
    "Telegram group": (
        "telegram",
        {"update_id": 1, "edited_message": {"chat": {"id": -9, "type": "group"}, "from": {"id": 5}}},
        {"user": 5, "group": -9},
    ),
    "Telegram supergroup": (
        "telegram",
        {"update_id": 1, "message": {"chat": {"id": -9, "type": "supergroup"}, "from": {"id": 5}}},
        {"user": 5},
    ),
    "Telegram button": (
        "telegram",
        {"update_id": 1, "callback_query": {"message": {"chat": {"id": -9, "type": "group"}}, "from": {"id": 5}}},
        {"user": 5, "group": -9},
    ),
    "Telegram channel": (
        "telegram",
        {"update_id": 1, "channel_post": {"chat": {"id": -100, "type": "channel"}}},
        {"channel": -100},
    ),
    "Slack event": (
        "slack",
        {"type": "event_callback", "team_id": "T1", "event": {"type": "message", "channel": "C1", "user": "U1"}},
        {"user": "U1", "channel": "C1", "team": "T1"},
    ),
    "Slack action": (
        "slack",
        {"type": "block_actions", "user": {"id": "U1"}, "channel": {"id": "C1"}, "team": {"id": "T1"}},
        {"user": "U1", "channel": "C1", "team": "T1"},
    ),
    "Slack modal": (
        "slack",
        {"type": "view_submission", "user": {"id": "U1"}, "view": {"private_metadata": '{"channelId": "C1"}'}},
        {"user": "U1", "channel": "C1"},
    ),
    "Slack home": (
        "slack",
        {
            "type": "event_callback",
            "event": {"type": "app_home_opened", "user": "U1", "view": {"private_metadata": "{"}},
        },
        {"user": "U1"},
    ),
    "Messenger": (
        "messenger",
        {"sender": {"id": "1"}, "recipient": {"id": "2"}, "message": {"text": "Hi"}},
        {"user": "1", "page": "2"},
    ),
    "Messenger echo": (
        "messenger",
        {"sender": {"id": "2"}, "recipient": {"id": "1"}, "message": {"is_echo": True}},
        {"user": "1", "page": "2"},
    ),
    "Viber": ("viber", {"event": "message", "sender": {"id": "v1", "name": "Tim"}}, {"user": "v1"}),
    "Viber receipt": ("viber", {"event": "seen", "user_id": "v1", "message_token": 1}, {"user": "v1"}),
    "Viber start": ("viber", {"event": "conversation_started", "user": {"id": "v1"}}, {"user": "v1"}),
    "Twilio": ("whatsapp", {"SmsStatus": "received", "From": "whatsapp:+1", "To": "x"}, {"user": "whatsapp:+1"}),
    "Twilio status": ("whatsapp", {"SmsStatus": "sent", "From": "x", "To": "whatsapp:+1"}, {"user": "whatsapp:+1"}),
    "WhatsApp Cloud": ("whatsapp-cloud", {"from": "668", "id": "1"}, {"user": "668"}),
    "console": ("console", {"message": {"text": "Hi"}}, {"user": "1"}),
}
PARTS = ("type", "user", "group", "room", "channel", "team", "page")


@pytest.mark.parametrize(("platform", "event", "recorded"), RECORDED.values(), ids=RECORDED.keys())
async def test_who_speaks_and_where_is_recorded(platform: str, event: dict[str, Any], recorded: dict[str, Any]) -> None:
    async with Sessions() as sessions:
        async with sessions.context(platform, event) as context:
            assert context.session is not None
            shown = {name: getattr(context.session, name) for name in PARTS if name in context.session}
        found = await sessions.store.read(context.session.id)
        assert found is not None
        assert {name: found[name] for name in PARTS if name in found} == shown
        for part in shown.values():
            if isinstance(part, dict):
                assert dt.datetime.fromisoformat(part["_updatedAt"]).tzinfo is not None
                assert part.get("members", []) == []
        ids = {name: part["id"] if isinstance(part, dict) else part for name, part in shown.items()}
        assert ids == recorded
        assert all(getattr(context.session, name) is None for name in PARTS if name not in recorded)


async def test_what_an_earlier_writer_recorded_stays(place: object) -> None:
    """LINE's users and Slack's are recorded when they are new, and members of a group are LINE's to tell."""
    group = {"type": "message", "source": {"type": "group", "groupId": "C1", "userId": "U2"}}
    slack = {"type": "event_callback", "event": {"type": "message", "channel": "C1", "user": "U1"}}
    members = [{"id": "U1"}, {"id": "U2"}]
    before = {"id": "U1", "displayName": "Tim", "_updatedAt": "2020-01-01T00:00:00.000Z"}
    async with Sessions.over(place) as sessions:
        await sessions.store.write("line:U1", {"user": before})
        await sessions.store.write(
            "line:C1", {"type": "group", "user": before, "group": {"id": "C1", "members": members}}
        )
        await sessions.store.write("slack:C1", {"user": before})
        async with sessions.context("line", from_user("U1")) as context:
            assert context.session is not None
            assert context.session.user == before
        async with sessions.context("line", group) as context:
            assert context.session is not None
            assert (context.session.user["id"], context.session.group["members"]) == ("U2", members)
        async with sessions.context("slack", slack) as context:
            assert context.session is not None
            assert (context.session.user, context.session.channel) == (before, None)
        slack["event"]["user"] = "U2"  # type: ignore[index]  # a dict in there
        async with sessions.context("slack", slack) as context:
            assert context.session is not None
            assert (context.session.user["id"], context.session.channel["id"]) == ("U2", "C1")


async def test_the_last_speaker_of_a_group_is_its_user(place: object) -> None:
    async with Sessions.over(place) as sessions:
        for user in ("U1", "U2"):
            event = {"type": "message", "source": {"type": "group", "groupId": "C1", "userId": user}}
            async with sessions.context("line", event) as context:
                assert context.session is not None
                assert (context.session.id, context.session.user["id"]) == ("line:C1", user)


@pytest.mark.parametrize("odd", [{"a": 1}, ["x"], True, 1.5, None, "", "x" * 600, 1 << 70])
async def test_what_is_no_id_is_not_recorded(odd: object) -> None:
    update = {"update_id": 1, "message": {"chat": {"id": 5, "type": "group"}, "from": {"id": odd}}}
    async with Sessions() as sessions, sessions.context("telegram", update) as context:
        assert context.session is not None
        assert (context.session.user, context.session.group["id"]) == (None, 5)


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
