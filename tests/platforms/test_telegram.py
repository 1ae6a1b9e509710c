"""Telegram: every update type, and the rules where the sample cases are silent."""

import json

import pytest

from gridsession.platforms import UnknownEvent, events, message_id, session_ids

ANN = {"id": 427000117, "is_bot": False, "first_name": "Ann"}
PRIVATE = {"id": 427000117, "type": "private", "first_name": "Ann"}
GROUP = {"id": -225456000, "type": "group", "title": "Team"}
SUPERGROUP = {"id": -1001305240000, "type": "supergroup", "title": "Big team"}
CHANNEL = {"id": -1001999888777, "type": "channel", "title": "News"}
CHANNEL_BOT = {"id": 136817688, "is_bot": True, "first_name": "Channel"}

# One line per type of the Bot API's Update, as of 10.3: what it holds, the strict id, Bottender's id.
TYPES = [
    ("message", {"chat": GROUP, "from": ANN}, "telegram:-225456000", "telegram:-225456000"),
    ("edited_message", {"chat": SUPERGROUP, "from": ANN}, "telegram:-1001305240000", "telegram:-1001305240000"),
    ("channel_post", {"chat": CHANNEL}, "telegram:-1001999888777", "telegram:-1001999888777"),
    ("edited_channel_post", {"chat": CHANNEL}, "telegram:-1001999888777", "telegram:-1001999888777"),
    ("business_connection", {"id": "bc1", "user": ANN, "user_chat_id": 427000117}, "telegram:427000117", None),
    ("business_message", {"chat": PRIVATE, "from": ANN}, "telegram:427000117", None),
    ("edited_business_message", {"chat": PRIVATE, "from": ANN}, "telegram:427000117", None),
    ("deleted_business_messages", {"chat": PRIVATE, "message_ids": [7]}, "telegram:427000117", None),
    ("guest_message", {"chat": SUPERGROUP, "from": ANN, "guest_query_id": "g"}, "telegram:-1001305240000", None),
    ("message_reaction", {"chat": SUPERGROUP, "user": ANN, "message_id": 7}, "telegram:-1001305240000", None),
    ("message_reaction_count", {"chat": CHANNEL, "message_id": 7, "reactions": []}, "telegram:-1001999888777", None),
    ("inline_query", {"from": ANN, "query": "cats"}, "telegram:427000117", "telegram:427000117"),
    ("chosen_inline_result", {"from": ANN, "query": "cats"}, "telegram:427000117", "telegram:427000117"),
    ("callback_query", {"from": ANN, "message": {"chat": GROUP}}, "telegram:-225456000", "telegram:-225456000"),
    ("shipping_query", {"from": ANN, "id": "1"}, "telegram:427000117", "telegram:427000117"),
    ("pre_checkout_query", {"from": ANN, "id": "1"}, "telegram:427000117", "telegram:427000117"),
    ("purchased_paid_media", {"from": ANN, "paid_media_payload": "p"}, "telegram:427000117", None),
    ("poll", {"id": "5", "question": "?", "options": []}, None, None),
    ("poll_answer", {"poll_id": "5", "user": ANN, "option_ids": [0]}, "telegram:427000117", None),
    ("my_chat_member", {"chat": GROUP, "from": ANN}, "telegram:-225456000", None),
    ("chat_member", {"chat": SUPERGROUP, "from": ANN}, "telegram:-1001305240000", None),
    ("chat_join_request", {"chat": SUPERGROUP, "from": ANN, "user_chat_id": 1}, "telegram:-1001305240000", None),
    ("chat_boost", {"chat": CHANNEL, "boost": {}}, "telegram:-1001999888777", None),
    ("removed_chat_boost", {"chat": CHANNEL, "boost_id": "b"}, "telegram:-1001999888777", None),
    ("managed_bot", {"user": ANN, "bot": CHANNEL_BOT}, "telegram:427000117", None),
    ("subscription", {"user": ANN, "state": "active"}, "telegram:427000117", None),
    ("stopped_message_generation", {"chat": PRIVATE, "draft_id": 3}, "telegram:427000117", None),
    ("a_type_of_the_future", {"chat": GROUP, "from": ANN}, None, None),
]


def update(**fields):
    return {"update_id": 1001, **fields}


@pytest.mark.parametrize(("kind", "holds", "strict", "bottender"), TYPES, ids=[line[0] for line in TYPES])
def test_every_type_of_update(kind, holds, strict, bottender):
    posted = update(**{kind: holds})
    assert session_ids("telegram", posted) == [strict]
    assert session_ids("telegram", posted, mode="bottender") == [bottender]
    assert events("telegram", json.dumps(posted).encode()) == [(strict, posted)], "the event is the whole update"


def test_a_guest_message_from_a_private_chat_is_its_senders():
    stranger = {"id": 518000233, "type": "private"}
    assert session_ids("telegram", update(guest_message={"chat": stranger, "from": ANN})) == ["telegram:427000117"]


def test_an_anonymous_vote_is_the_voting_chats_and_not_the_stand_ins():
    answer = {"poll_id": "5", "user": CHANNEL_BOT, "voter_chat": CHANNEL, "option_ids": [0]}
    assert session_ids("telegram", update(poll_answer=answer)) == ["telegram:-1001999888777"]


def test_a_field_that_is_null_does_not_hide_the_one_that_is_there():
    posted = update(message=None, callback_query={"from": ANN, "message": None})
    for mode in ("strict", "bottender"):
        assert session_ids("telegram", posted, mode=mode) == ["telegram:427000117"]


@pytest.mark.parametrize(
    ("number", "bottender"),
    [
        (None, "null"),
        (True, "true"),
        ("", None),
        ("427", "427"),
        (4.5, "4.5"),
        (1e-7, "1e-7"),
        (2**53 + 1, "9007199254740992"),
        (2**60, "1152921504606847000"),
        (2**63, "9223372036854776000"),
        (10**400, "Infinity"),
        (float("nan"), "NaN"),
        ({}, "[object Object]"),
    ],
)
def test_an_id_that_is_no_64_bit_integer_is_none_in_strict_and_a_double_in_bottender(number, bottender):
    posted = update(message={"chat": {"id": number}, "from": ANN})
    if not (isinstance(number, int) and number in (2**53 + 1, 2**60)):
        assert session_ids("telegram", posted) == [None]
    assert session_ids("telegram", posted, mode="bottender") == [bottender and f"telegram:{bottender}"]


def test_strict_keeps_all_64_bits_of_an_id():
    for number in (2**53 + 1, 2**63 - 1, -(2**63)):
        assert session_ids("telegram", update(message={"chat": {"id": number}})) == [f"telegram:{number}"]


@pytest.mark.parametrize("wrong", [{}, {"events": []}, {"update_id": "1"}, {"update_id": True}, {"update_id": None}])
def test_a_wrong_envelope_is_refused_and_in_bottender_mode_has_no_session(wrong):
    with pytest.raises(UnknownEvent, match="telegram") as caught:
        session_ids("telegram", wrong)
    assert (caught.value.platform, caught.value.missing) == ("telegram", "update_id")
    assert session_ids("telegram", wrong, mode="bottender") == [None]


@pytest.mark.parametrize("holds", [{}, {"chat": None}, "text", [], 5])
def test_a_message_without_chat_is_none_in_strict_and_fails_in_bottender(holds):
    assert session_ids("telegram", update(message=holds)) == [None]
    with pytest.raises(UnknownEvent, match="telegram"):
        session_ids("telegram", update(message=holds), mode="bottender")


TOPIC = {"message_thread_id": 55, "is_topic_message": True}
IN_TOPIC = {"chat": SUPERGROUP, "from": ANN, **TOPIC}


@pytest.mark.parametrize(
    ("holds", "want"),
    [
        ({"message": IN_TOPIC}, "-1001305240000:55"),
        ({"edited_message": IN_TOPIC}, "-1001305240000:55"),
        ({"callback_query": {"from": ANN, "message": IN_TOPIC}}, "-1001305240000:55"),
        ({"message": {"chat": SUPERGROUP, "from": ANN, "message_thread_id": 7}}, "-1001305240000"),
        ({"message": {"chat": SUPERGROUP, "from": ANN}}, "-1001305240000"),
        ({"message": {"chat": SUPERGROUP, "direct_messages_topic": {"topic_id": 9}}}, "-1001305240000:9"),
        ({"stopped_message_generation": {"chat": PRIVATE, "message_thread_id": 3}}, "427000117:3"),
        ({"message": {"chat": SUPERGROUP, "message_thread_id": {}, "is_topic_message": True}}, "-1001305240000"),
        ({"inline_query": {"from": ANN}}, "427000117"),
        ({"poll": {"id": "5"}}, None),
    ],
)
def test_a_topic_is_a_thread_and_a_chain_of_replies_is_none(holds, want):
    assert session_ids("telegram", update(**holds), scope="thread") == [want and f"telegram:{want}"]


@pytest.mark.parametrize(
    ("holds", "user", "pair"),
    [
        ({"message": {"chat": GROUP, "from": ANN}}, "427000117", "427000117:-225456000"),
        ({"message": {"chat": PRIVATE, "from": ANN}}, "427000117", "427000117:427000117"),
        ({"channel_post": {"chat": CHANNEL, "sender_chat": CHANNEL}}, None, None),
        ({"callback_query": {"from": ANN, "message": {"chat": GROUP}}}, "427000117", "427000117:-225456000"),
        ({"callback_query": {"from": ANN}}, "427000117", None),
        ({"inline_query": {"from": ANN}}, "427000117", None),
        ({"message_reaction": {"chat": GROUP, "user": ANN}}, "427000117", "427000117:-225456000"),
        ({"message_reaction": {"chat": GROUP, "actor_chat": CHANNEL}}, "-1001999888777", "-1001999888777:-225456000"),
        (
            {"chat_boost": {"chat": CHANNEL, "boost": {"source": {"user": ANN}}}},
            "427000117",
            "427000117:-1001999888777",
        ),
        ({"removed_chat_boost": {"chat": GROUP, "source": {"user": ANN}}}, "427000117", "427000117:-225456000"),
        ({"poll_answer": {"user": ANN}}, "427000117", None),
    ],
)
def test_the_scopes_of_a_user(holds, user, pair):
    assert session_ids("telegram", update(**holds), scope="user") == [user and f"telegram:{user}"]
    assert session_ids("telegram", update(**holds), scope="user_in_chat") == [pair and f"telegram:{pair}"]


def test_anonymous_admins_of_two_groups_are_not_one_user():
    stand_in = {"id": 1087968824, "is_bot": True}
    messages = [{"chat": chat, "from": stand_in, "sender_chat": chat} for chat in (GROUP, SUPERGROUP)]
    for scope in ("user", "user_in_chat"):
        ids = {session_ids("telegram", update(message=message), scope=scope)[0] for message in messages}
        assert len(ids) == 2


def test_a_private_guest_message_has_a_user_and_no_chat():
    posted = update(guest_message={"chat": {"id": 518000233, "type": "private"}, "from": ANN, **TOPIC})
    assert session_ids("telegram", posted, scope="user_in_chat") == [None]
    assert session_ids("telegram", posted, scope="thread") == ["telegram:427000117"]


def test_a_tenant_is_given_because_no_update_names_its_bot():
    posted = update(message={"chat": GROUP, "from": ANN})
    assert session_ids("telegram", posted, tenant="313000001") == ["telegram:313000001:-225456000"]


@pytest.mark.parametrize(
    ("holds", "want"),
    [
        ({"message": {"chat": GROUP, "from": ANN}}, "telegram:427000117"),
        ({"callback_query": {"from": ANN, "message": {"chat": GROUP}}}, "telegram:427000117"),
        ({"edited_message": {"chat": GROUP, "from": ANN}}, None),
        ({"inline_query": {"from": ANN}}, None),
        ({"message": {"chat": GROUP, "from": {}}}, "telegram:undefined"),
    ],
)
def test_toolbot_goes_by_the_sender(holds, want):
    assert session_ids("telegram", update(**holds), rules="toolbot") == [want]


def test_toolbot_fails_on_a_message_without_sender():
    with pytest.raises(UnknownEvent, match=r"message\.from"):
        session_ids("telegram", update(message={"chat": GROUP}), rules="toolbot")


@pytest.mark.parametrize(
    ("holds", "want"),
    [
        ({"message": {"chat": GROUP, "from": ANN}}, "427000117:-225456000"),
        ({"edited_message": {"chat": GROUP, "from": ANN}}, "427000117:-225456000"),
        ({"callback_query": {"from": ANN, "message": {"chat": GROUP, "from": CHANNEL_BOT}}}, "427000117:-225456000"),
        ({"my_chat_member": {"chat": GROUP, "from": ANN}}, "427000117:-225456000"),
        ({"chat_join_request": {"chat": SUPERGROUP, "from": ANN}}, "427000117:-1001305240000"),
        ({"poll_answer": {"user": ANN}}, None),
        ({"shipping_query": {"from": ANN}}, None),
        ({"message": "text"}, None),
    ],
)
def test_opengrams_default_key_is_sender_and_chat_and_bare(holds, want):
    assert session_ids("telegram", update(**holds), rules="opengram") == [want]


def test_the_message_id_is_the_updates():
    assert message_id("telegram", update(message={"message_id": 7})) == "1001"
    assert message_id("telegram", {"message": {"message_id": 7}}) is None
    assert message_id("telegram", {"update_id": "1001"}) is None
