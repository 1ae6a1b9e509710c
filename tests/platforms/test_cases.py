"""Every sample case: what strict gives, what Bottender and its older versions give, as a mapping and as posted text."""

import json
from pathlib import Path
from urllib.parse import urlencode

import pytest

from gridsession.platforms import UnknownEvent, events, session_ids

CASES = json.loads(Path(__file__).with_name("cases.json").read_text("utf-8"))["cases"]
RULES = {"bottender-1.0.5": "1.0", "toolbot-core": "toolbot"}

# The identity functions serve the webhooks of our platforms; these systems have key functions of their own.
OF_A_PLATFORM = [case for case in CASES if case["system"] in ("bottender", "wce")]
OPENGRAM = [case for case in CASES if case["system"] == "opengram"]
BY_SCOPE = {"grammy": "chat", "telegraf": "user_in_chat"}
# grammY gives an event without a chat no session; here it is the user's.
NEIGHBOURS = [case for case in CASES if case["system"] in BY_SCOPE and case["expected"] != [None]]
NOT_OURS = {
    "botframework-activity-02",
    "botframework-activity-03",
    "botframework-activity-04",
    "botframework-activity-05",
    "aiogram-storage-key-01",
    "aiogram-storage-key-02",
    "grammy-telegram-04",
    "grammy-telegram-05",
}


def by_id(case):
    return case["id"]


def test_all_cases_are_tested_but_those_named():
    tested = {case["id"] for case in OF_A_PLATFORM + OPENGRAM + NEIGHBOURS}
    assert len(CASES) == 106
    assert {case["id"] for case in CASES} == tested | NOT_OURS


@pytest.mark.parametrize("case", OF_A_PLATFORM, ids=by_id)
def test_strict_gives_what_is_recommended(case):
    want = case["recommended"] if "recommended" in case else case["expected"]
    assert session_ids(case["platform"], case["request"], **case.get("options", {})) == want


@pytest.mark.parametrize("case", OF_A_PLATFORM, ids=by_id)
def test_bottender_mode_gives_what_the_system_gives(case):
    def ask():
        return session_ids(case["platform"], case["request"], mode="bottender", **case.get("options", {}))

    if "expected_error" in case:
        with pytest.raises(UnknownEvent):
            ask()
    else:
        assert ask() == case["expected"]


@pytest.mark.parametrize(
    ("case", "version"),
    [(case, version) for case in CASES for version in case.get("differs", {})],
    ids=lambda value: value if isinstance(value, str) else value["id"],
)
def test_older_rules_give_what_they_gave(case, version):
    want = case["differs"][version]
    if want == "TypeError":
        with pytest.raises(UnknownEvent):
            session_ids(case["platform"], case["request"], rules=RULES[version])
    else:
        assert session_ids(case["platform"], case["request"], rules=RULES[version]) == want


@pytest.mark.parametrize("mode", ["strict", "bottender"])
@pytest.mark.parametrize("case", [case for case in OF_A_PLATFORM if "expected" in case], ids=by_id)
def test_text_and_bytes_give_what_the_parsed_body_gives(case, mode):
    body, options = case["request"], {"mode": mode, **case.get("options", {})}
    parsed = events(case["platform"], body, **options)
    text = urlencode(body) if case.get("encoding") == "form" else json.dumps(body)
    assert events(case["platform"], text, **options) == parsed
    assert events(case["platform"], text.encode(), **options) == parsed


@pytest.mark.parametrize("case", OPENGRAM, ids=by_id)
def test_the_rules_of_opengram_give_its_bare_keys(case):
    assert session_ids("telegram", case["request"], rules="opengram") == case["expected"]


@pytest.mark.parametrize("case", NEIGHBOURS, ids=by_id)
def test_a_scope_gives_the_key_of_a_neighbour_after_the_platform(case):
    want = [f"telegram:{key}" for key in case["expected"]]
    assert session_ids("telegram", case["request"], scope=BY_SCOPE[case["system"]]) == want
