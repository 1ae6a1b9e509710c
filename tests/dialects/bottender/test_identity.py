"""Which session an event belongs to, what it is called, and who is recorded to have spoken there."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import pytest

from gridsession.dialects.bottender import Event, Sessions
from gridsession.dialects.jawce import AsyncSessionManager
from gridsession.errors import (
    InvalidOption,
    InvalidSessionId,
)
from tests.dialects.bottender.requests import from_user, posted

Make = Callable[..., Sessions]
ID = "line:U1"
MINUTE = 60.0


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
                context.set_state({"count": context.state["count"] + 1})
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
