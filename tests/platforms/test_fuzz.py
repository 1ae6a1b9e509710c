"""Untrusted bodies: whatever comes, there are ids or an `UnknownEvent`, and nothing of the body in the error."""

import json
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gridsession.errors import InvalidInput, InvalidOption
from gridsession.platforms import UnknownEvent, events, message_id, session_ids

PLATFORMS = ["console", "facebook", "line", "messenger", "slack", "telegram", "viber", "whatsapp", "whatsapp-cloud"]
FORMS = {"slack", "whatsapp"}
HEADS = {"whatsapp-cloud": ""}
STRICT = [{}, *({"scope": scope} for scope in ("user", "user_in_chat", "thread")), {"tenant": "t:1"}]
RULES = {
    **dict.fromkeys(("line", "messenger", "slack", "console"), ("1.5", "1.0", "0.15", "toolbot")),
    "telegram": ("1.5", "1.0", "0.15", "toolbot", "opengram"),
    "viber": ("1.5", "1.0", "0.15"),
}
ALL_OPTIONS = {
    platform: [
        *STRICT,
        *([] if platform in ("console", "telegram", "viber") else [{"tenant": True}]),
        {"mode": "bottender"},
        *({"rules": rules} for rules in RULES.get(platform, ())),
    ]
    for platform in PLATFORMS
}
REQUESTS = [
    (case["platform"], case["request"])
    for case in json.loads(Path(__file__).with_name("cases.json").read_text("utf-8"))["cases"]
    if case["platform"] in PLATFORMS
]
WORDS = ["type", "source", "userId", "groupId", "user", "group", "events", "event", "payload", "channel", "view"]
WORDS += ["update_id", "message", "chat", "from", "id", "callback_query", "poll", "item", "private_metadata", "user_id"]
WORDS += ["entry", "messaging", "standby", "changes", "sender", "recipient", "object", "page", "value", "messages"]
WORDS += ["contacts", "wa_id", "SmsStatus", "received", "From", "To", "seen", "bot_id", "subtype", "team"]

# The first draws may take long on a busy machine; that says nothing about the code under test.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

texts = st.text(alphabet='aU1:/"\\{[ \0\n\u00e9\u200b\ud800\U0001d4b3', max_size=8)
names = st.one_of(st.sampled_from(WORDS), texts)
leaves = st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), names)
values = st.recursive(
    leaves,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(names, inner, max_size=4)),
    max_leaves=12,
)


@st.composite
def mangled(draw):
    """A true body, one part of it lost or replaced, and options to ask with."""
    platform, request = draw(st.sampled_from(REQUESTS))
    body = json.loads(json.dumps(request))
    place = body
    while True:
        fields = list(place) if isinstance(place, dict) else list(range(len(place)))
        field = draw(st.sampled_from(fields))
        if not (isinstance(place[field], (dict, list)) and place[field]) or draw(st.booleans()):
            break
        place = place[field]
    if draw(st.booleans()):
        place[field] = draw(values)
    else:
        del place[field]
    return platform, body, draw(st.sampled_from(ALL_OPTIONS[platform]))


def check(platform, body, options):
    """Ask for the ids and judge them; a refusal is fine, any other error is not."""
    try:
        pairs = events(platform, body, **options)
    except UnknownEvent:
        return
    assert session_ids(platform, body, **options) == [session_id for session_id, _ in pairs]
    bare = platform in HEADS or options.get("rules") == "opengram"
    for session_id, event in pairs:
        own = message_id(platform, event)
        assert own is None or (isinstance(own, str) and own)
        if session_id is None:
            continue
        name, key = (platform, session_id) if bare else session_id.split(":", 1)
        assert name == platform
        if "mode" not in options and "rules" not in options:
            assert key
            assert key.isascii()
            assert key.isprintable()
            assert len(key) <= 256 * 3 * 3 + 512


@settings(patient, max_examples=600)
@given(asked=mangled())
def test_a_mangled_body_gives_ids_or_unknown_event(asked):
    check(*asked)


@pytest.mark.parametrize("platform", PLATFORMS)
@patient
@given(body=values, number=st.integers(min_value=0))
def test_any_parsed_value_gives_ids_or_unknown_event(body, number, platform):
    options = ALL_OPTIONS[platform]
    check(platform, body, options[number % len(options)])


@pytest.mark.parametrize("platform", PLATFORMS)
@patient
@given(body=st.one_of(st.binary(max_size=64), texts, values.map(json.dumps), st.sampled_from(["payload=", "a=%"])))
def test_any_text_gives_ids_or_unknown_event(body, platform):
    check(platform, body, {})


@pytest.mark.parametrize("encode", [str, json.dumps])
@patient
@given(payload=values)
def test_any_payload_of_slack_gives_ids_or_unknown_event(payload, encode):
    for options in ALL_OPTIONS["slack"]:
        check("slack", {"payload": encode(payload)}, options)
        check("slack", {"type": "view_closed", "view": {"private_metadata": encode(payload)}}, options)


@pytest.mark.parametrize("platform", PLATFORMS)
@patient
@given(event=values)
def test_message_id_never_raises(event, platform):
    assert message_id(platform, event) is None or isinstance(event, dict)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"{",
        b"\xff\xfe{}",
        b'{"update_id": NaN}',
        b'{"update_id": ' + b"9" * 5000 + b"}",
        "[" * 1_000_000,
        '{"a":' * 100_000,
        '{"update_id": 1, "message": ' + "[" * 64 + "]" * 64 + "}",
        b'{"update_id": 1, "message": "' + b"x" * (1 << 20) + b'"}',
        None,
        7,
        object(),
    ],
    ids=lambda body: f"{type(body).__name__}-{len(body) if hasattr(body, '__len__') else ''}",
)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_body_that_cannot_be_read_is_refused(body, platform):
    with pytest.raises(UnknownEvent, match=platform):
        session_ids(platform, body)


def test_depth_is_counted_in_brackets_that_nest_not_in_brackets():
    wide = {"update_id": 1, "message": {"chat": {"id": 5}, "text": "[{" * 200, "entities": [{}] * 200}}
    assert session_ids("telegram", json.dumps(wide)) == ["telegram:5"]
    allowed = '{"update_id": 1, "poll": ' + "[" * 63 + "]" * 63 + "}"
    assert session_ids("telegram", allowed) == [None]


def test_a_list_that_holds_itself_ends():
    endless: list[object] = []
    endless.append(endless)
    posted = {"update_id": 1, "message": {"chat": {"id": endless}}}
    assert session_ids("telegram", posted) == [None]
    with pytest.raises(UnknownEvent):
        session_ids("telegram", posted, mode="bottender")


@pytest.mark.parametrize("platform", [None, 7, [], "", "lin", "LINE", "line\n"])
def test_an_unknown_platform_is_refused_with_the_known_ones(platform):
    for call in (lambda: session_ids(platform, {}), lambda: message_id(platform, {})):
        with pytest.raises(InvalidOption, match=", ".join(PLATFORMS)):
            call()


@pytest.mark.parametrize("mode", [None, 7, [], "", "Strict"])
def test_an_unknown_mode_is_refused(mode):
    with pytest.raises(InvalidOption, match="mode"):
        session_ids("line", {"events": []}, mode=mode)


def test_an_error_shows_nothing_of_the_body():
    parsed = {"events": "hunter2", "object": "hunter2", "SmsStatus": ["hunter2"]}
    for body in (parsed, b'{"secret": "hunter2"', b'{"secret": "hunter2"}', '"hunter2"', "payload=hunter2"):
        for platform in PLATFORMS:
            with pytest.raises(InvalidInput) as caught:
                session_ids(platform, body)
            assert "hunter2" not in f"{caught.value} {caught.value!r}"
            assert caught.value.__cause__ is None
            assert caught.value.__suppress_context__ or caught.value.__context__ is None
