"""Messenger and Facebook: the rules where the sample cases are silent."""

import pytest

from gridsession.platforms import UnknownEvent, events, message_id, session_ids

PAGE, ANN, BOB = "1895000000692545", "1412000000105802", "1511000000999999"


def said(person=ANN, **more):
    return {"sender": {"id": person}, "recipient": {"id": PAGE}, "message": {"mid": "m_1", "text": "hi"}, **more}


def body(*entries):
    return {"object": "page", "entry": [{"id": PAGE, "time": 1, **entry} for entry in entries]}


ECHO = {"sender": {"id": PAGE}, "recipient": {"id": ANN}, "message": {"mid": "m_2", "is_echo": True, "text": "hi"}}


def test_an_entry_of_several_events_is_several_in_strict_and_its_first_in_bottender():
    posted = body({"messaging": [said(ANN), said(BOB)], "standby": [ECHO]})
    assert session_ids("messenger", posted) == [f"messenger:{person}" for person in (ANN, BOB, ANN)]
    assert session_ids("messenger", posted, mode="bottender") == [f"messenger:{ANN}"]


def test_events_pairs_each_id_with_its_own_event():
    first, second = said(ANN), said(BOB)
    posted = body({"messaging": [first]}, {"changes": [{"field": "feed"}]}, {"messaging": [second]})
    assert events("messenger", posted) == [(f"messenger:{ANN}", first), (f"messenger:{BOB}", second)]


def test_an_echo_without_recipient_is_nobodys_and_in_bottender_the_pages():
    lost = {"sender": {"id": PAGE}, "message": {"is_echo": True}}
    assert session_ids("messenger", body({"messaging": [lost]})) == [None]
    assert session_ids("messenger", body({"messaging": [lost]}), mode="bottender") == [f"messenger:{PAGE}"]


def test_an_event_posted_bare_is_taken():
    for options in ({}, *({"rules": rules} for rules in ("0.15", "1.0", "1.5", "toolbot"))):
        assert session_ids("messenger", said(), **options) == [f"messenger:{ANN}"]


@pytest.mark.parametrize(
    ("wrong", "missing"),
    [
        ({}, "entry"),
        ({"object": "page"}, "entry"),
        ({"object": "page", "entry": {}}, "entry"),
        ({"object": "page", "entry": [None]}, "entry[0]"),
        ({"object": "whatsapp_business_account", "entry": []}, "object page"),
        (body({"messaging": [said()]}, {"messaging": None}), "entry[1].messaging"),
        (body({"standby": ["x"]}), "entry[0].standby[0]"),
    ],
)
@pytest.mark.parametrize("platform", ["messenger", "facebook"])
def test_a_wrong_envelope_is_refused_with_what_it_lacks(platform, wrong, missing):
    with pytest.raises(UnknownEvent, match=platform) as caught:
        session_ids(platform, wrong)
    assert (caught.value.platform, caught.value.missing) == (platform, missing)


@pytest.mark.parametrize("platform", ["messenger", "facebook"])
def test_instagrams_bodies_are_left_alone(platform):
    assert session_ids(platform, {"object": "instagram", "entry": [{"messaging": [said()]}]}) == []


@pytest.mark.parametrize("rules", ["0.15", "1.0"])
def test_older_rules_give_all_events_the_first_ones_session(rules):
    posted = body({"messaging": [said(ANN)]}, {"standby": [said(BOB)]}, {"changes": [{"field": "feed"}]})
    assert session_ids("messenger", posted, rules=rules) == [f"messenger:{ANN}"] * 3
    assert session_ids("messenger", posted, rules="toolbot") == [f"messenger:{ANN}"] * 2


@pytest.mark.parametrize("entry", [[], None, {}, "x"])
def test_bottender_fails_on_an_envelope_without_entries(entry):
    with pytest.raises(UnknownEvent):
        session_ids("messenger", {"object": "page", "entry": entry}, mode="bottender")


def test_all_changes_of_a_page_are_events_of_facebook_without_session():
    posted = body({"changes": [{"field": "feed"}, {"field": "feed"}]})
    assert session_ids("facebook", posted) == [None, None]
    assert session_ids("facebook", posted, mode="bottender") == [None]
    assert session_ids("facebook", {**posted, "object": "user"}, mode="bottender") == []


def test_the_tenant_of_a_body_is_the_page():
    assert session_ids("messenger", body({"messaging": [said(), ECHO]}), tenant=True) == [f"messenger:{PAGE}:{ANN}"] * 2
    assert session_ids("messenger", said(), tenant=True) == [f"messenger:{PAGE}:{ANN}"], "the recipient says it too"


def test_every_scope_of_a_person_is_that_person():
    for scope in ("chat", "user", "thread"):
        assert session_ids("messenger", said(), scope=scope) == [f"messenger:{ANN}"]
    assert session_ids("messenger", said(), scope="user_in_chat") == [f"messenger:{ANN}:{ANN}"]


def test_the_message_id_is_the_mid():
    assert message_id("messenger", said()) == "m_1"
    assert message_id("facebook", {"postback": {"mid": "m_3", "payload": "x"}}) == "m_3"
    assert message_id("messenger", {"reaction": {"mid": "m_1"}}) is None, "it is the id of the message reacted to"
