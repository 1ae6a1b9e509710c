"""Viber, WhatsApp by Twilio and by Cloud API, console: the rules where the sample cases are silent."""

import json
from urllib.parse import urlencode

import pytest

from gridsession import SessionId
from gridsession.errors import InvalidOption
from gridsession.platforms import UnknownEvent, events, message_id, session_ids

VIBER_USER = "01234567890A="
ANN, BOB, BOT = "whatsapp:+886912345678", "whatsapp:+886987654321", "whatsapp:+14155238886"


@pytest.mark.parametrize(
    ("holds", "strict", "bottender"),
    [
        ({"event": "conversation_started", "user": {"id": VIBER_USER}}, VIBER_USER, VIBER_USER),
        ({"event": "unsubscribed", "user_id": VIBER_USER}, VIBER_USER, VIBER_USER),
        ({"event": "failed", "user_id": VIBER_USER, "desc": "d"}, VIBER_USER, VIBER_USER),
        ({"event": "client_status", "user": {"id": VIBER_USER}}, None, None),
        ({"event": "seen"}, None, None),
        ({"event": "seen", "user_id": {}}, None, "[object Object]"),
        ({"event": "message", "sender": {}}, None, None),
        ({"event": "message", "sender": {"id": 7}}, None, "7"),
    ],
)
def test_whose_a_viber_event_is(holds, strict, bottender):
    assert session_ids("viber", holds) == [strict and f"viber:{strict}"]
    assert session_ids("viber", holds, mode="bottender") == [bottender and f"viber:{bottender}"]


@pytest.mark.parametrize("wrong", [{}, {"event": None}, {"event": 5}, {"user": {"id": VIBER_USER}}])
def test_a_viber_body_that_names_no_event_is_refused(wrong):
    with pytest.raises(UnknownEvent, match="viber") as caught:
        session_ids("viber", wrong)
    assert caught.value.missing == "event"
    assert session_ids("viber", wrong, mode="bottender") == [None]


def test_bottender_fails_on_a_viber_message_without_sender():
    with pytest.raises(UnknownEvent, match="id"):
        session_ids("viber", {"event": "message"}, mode="bottender")


def test_receipts_of_one_viber_message_are_told_apart():
    kinds = ("message", "delivered", "seen")
    assert len({message_id("viber", {"event": kind, "message_token": 4912661846655238145}) for kind in kinds}) == 3
    assert message_id("viber", {"event": "message"}) is None


def received(**more):
    return {"MessageSid": "SM1", "SmsStatus": "received", "From": ANN, "To": BOT, "Body": "hi", **more}


@pytest.mark.parametrize(
    ("posted", "strict", "bottender"),
    [
        (received(), ANN, ANN),
        (received(SmsStatus="receiving"), ANN, BOT),
        (received(SmsStatus="delivered", From=BOT, To=ANN), ANN, ANN),
        ({"MessageSid": "SM1", "MessageStatus": "sent", "From": BOT, "To": ANN}, ANN, ANN),
        (received(From=""), None, None),
        (received(From="whatsapp: +1"), None, "whatsapp: +1"),
    ],
)
def test_whose_a_message_of_twilio_is(posted, strict, bottender):
    for body in (posted, urlencode(posted), urlencode(posted).encode()):
        assert session_ids("whatsapp", body) == [strict and f"whatsapp:{strict}"]
        assert session_ids("whatsapp", body, mode="bottender") == [bottender and f"whatsapp:{bottender}"]


@pytest.mark.parametrize(
    ("wrong", "missing"),
    [
        ({}, "SmsStatus"),
        ({"From": ANN, "To": BOT}, "SmsStatus"),
        ({"SmsStatus": "received", "To": BOT}, "From"),
        ({"SmsStatus": "sent", "From": BOT}, "To"),
        (f"{urlencode(received())}&From=x", "From"),
        ("&".join(f"f{number}=" for number in range(300)), "a form of at most 256 fields in UTF-8"),
        ("Body=%ff", "a form of at most 256 fields in UTF-8"),
        ("", "a form's first field"),
    ],
)
def test_a_body_that_is_no_form_of_twilio_is_refused(wrong, missing):
    with pytest.raises(UnknownEvent, match="whatsapp") as caught:
        session_ids("whatsapp", wrong)
    assert caught.value.missing == missing


def test_the_tenant_of_twilios_body_is_the_bots_own_address():
    for posted in (received(), received(SmsStatus="read", From=BOT, To=ANN)):
        (session_id,) = session_ids("whatsapp", posted, tenant=True)
        assert session_id == f"whatsapp:whatsapp%3A+14155238886:{ANN}"
    assert session_ids("whatsapp", received(From=BOB), tenant="AC1") == [f"whatsapp:AC1:{BOB}"]


def test_every_status_of_twilios_message_has_its_own_message_id():
    assert message_id("whatsapp", received()) == "SM1"
    assert message_id("whatsapp", received(SmsStatus="read")) == "SM1:read"
    assert message_id("whatsapp", {"SmsStatus": "read"}) is None


def cloud(*values):
    changes = [{"field": "messages", "value": {"messaging_product": "whatsapp", **value}} for value in values]
    return {"object": "whatsapp_business_account", "entry": [{"id": "WABA1", "changes": changes}]}


def messages(*numbers, **more):
    return {
        "metadata": {"phone_number_id": "PN1"},
        "contacts": [{"wa_id": number} for number in numbers],
        "messages": [{"from": number, "id": f"wamid.{number}", "type": "text", **more} for number in numbers],
    }


def test_the_messages_of_one_body_are_each_their_senders():
    posted = cloud(messages("263770000001", "263770000002"), {"statuses": []}, messages("263770000003"))
    assert session_ids("whatsapp-cloud", posted) == ["263770000001", "263770000002", "263770000003"]
    assert session_ids("whatsapp-cloud", posted, mode="bottender") == ["263770000001"], "as JAWCE's engine"


def test_the_number_is_the_contacts_where_the_message_writes_it_otherwise():
    value = {"contacts": [{"wa_id": "5215500000001"}], "messages": [{"from": "525500000001", "id": "wamid.1"}]}
    assert session_ids("whatsapp-cloud", cloud(value)) == ["5215500000001"]


def test_one_contact_does_not_make_one_sender_of_two():
    value = {**messages("263770000001", "263770000002"), "contacts": [{"wa_id": "263770000001"}]}
    assert session_ids("whatsapp-cloud", cloud(value)) == ["263770000001", "263770000002"]


def test_a_sender_without_number_is_known_by_the_user_id():
    value = {"contacts": [{"user_id": "US.1"}], "messages": [{"from_user_id": "US.1", "id": "wamid.1"}]}
    assert session_ids("whatsapp-cloud", cloud(value)) == ["US.1"]
    assert session_ids("whatsapp-cloud", cloud({"messages": [{"id": "wamid.1"}]})) == [None]


def test_a_group_shares_a_session_by_default():
    posted = cloud(messages("263770000001", group_id="G1"))
    assert session_ids("whatsapp-cloud", posted) == ["G1"]
    assert session_ids("whatsapp-cloud", posted, scope="user") == ["263770000001"]
    assert session_ids("whatsapp-cloud", posted, scope="user_in_chat") == ["263770000001:G1"]


def test_a_prefix_makes_the_bare_number_an_id():
    posted = cloud(messages("263770000001"))
    (session_id,) = session_ids("whatsapp-cloud", posted, session_key_prefix="whatsapp-cloud:")
    assert SessionId.parse(session_id) == ("whatsapp-cloud", "263770000001")
    assert session_ids("whatsapp-cloud", posted, tenant=True) == ["PN1:263770000001"]


@pytest.mark.parametrize(
    ("wrong", "missing"),
    [
        ({}, "object whatsapp_business_account"),
        ({"object": "page", "entry": []}, "object whatsapp_business_account"),
        ({"object": "whatsapp_business_account"}, "entry"),
        ({"object": "whatsapp_business_account", "entry": [{}]}, "entry[0].changes"),
        ({"object": "whatsapp_business_account", "entry": [{"changes": [{}]}]}, "entry[0].changes[0].value"),
        (cloud({"messages": "x"}), "entry[0].changes[0].value.messages"),
    ],
)
def test_a_wrong_envelope_of_the_cloud_is_refused_with_what_it_lacks(wrong, missing):
    with pytest.raises(UnknownEvent, match="whatsapp-cloud") as caught:
        session_ids("whatsapp-cloud", wrong)
    assert (caught.value.platform, caught.value.missing) == ("whatsapp-cloud", missing)


@pytest.mark.parametrize("wrong", [{}, {"entry": [{"changes": [{"value": {}}]}]}, cloud({"messages": [{}]})])
def test_jawce_fails_where_it_finds_no_contact(wrong):
    with pytest.raises(UnknownEvent, match="whatsapp-cloud"):
        session_ids("whatsapp-cloud", wrong, mode="bottender")


def test_the_event_of_the_cloud_is_the_message_and_its_id_the_message_id():
    posted = cloud(messages("263770000001"))
    ((_, event),) = events("whatsapp-cloud", json.dumps(posted))
    assert event["type"] == "text"
    assert message_id("whatsapp-cloud", event) == "wamid.263770000001"


@pytest.mark.parametrize("mode", ["strict", "bottender"])
def test_the_console_is_one_user_of_the_platform_it_plays(mode):
    for typed in ({"message": {"text": "hi"}}, {"payload": "x"}):
        assert session_ids("console", typed, mode=mode) == ["console:1"]
        assert session_ids("console", typed, mode=mode, mock_platform="telegram") == ["telegram:1"]
        assert session_ids("console", typed, mode=mode, mock_platform="") == ["console:1"]


def test_a_console_line_without_message_or_payload_is_refused():
    with pytest.raises(UnknownEvent, match="console"):
        session_ids("console", {})
    assert session_ids("console", {}, mode="bottender") == ["console:1"]
    assert message_id("console", {"message": {"text": "hi"}}) is None


@pytest.mark.parametrize("name", ["Line", "a:b", "-", "a\n", 7, ["line"]])
def test_the_console_plays_only_what_can_be_a_platform(name):
    with pytest.raises(InvalidOption, match="mock_platform"):
        session_ids("console", {"message": {}}, mock_platform=name)
