"""One event by itself: the same id as in its body."""

import json
from pathlib import Path

import pytest

from gridsession.errors import InvalidInput
from gridsession.platforms import UnknownEvent, events, one_event

CASES = [
    case
    for case in json.loads(Path(__file__).with_name("cases.json").read_text("utf-8"))["cases"]
    if case["system"] in ("bottender", "wce")
]
CONTACT = {"wa_id": "5511987654321"}
MESSAGE = {"from": "551187654321", "id": "wamid.1", "type": "text"}


def by_id(case):
    return case["id"]


@pytest.mark.parametrize("mode", ["strict", "bottender"])
@pytest.mark.parametrize("case", CASES, ids=by_id)
def test_an_event_alone_has_the_id_it_has_in_its_body(case, mode):
    options = {"mode": mode, **case.get("options", {})}
    try:
        found = events(case["platform"], case["request"], **options)
    except UnknownEvent:
        return
    for session_id, event in found:
        assert one_event(case["platform"], event, **options) == (session_id, event)


@pytest.mark.parametrize("case", [case for case in CASES if "expected" in case], ids=by_id)
def test_a_body_is_taken_if_it_holds_one_event(case):
    platform, body, options = case["platform"], case["request"], case.get("options", {})
    found = events(platform, body, **options)
    if len(found) == 1:
        assert one_event(platform, body, **options) == found[0]
        if case.get("encoding") != "form":
            assert one_event(platform, json.dumps(body).encode(), **options) == found[0]
    else:
        with pytest.raises(UnknownEvent if not found else InvalidInput, match=r"events\(\)"):
            one_event(platform, body, **options)


@pytest.mark.parametrize(
    "platform", ["line", "messenger", "facebook", "telegram", "viber", "whatsapp", "whatsapp-cloud"]
)
@pytest.mark.parametrize("odd", [{}, {"events": 1}, {"entry": None}, {"x": [1]}, "[]", b"\xff", 7, None])
def test_what_is_no_event_is_unknown_or_nobodys(platform, odd):
    found: str | None = None
    try:
        found = one_event(platform, odd)[0]
    except UnknownEvent as error:
        assert error.platform == platform  # noqa: PT017 - either will do
    assert found is None


def test_what_only_the_body_tells_is_not_known_of_an_event_alone():
    event = {"type": "message", "source": {"type": "user", "userId": "U1"}}
    assert one_event("line", {"destination": "Ubot", "events": [event]}, tenant=True)[0] == "line:Ubot:U1"
    assert one_event("line", event, tenant=True)[0] is None
    value = {"contacts": [CONTACT], "messages": [MESSAGE]}
    body = {"object": "whatsapp_business_account", "entry": [{"changes": [{"value": value}]}]}
    assert one_event("whatsapp-cloud", body)[0] == "5511987654321"
    assert one_event("whatsapp-cloud", MESSAGE)[0] == "551187654321"
