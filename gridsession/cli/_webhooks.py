"""The demo's input: webhook bodies of LINE and Telegram, multiplied to as many conversations as wanted.

`webhooks.jsonl` holds bodies in the form the platforms post them, written for this project. Each conversation in the
file stands for one in *world* 0; in world w the same bodies carry ids moved by w, so that every user, group, room and
channel is another one, while a private chat and its user still have one id.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from itertools import count
from random import Random
from typing import Final, TypeAlias

from gridsession.errors import InvalidOption
from gridsession.platforms import session_ids

MAX_USERS: Final = 10_000_000
"""Most conversations; the ids in the file are far enough apart for as many worlds."""

_LINE_PARTIES: Final = frozenset({"userId", "groupId", "roomId"})
_TELEGRAM_PARTIES: Final = frozenset({"chat", "from", "sender_chat", "user"})
_CROCKFORD: Final = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

_Fresh: TypeAlias = Mapping[str, Callable[[], object]]


@dataclass(frozen=True, slots=True)
class _Template:
    platform: str
    body: Mapping[str, object]
    kinds: frozenset[int]


def stream(seed: int, users: int) -> Iterator[tuple[str, bytes]]:
    """Endless webhook bodies, each (platform, JSON as it would be posted), equal for equal arguments.

    Conversations are drawn evenly from exactly `users` ones; after enough draws each has come. Every event belongs to a
    session. No delivery repeats: `message_id` of each event is new within the stream (but not between two streams of
    different seeds, so a run should use one). Most bodies hold one event, some of LINE's two.

    Raises:
        InvalidOption: `users` is not between 1 and 10,000,000.
    """
    if not 1 <= users <= MAX_USERS:
        raise InvalidOption(f"users must be between 1 and {MAX_USERS}, not {users}")
    return _bodies(Random(seed), users)  # noqa: S311 - repeatable on purpose; nothing secret is drawn


def _bodies(random: Random, users: int) -> Iterator[tuple[str, bytes]]:
    templates, kinds = _read()
    of_kind = [[template for template in templates if kind in template.kinds] for kind in range(kinds)]
    fresh = _fresh(random)
    while True:
        world, kind = divmod(random.randrange(users), kinds)
        # The last world may be cut off; a body of two conversations needs both.
        fitting = [one for one in of_kind[kind] if world * kinds + max(one.kinds) < users]
        template = random.choice(fitting)
        body = _moved(template.body, "", "", world, fresh)
        yield template.platform, json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def _read() -> tuple[list[_Template], int]:
    numbers: dict[str, int] = {}
    templates = []
    for line in files(__package__).joinpath("webhooks.jsonl").read_text("utf-8").splitlines():
        template = json.loads(line)
        platform, body = template["platform"], template["body"]
        ids = [session_id for session_id in session_ids(platform, body) if session_id is not None]
        kinds = frozenset(numbers.setdefault(session_id, len(numbers)) for session_id in ids)
        templates.append(_Template(platform, body, kinds))
    return templates, len(numbers)


def _moved(value: object, parent: str, name: str, world: int, fresh: _Fresh) -> object:
    """A copy with the parties' ids moved to `world` and every id of a delivery made anew."""
    if isinstance(value, dict):
        # The bots in a body are the bot itself and Telegram's stand-in for anonymous admins: one each, everywhere.
        return {
            field: inner if value.get("is_bot") is True else _moved(inner, name, field, world, fresh)
            for field, inner in value.items()
        }
    if isinstance(value, list):
        return [_moved(inner, parent, name, world, fresh) for inner in value]
    make = fresh.get(name) or fresh.get(f"{parent}.{name}")
    if make is not None:
        return make()
    if isinstance(value, str) and name in _LINE_PARTIES:
        return f"{value[:-6]}{world:06x}"
    if isinstance(value, int) and name == "id" and parent in _TELEGRAM_PARTIES:
        return value + world if value > 0 else value - world
    return value


def _fresh(random: Random) -> _Fresh:
    """Makers of what is new in each delivery, by field or by parent and field."""
    clock = count(1_760_000_000_000, 40)
    first = random.randrange(1 << 60, 1 << 61)
    numbers = count(first)
    updates = count(random.randrange(10**8, 10**9))
    messages = count(random.randrange(10**4, 10**5))

    def digits() -> str:
        return str(next(numbers))

    def seconds() -> int:
        return next(clock) // 1000

    return {
        "webhookEventId": lambda: _ulid(next(clock), next(numbers)),
        "replyToken": lambda: f"{random.getrandbits(128):032x}",
        "timestamp": lambda: next(clock),
        "update_id": lambda: next(updates),
        "message_id": lambda: next(messages),
        "date": seconds,
        "edit_date": seconds,
        "message.id": digits,
        "callback_query.id": digits,
        "inline_query.id": digits,
        "pre_checkout_query.id": digits,
    }


def _ulid(milliseconds: int, number: int) -> str:
    bits = milliseconds << 80 | number
    return "".join(_CROCKFORD[bits >> shift & 31] for shift in range(125, -1, -5))
