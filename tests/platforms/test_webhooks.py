"""The demo's input: real forms, exactly as many conversations as asked for, no delivery twice."""

import json
from collections import Counter
from importlib.resources import files
from itertools import islice

import pytest

from gridsession.cli._webhooks import stream
from gridsession.errors import InvalidOption
from gridsession.platforms import events, message_id, session_ids


def test_the_file_holds_bodies_of_both_platforms_and_every_event_has_a_session():
    lines = files("gridsession.cli").joinpath("webhooks.jsonl").read_text("utf-8").splitlines()
    bodies = [json.loads(line) for line in lines]
    assert len(bodies) >= 40
    assert Counter(body["platform"] for body in bodies).keys() == {"line", "telegram"}
    for body in bodies:
        ids = session_ids(body["platform"], body["body"])
        assert ids
        assert None not in ids


@pytest.mark.parametrize("users", [1, 2, 3, 7, 13, 14, 15, 29, 300])
def test_there_are_exactly_as_many_conversations_as_asked_for(users):
    bodies = islice(stream(seed=3, users=users), users * 40)
    assert len({session_id for platform, body in bodies for session_id in session_ids(platform, body)}) == users


def test_no_delivery_repeats():
    delivered = [
        (platform, message_id(platform, event))
        for platform, body in islice(stream(seed=5, users=50), 5000)
        for _, event in events(platform, body)
    ]
    assert None not in {own for _, own in delivered}
    assert len(set(delivered)) == len(delivered)


def test_the_same_seed_gives_the_same_bodies_and_another_seed_others():
    first, again, other = (list(islice(stream(seed, users=20), 50)) for seed in (1, 1, 2))
    assert first == again
    assert first != other


def test_a_private_chat_moves_with_its_user_and_bots_stay():
    for platform, body in islice(stream(seed=1, users=200), 2000):
        message = json.loads(body).get("message") if platform == "telegram" else None
        if message and message["chat"]["type"] == "private":
            assert message["chat"]["id"] == message["from"]["id"]
        if message and message["from"]["is_bot"]:
            assert message["from"]["id"] == 1087968824


@pytest.mark.parametrize("users", [0, -1, 10_000_001])
def test_a_number_of_users_out_of_range_is_refused_at_once(users):
    with pytest.raises(InvalidOption, match="users"):
        stream(seed=1, users=users)
