"""LINE: the rules where the sample cases are silent."""

import pytest

from gridsession.platforms import UnknownEvent, events, message_id, session_ids

USER = "U1111aaaa2222bbbb3333cccc4444dddd"


def body(*received):
    return {"destination": "U0", "events": list(received)}


def event(source, **more):
    return {"type": "message", "source": source, "message": {"id": "1001", "type": "text", "text": "hi"}, **more}


@pytest.mark.parametrize(
    ("source", "strict", "bottender"),
    [
        ({"type": "room", "roomId": "R1", "userId": USER}, "line:R1", "line:R1"),
        ({"type": "user"}, None, "line:undefined"),
        ({"type": "group", "userId": USER}, None, "line:undefined"),
        ({"type": "user", "userId": None}, None, "line:null"),
        ({"type": "user", "userId": {}}, None, "line:[object Object]"),
        ({"type": "user", "userId": ["U1", None, 2]}, None, "line:U1,,2"),
        ({"type": "user", "userId": True}, None, "line:true"),
        ({"type": "user", "userId": 1e21}, None, "line:1e+21"),
        ({"type": "user", "userId": ""}, None, None),
        ({"type": "user", "userId": "U 1"}, None, "line:U 1"),
        ({"type": "user", "userId": "U1\u200b"}, None, "line:U1\u200b"),
    ],
)
def test_an_odd_source_is_none_in_strict_and_as_odd_as_bottender_makes_it(source, strict, bottender):
    assert session_ids("line", body(event(source))) == [strict]
    assert session_ids("line", body(event(source)), mode="bottender") == [bottender]


def test_a_prefix_without_a_key_is_a_session_in_bottender_only():
    sourceless = body(event({"type": "user", "userId": ""}))
    assert session_ids("line", sourceless, session_key_prefix="1:") == [None]
    assert session_ids("line", sourceless, mode="bottender", session_key_prefix="1:") == ["line:1:"]


def test_events_pairs_each_id_with_its_own_event():
    first, second = event({"type": "user", "userId": "U1"}), event({"type": "room", "roomId": "R1"})
    assert events("line", body(first, second)) == [("line:U1", first), ("line:R1", second)]


@pytest.mark.parametrize(
    ("wrong", "missing"),
    [
        ({}, "events"),
        ({"events": {}}, "events"),
        ({"update_id": 1, "message": {}}, "events"),
        ({"events": [None]}, "events[0]"),
        ({"events": [event({"type": "user", "userId": "U1"}), "x"]}, "events[1]"),
    ],
)
@pytest.mark.parametrize("mode", ["strict", "bottender"])
def test_a_wrong_envelope_is_refused_with_what_it_lacks(wrong, missing, mode):
    with pytest.raises(UnknownEvent, match="line") as caught:
        session_ids("line", wrong, mode=mode)
    assert (caught.value.platform, caught.value.missing) == ("line", missing)


GROUP = {"type": "group", "groupId": "C1", "userId": USER}


@pytest.mark.parametrize(
    ("source", "scope", "want"),
    [
        (GROUP, "chat", "line:C1"),
        (GROUP, "user", f"line:{USER}"),
        (GROUP, "user_in_chat", f"line:{USER}:C1"),
        (GROUP, "thread", "line:C1"),
        ({"type": "user", "userId": USER}, "user", f"line:{USER}"),
        ({"type": "user", "userId": USER}, "user_in_chat", f"line:{USER}:{USER}"),
        ({"type": "group", "groupId": "C1"}, "user", None),
        ({"type": "group", "groupId": "C1"}, "user_in_chat", None),
        ({"type": "square", "userId": USER}, "user", None),
    ],
)
def test_the_scope_says_whose_session_it_is(source, scope, want):
    assert session_ids("line", body(event(source)), scope=scope) == [want]


def test_the_tenant_of_a_body_is_the_bot_it_is_for():
    assert session_ids("line", body(event(GROUP)), tenant=True) == ["line:U0:C1"]
    assert session_ids("line", {"events": [event(GROUP)]}, tenant=True) == [None]


@pytest.mark.parametrize(("rules", "want"), [("0.15", []), ("1.0", UnknownEvent), ("toolbot", UnknownEvent)])
def test_a_body_without_events_under_older_rules(rules, want):
    if want is UnknownEvent:
        with pytest.raises(UnknownEvent):
            session_ids("line", body(), rules=rules)
    else:
        assert session_ids("line", body(), rules=rules) == want


def test_only_toolbot_handles_the_dummy_events():
    dummy = event({"type": "user", "userId": "Udead"}, replyToken="0" * 32)
    assert session_ids("line", body(dummy), rules="toolbot") == ["line:Udead"]
    for rules in ("0.15", "1.0", "1.5"):
        assert session_ids("line", body(dummy), rules=rules) == []


def test_the_message_id_is_that_of_the_delivery():
    source = {"type": "user", "userId": "U1"}
    assert message_id("line", event(source, webhookEventId="01HTESTWEBHOOKEVENT")) == "01HTESTWEBHOOKEVENT"
    assert message_id("line", event(source)) == "1001", "older events have the message's own id only"
    assert message_id("line", event(source, type="messageEdited")) is None, "an edit repeats the message's id"
    assert message_id("line", {"type": "follow", "source": source}) is None
