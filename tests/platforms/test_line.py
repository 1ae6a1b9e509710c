"""LINE: the sample cases in both modes, and the rules where the samples are silent."""

import json
from pathlib import Path

import pytest

from gridsession.errors import InvalidOption
from gridsession.platforms import UnknownEvent, events, message_id, session_ids

CASES = [
    case
    for case in json.loads(Path(__file__).with_name("cases.json").read_text("utf-8"))["cases"]
    if case["platform"] == "line"
]
USER = "U1111aaaa2222bbbb3333cccc4444dddd"


def body(*received):
    return {"destination": "U0", "events": list(received)}


def event(source, **more):
    return {"type": "message", "source": source, "message": {"id": "1001", "type": "text", "text": "hi"}, **more}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_strict_gives_what_is_recommended(case):
    want = case["recommended"] if "recommended" in case else case["expected"]
    assert session_ids("line", case["request"], **case.get("options", {})) == want


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_bottender_mode_gives_what_bottender_gives(case):
    options = case.get("options", {})
    if "expected_error" in case:
        with pytest.raises(UnknownEvent):
            session_ids("line", case["request"], mode="bottender", **options)
    else:
        assert session_ids("line", case["request"], mode="bottender", **options) == case["expected"]


@pytest.mark.parametrize("encoded", [json.dumps, lambda parsed: json.dumps(parsed).encode()], ids=["str", "bytes"])
@pytest.mark.parametrize("case", CASES, ids=lambda case: case["id"])
def test_text_and_bytes_give_what_the_parsed_body_gives(case, encoded):
    options = case.get("options", {})
    assert events("line", encoded(case["request"]), **options) == events("line", case["request"], **options)


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


@pytest.mark.parametrize("prefix", [None, 1, ["a"], "a\0", "\ud800", "p" * 513])
def test_a_prefix_that_is_no_text_is_refused(prefix):
    with pytest.raises(InvalidOption, match="session_key_prefix"):
        session_ids("line", body(), session_key_prefix=prefix)


def test_an_unknown_option_is_refused_by_name():
    with pytest.raises(InvalidOption, match=r"line .*'scope'.*session_key_prefix"):
        session_ids("line", body(), scope="user")


def test_the_message_id_is_that_of_the_delivery():
    source = {"type": "user", "userId": "U1"}
    assert message_id("line", event(source, webhookEventId="01HTESTWEBHOOKEVENT")) == "01HTESTWEBHOOKEVENT"
    assert message_id("line", event(source)) == "1001", "older events have the message's own id only"
    assert message_id("line", event(source, type="messageEdited")) is None, "an edit repeats the message's id"
    assert message_id("line", {"type": "follow", "source": source}) is None
