"""Telegram Bot API: a body is one update, and holds one field named for the update's type.

`strict` knows the types of Bot API 10.3. The session is the chat's where the update has a chat (all members and all
topics share it), else the user's; a poll belongs to nobody. Three choices that are not plain:

- a business message is keyed by its chat, which is also the key of that customer's own chat with the bot;
- a guest message from a private chat is keyed by its sender, as an inline query is: the id of that chat may also be
  the id of a stranger's chat with the bot;
- a poll answer is keyed by the chat that voted before the user, who in old updates is one stand-in for all such chats.

`bottender` knows nine types, gives None for the others, and raises `UnknownEvent` where it would raise a TypeError.
"""

from __future__ import annotations

from typing import Final

from gridsession.platforms import _javascript
from gridsession.platforms._events import Fields, Identified, Mode, Platform, at, not_of, whole_number

_CHAT: Final = (("chat", "id"),)
_SENDER: Final = (("from", "id"),)
_USER: Final = (("user", "id"),)

# Where the number of the session stands in each type of update, best place first.
_PLACES: Final[dict[str, tuple[tuple[str, ...], ...]]] = {
    "message": _CHAT,
    "edited_message": _CHAT,
    "channel_post": _CHAT,
    "edited_channel_post": _CHAT,
    "business_connection": (("user_chat_id",), *_USER),
    "business_message": _CHAT,
    "edited_business_message": _CHAT,
    "deleted_business_messages": _CHAT,
    "guest_message": _CHAT,
    "message_reaction": _CHAT,
    "message_reaction_count": _CHAT,
    "inline_query": _SENDER,
    "chosen_inline_result": _SENDER,
    "callback_query": (("message", "chat", "id"), *_SENDER),
    "shipping_query": _SENDER,
    "pre_checkout_query": _SENDER,
    "purchased_paid_media": _SENDER,
    "poll": (),
    "poll_answer": (("voter_chat", "id"), *_USER),
    "my_chat_member": _CHAT,
    "chat_member": _CHAT,
    "chat_join_request": _CHAT,
    "chat_boost": _CHAT,
    "removed_chat_boost": _CHAT,
    "managed_bot": _USER,
    "subscription": _USER,
    "stopped_message_generation": _CHAT,
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


def _identify(body: Fields, mode: Mode, _options: Fields) -> Identified:
    # Bottender takes any object for an update, and gives one without a known field no session.
    if mode == "strict" and whole_number(body.get("update_id")) is None:
        raise not_of("telegram", "update_id")
    key = _strict_key(body) if mode == "strict" else _bottender_key(body)
    return [(f"telegram:{key}" if key else None, body)]


def _strict_key(update: Fields) -> str | None:
    kind = next((kind for kind in _PLACES if update.get(kind) is not None), None)
    if kind is None:
        return None
    places = _PLACES[kind]
    if kind == "guest_message" and at(update, kind, "chat", "type") == "private":
        places = _SENDER
    keys = (whole_number(at(update, kind, *place)) for place in places)
    return next((key for key in keys if key is not None), None)


def _bottender_key(update: Fields) -> str:
    kind, field = next((pair for pair in _BOTTENDER if _javascript.truthy(update.get(pair[0]))), ("", ""))
    if not kind:
        return ""
    try:
        holder: object = update[kind]
        if kind == "callback_query" and _javascript.truthy(message := _javascript.member(holder, "message")):
            holder, field = message, "chat"
        return _javascript.text(_javascript.member(_javascript.member(holder, field), "id"))
    except _javascript.RaisesTypeError:
        raise not_of("telegram", f"{kind}'s {field}") from None


def _message_id(event: Fields) -> str | None:
    return whole_number(at(event, "update_id"))


TELEGRAM: Final = Platform(options={}, identify=_identify, message_id=_message_id)
