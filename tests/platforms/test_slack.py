"""Slack: the rules where the sample cases are silent."""

import json
from urllib.parse import urlencode

import pytest

from gridsession.platforms import UnknownEvent, events, message_id, session_ids

TEAM, CHANNEL, USER = "T0AAA0001", "C0AAA0001", "U0AAA0001"


def body(**event):
    event = {"type": "message", "user": USER, "channel": CHANNEL, "ts": "1.1", **event}
    present = {name: value for name, value in event.items() if value is not None}
    return {"type": "event_callback", "team_id": TEAM, "event_id": "Ev1", "event": present}


def payload(**fields):
    fields = {"type": "block_actions", "team": {"id": TEAM}, "user": {"id": USER}, "trigger_id": "1.2.a", **fields}
    return {"payload": json.dumps(fields)}


COMMAND = {
    "command": "/order",
    "text": "two",
    "team_id": TEAM,
    "channel_id": CHANNEL,
    "user_id": USER,
    "trigger_id": "1.2.b",
}


def test_a_slash_command_is_its_channels():
    for mode in ("strict", "bottender"):
        assert session_ids("slack", COMMAND, mode=mode) == [f"slack:{CHANNEL}"]
        assert session_ids("slack", urlencode(COMMAND), mode=mode) == [f"slack:{CHANNEL}"]


@pytest.mark.parametrize(
    ("holds", "strict", "bottender"),
    [
        ({"item": {"type": "message", "channel": "C9"}, "channel": None}, "C9", "C9"),
        ({"item": {"channel": "C9"}, "channel_id": "C8", "channel": None}, "C8", "C8"),
        ({"user": {"id": "U5"}, "channel": None}, "U5", "[object Object]"),
        ({"user": None, "channel": None}, None, None),
        ({"channel": ""}, USER, USER),
        ({"channel": {}}, USER, "[object Object]"),
        ({"channel": "C 1"}, USER, "C 1"),
        ({"channel": 7}, USER, "7"),
        ({"assistant_thread": {"channel_id": "D1", "thread_ts": "1.1", "user_id": "U7"}, "channel": None}, "D1", USER),
        ({"user": None, "channel": None, "subtype": "message_changed", "message": {"user": "U7"}}, "U7", None),
    ],
)
def test_where_an_event_comes_from(holds, strict, bottender):
    assert session_ids("slack", body(**holds)) == [strict and f"slack:{strict}"]
    assert session_ids("slack", body(**holds), mode="bottender") == [bottender and f"slack:{bottender}"]


@pytest.mark.parametrize(
    ("metadata", "strict", "bottender"),
    [
        ('{"channelId": "C7"}', "C7", "C7"),
        ('{"channel_id": "C7"}', USER, USER),
        ('{"channelId": null}', USER, USER),
        ('{"channelId": 7}', USER, "7"),
        ('"C7"', USER, USER),
        ("[]", USER, USER),
        ("null", USER, UnknownEvent),
        ("order-42", USER, UnknownEvent),
        ("[" * 100_000, USER, UnknownEvent),
        ({}, USER, USER),
    ],
)
def test_a_modal_is_its_channels_if_its_metadata_says_so(metadata, strict, bottender):
    posted = payload(type="view_submission", view={"type": "modal", "private_metadata": metadata})
    if metadata == {}:
        bottender = UnknownEvent  # JSON.parse of an object parses its text
    assert session_ids("slack", posted) == [f"slack:{strict}"]
    if bottender is UnknownEvent:
        with pytest.raises(UnknownEvent):
            session_ids("slack", posted, mode="bottender")
    else:
        assert session_ids("slack", posted, mode="bottender") == [f"slack:{bottender}"]


def test_a_button_below_an_ephemeral_message_is_the_channels():
    posted = payload(container={"type": "message", "channel_id": CHANNEL, "is_ephemeral": True})
    assert session_ids("slack", posted) == [f"slack:{CHANNEL}"]
    assert session_ids("slack", posted, mode="bottender") == [f"slack:{USER}"]


@pytest.mark.parametrize("mode", ["strict", "bottender"])
@pytest.mark.parametrize("by", [{"bot_id": "B1"}, {"subtype": "bot_message"}])
def test_what_bots_post_is_dropped_unless_asked_for(by, mode):
    assert session_ids("slack", body(**by), mode=mode) == []
    assert session_ids("slack", body(**by), mode=mode, include_bot_messages=False) == []
    assert session_ids("slack", body(**by), mode=mode, include_bot_messages=True) == [f"slack:{CHANNEL}"]


@pytest.mark.parametrize(
    ("posted", "scope", "want"),
    [
        (body(thread_ts="9.9"), "thread", f"{CHANNEL}:9.9"),
        (body(), "thread", CHANNEL),
        (body(subtype="message_changed", message={"thread_ts": "9.9"}), "thread", f"{CHANNEL}:9.9"),
        (payload(container={"channel_id": CHANNEL, "thread_ts": "9.9"}), "thread", f"{CHANNEL}:9.9"),
        (payload(), "thread", USER),
        (body(), "user", USER),
        (body(), "user_in_chat", f"{USER}:{CHANNEL}"),
        (body(channel=None), "user_in_chat", None),
        (body(user=None), "user", None),
        (COMMAND, "user_in_chat", f"{USER}:{CHANNEL}"),
    ],
)
def test_the_scope_says_whose_session_it_is(posted, scope, want):
    assert session_ids("slack", posted, scope=scope) == [want and f"slack:{want}"]


@pytest.mark.parametrize(
    ("posted", "team"),
    [
        (body(), TEAM),
        (payload(), TEAM),
        (COMMAND, TEAM),
        ({"type": "message", "channel": CHANNEL, "team": TEAM}, TEAM),
        (payload(team=None, enterprise={"id": "E1"}), "E1"),
        ({"type": "message", "channel": CHANNEL}, None),
    ],
)
def test_the_tenant_of_a_body_is_its_team(posted, team):
    key = USER if "payload" in posted else CHANNEL
    assert session_ids("slack", posted, tenant=True) == [team and f"slack:{team}:{key}"]


@pytest.mark.parametrize(
    ("wrong", "missing"),
    [
        ({}, "event, payload, command or type"),
        ({"payload": 5}, "event, payload, command or type"),
        ({"payload": "order-42"}, "JSON text in UTF-8"),
        ({"payload": "[]"}, "a JSON object"),
        ({"type": "event_callback"}, "event"),
        ({"event": None}, "event"),
        ({"event": "x"}, "event"),
    ],
)
def test_a_wrong_envelope_is_refused_with_what_it_lacks(wrong, missing):
    with pytest.raises(UnknownEvent, match="slack") as caught:
        session_ids("slack", wrong)
    assert (caught.value.platform, caught.value.missing) == ("slack", missing)


def test_a_body_that_is_no_event_has_no_session():
    assert session_ids("slack", {"type": "url_verification", "challenge": "c", "token": "t"}) == [None]


def test_the_event_is_the_whole_body_or_the_parsed_payload():
    assert events("slack", body()) == [(f"slack:{CHANNEL}", body())]
    assert events("slack", payload())[0][1] == json.loads(payload()["payload"])
    assert events("slack", COMMAND)[0][1] == COMMAND


def test_the_payloads_of_socket_mode_are_taken():
    envelope = {"envelope_id": "e", "type": "events_api", "payload": body()}
    assert events("slack", envelope) == [(f"slack:{CHANNEL}", body())]
    assert session_ids("slack", {"type": "slash_commands", "payload": COMMAND}) == [f"slack:{CHANNEL}"]


def test_toolbot_knows_channels_by_name_only():
    assert session_ids("slack", body(), rules="toolbot") == [f"slack:{CHANNEL}"]
    assert session_ids("slack", body(channel={"id": "C9"}), rules="toolbot") == ["slack:U000000000"]
    with pytest.raises(UnknownEvent):
        session_ids("slack", COMMAND, rules="toolbot")


def test_older_rules_have_no_session_without_a_channel():
    for rules in ("0.15", "1.0"):
        assert session_ids("slack", body(channel=None), rules=rules) == [None]


def test_the_message_id_is_that_of_the_event_or_the_interaction():
    assert message_id("slack", body()) == "Ev1"
    assert message_id("slack", json.loads(payload()["payload"])) == "1.2.a"
    assert message_id("slack", COMMAND) == "1.2.b"
    assert message_id("slack", {"type": "message"}) is None
