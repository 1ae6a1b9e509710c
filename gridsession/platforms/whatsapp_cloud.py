"""WhatsApp Cloud API: a body holds entries of a business account, these changes, and these lists of messages.

The session is the sender's, of a group's message the group's. Its id is the bare number, as JAWCE and pywce have it:
the dialect `jawce` takes it as it is. Elsewhere give `session_key_prefix="whatsapp-cloud:"`, which makes it an id of
the usual form. Statuses of messages sent are no events.

`strict` takes all messages of a body, each by its own sender. `bottender`, which stands for JAWCE's engine here, takes
the body for one event of the first contact of the first change.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from gridsession.platforms import _javascript
from gridsession.platforms._events import (
    Fields,
    Identified,
    Platform,
    Source,
    at,
    first_word,
    listed,
    not_of,
    session_of,
)
from gridsession.platforms._javascript import RaisesTypeError, first, has, member
from gridsession.platforms._options import Mode, Options

_NAME: Final = "whatsapp-cloud"


def _identify(body: Fields, mode: Mode, options: Options) -> Identified:
    if mode == "bottender":
        return _first_of_the_body(body, options.session_key_prefix)
    if body.get("object") != "whatsapp_business_account":
        raise not_of(_NAME, "object whatsapp_business_account")
    identified: Identified = []
    for number, entry in enumerate(listed(_NAME, body, "entry")):
        for place, change in enumerate(listed(_NAME, entry, "changes", f"entry[{number}].")):
            value = change.get("value")
            if not isinstance(value, Mapping):
                raise not_of(_NAME, f"entry[{number}].changes[{place}].value")
            if "messages" in value:
                messages = listed(_NAME, value, "messages", f"entry[{number}].changes[{place}].value.")
                sources = _sources(messages, value)
                identified += [(session_of("", source, options), message) for source, message in sources]
    return identified


def _sources(messages: list[Fields], value: Fields) -> list[tuple[Source, Fields]]:
    own_number = first_word(value, ("metadata", "phone_number_id"))
    senders = [first_word(message, ("from",), ("from_user_id",)) for message in messages]
    contacts = value.get("contacts")
    if isinstance(contacts, list) and len(contacts) == len(set(senders)) == 1:
        # A contact's `wa_id` may be written otherwise than the number a message is `from`; JAWCE goes by the former.
        senders = [first_word(contacts[0], ("wa_id",)) or sender for sender in senders]
    return [
        (Source(first_word(message, ("group_id",)) or sender, sender, tenant=own_number), message)
        for message, sender in zip(messages, senders, strict=True)
    ]


def _first_of_the_body(body: Fields, prefix: str) -> Identified:
    value = member(first(member(first(member(body, "entry")), "changes")), "value")
    if member(value, "messaging_product") != "whatsapp":
        raise RaisesTypeError("messaging_product")
    if not has(value, "messages"):
        return []
    key = member(first(member(value, "contacts")), "wa_id")
    message = at(value, "messages")
    event = message[0] if isinstance(message, list) and message else value
    return [(_javascript.session_id(prefix, key), event if isinstance(event, Mapping) else {})]


def _message_id(event: Fields) -> str | None:
    return first_word(event, ("id",))


def _enclosed(event: Fields) -> Fields:
    value = {"messaging_product": "whatsapp", "contacts": [{"wa_id": event.get("from")}], "messages": [event]}
    return {"object": "whatsapp_business_account", "entry": [{"changes": [{"value": value}]}]}


WHATSAPP_CLOUD: Final = Platform(
    identify=_identify,
    message_id=_message_id,
    rules=(),
    names_tenant=True,
    batch="entry",
    enclose=_enclosed,
)
