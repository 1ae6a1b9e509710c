"""Telegram Bot API: a body is one update, and holds one field named for the update's type.

`strict` knows the types of Bot API 10.3. The session is the chat's where the update has a chat (all members and all
topics share it), else the user's; a poll belongs to nobody. Choices that are not plain:

- a business message is keyed by its chat, which is also the key of that customer's own chat with the bot;
- a guest message from a private chat is keyed by its sender, as an inline query is: the id of that chat may also be
  the id of a stranger's chat with the bot;
- a poll answer is keyed by the chat that voted before the user, who in old updates is one stand-in for all such chats;
- who writes in a chat's or a channel's name (`sender_chat`) is that chat, not the one stand-in user of all of them;
- a thread is a forum's topic or one of a channel's direct messages; a mere chain of replies is none.

`bottender` knows nine types, gives None for the others, and raises `UnknownEvent` where it would raise a TypeError.
The rules `toolbot` go by the sender of a message or callback, and `opengram` gives its bare default key, `from:chat`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, TypeAlias

from gridsession.platforms._events import Fields, Identified, Platform, Source, at, not_of, session_of, whole_number
from gridsession.platforms._javascript import UNDEFINED, RaisesTypeError, either, member, session_id, text, truthy
from gridsession.platforms._options import Mode, Options

_Path: TypeAlias = tuple[str, ...]
_CHAT: Final = (("chat", "id"),)
_FROM: Final = (("from", "id"),)
_WRITER: Final = (("sender_chat", "id"), *_FROM)
_USER: Final = (("user", "id"),)

# Where each type of update names the chat and the user, best place first.
_PLACES: Final[dict[str, tuple[tuple[_Path, ...], tuple[_Path, ...]]]] = {
    "message": (_CHAT, _WRITER),
    "edited_message": (_CHAT, _WRITER),
    "channel_post": (_CHAT, ()),
    "edited_channel_post": (_CHAT, ()),
    "business_connection": ((("user_chat_id",),), _USER),
    "business_message": (_CHAT, _WRITER),
    "edited_business_message": (_CHAT, _WRITER),
    "deleted_business_messages": (_CHAT, ()),
    "guest_message": (_CHAT, _WRITER),
    "message_reaction": (_CHAT, (("actor_chat", "id"), *_USER)),
    "message_reaction_count": (_CHAT, ()),
    "inline_query": ((), _FROM),
    "chosen_inline_result": ((), _FROM),
    "callback_query": ((("message", "chat", "id"),), _FROM),
    "shipping_query": ((), _FROM),
    "pre_checkout_query": ((), _FROM),
    "purchased_paid_media": ((), _FROM),
    "poll": ((), ()),
    "poll_answer": ((), (("voter_chat", "id"), *_USER)),
    "my_chat_member": (_CHAT, _FROM),
    "chat_member": (_CHAT, _FROM),
    "chat_join_request": (_CHAT, _FROM),
    "chat_boost": (_CHAT, (("boost", "source", "user", "id"),)),
    "removed_chat_boost": (_CHAT, (("source", "user", "id"),)),
    "managed_bot": ((), _USER),
    "subscription": ((), _USER),
    "stopped_message_generation": (_CHAT, ()),
}

# Bottender's order of asking matters: its first name that is there decides.
_BOTTENDER: Final = (
    ("message", "chat"),
    ("edited_message", "chat"),
    ("channel_post", "chat"),
    ("edited_channel_post", "chat"),
    ("inline_query", "from"),
    ("chosen_inline_result", "from"),
    ("callback_query", "from"),
    ("shipping_query", "from"),
    ("pre_checkout_query", "from"),
)

_OPENGRAM_MEMBERS: Final = ("my_chat_member", "chat_member", "chat_join_request")
_OPENGRAM_QUERIES: Final = (
    "callback_query",
    "inline_query",
    "shipping_query",
    "pre_checkout_query",
    "chosen_inline_result",
)
_OPENGRAM_MESSAGES: Final = ("message", "edited_message", "callback_query", "channel_post", "edited_channel_post")


def _identify(body: Fields, mode: Mode, options: Options) -> Identified:
    prefix = options.session_key_prefix
    if mode == "bottender":
        if options.rules == "opengram":
            return [(session_id(prefix, _opengram_key(body)), body)]
        key = _toolbot_key(body) if options.rules == "toolbot" else _bottender_key(body)
        return [(session_id(f"telegram:{prefix}", key), body)]
    # Bottender takes any object for an update, and gives one without a known field no session.
    if whole_number(body.get("update_id")) is None:
        raise not_of("telegram", "update_id")
    return [(session_of("telegram:", _source(body), options), body)]


def _source(update: Fields) -> Source:
    kind = next((kind for kind in _PLACES if update.get(kind) is not None), None)
    if kind is None:
        return Source(None, None)
    chat, user = (_first_number(update[kind], paths) for paths in _PLACES[kind])
    if chat is None and _PLACES[kind][0] == _CHAT:
        return Source(None, None)  # something of a chat that cannot be told; never of the user's own chat
    if kind == "guest_message" and at(update, kind, "chat", "type") == "private":
        chat = None
    return Source(chat, user, _thread(update, kind) if chat else None)


def _thread(update: Fields, kind: str) -> str | None:
    message = at(update, kind, "message") if kind == "callback_query" else update[kind]
    # `message_thread_id` also numbers chains of replies, which anyone starts without noticing.
    if at(message, "is_topic_message") is True or kind == "stopped_message_generation":
        return whole_number(at(message, "message_thread_id"))
    return whole_number(at(message, "direct_messages_topic", "topic_id"))


def _first_number(holder: object, paths: Iterable[_Path]) -> str | None:
    numbers = (whole_number(at(holder, *path)) for path in paths)
    return next((number for number in numbers if number is not None), None)


def _bottender_key(update: Fields) -> str:
    kind, field = next((pair for pair in _BOTTENDER if truthy(update.get(pair[0]))), ("", ""))
    if not kind:
        return ""
    holder: object = update[kind]
    if kind == "callback_query" and truthy(message := member(holder, "message")):
        holder, field = message, "chat"
    return text(_member_of(_member_of(holder, kind, field), f"{kind}.{field}", "id"))


def _toolbot_key(update: Fields) -> str:
    kind = next((kind for kind in ("message", "callback_query") if kind in update), None)
    return text(_member_of(_member_of(update[kind], kind, "from"), f"{kind}.from", "id")) if kind else ""


def _opengram_key(update: Fields) -> str:
    members = [update.get(kind) for kind in _OPENGRAM_MEMBERS]
    messages = [
        at(update, kind, "message") if kind == "callback_query" else update.get(kind) for kind in _OPENGRAM_MESSAGES
    ]
    queries = [update.get(kind) for kind in _OPENGRAM_QUERIES]
    of_chat, of_user = either(*members, *messages), either(*queries, *members, *messages)
    chat = member(of_chat, "chat") if truthy(of_chat) else UNDEFINED
    user = member(of_user, "from") if truthy(of_user) else UNDEFINED
    return f"{text(member(user, 'id'))}:{text(member(chat, 'id'))}" if truthy(user) and truthy(chat) else ""


def _member_of(holder: object, place: str, name: str) -> object:
    try:
        return member(holder, name)
    except RaisesTypeError:
        raise RaisesTypeError(f"{place}.{name}") from None


def _message_id(event: Fields) -> str | None:
    return whole_number(at(event, "update_id"))


TELEGRAM: Final = Platform(
    identify=_identify, message_id=_message_id, rules=("1.5", "1.0", "0.15", "toolbot", "opengram")
)
