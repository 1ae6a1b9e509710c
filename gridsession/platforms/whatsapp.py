"""WhatsApp by Twilio: a body is a form, a message received or the status of one sent.

The session is the customer's: the sender of what was received, the recipient of what was sent. The key is the address
as Twilio writes it, with its scheme, so an id reads `whatsapp:whatsapp:+886912345678`.
"""

from __future__ import annotations

from typing import Final

from gridsession.platforms import _javascript
from gridsession.platforms._events import Fields, Identified, Platform, Source, first_word, not_of, session_of
from gridsession.platforms._options import Mode, Options

_STATUS: Final = (("SmsStatus",), ("MessageStatus",))
_INBOUND: Final = ("received", "receiving")


def _identify(body: Fields, mode: Mode, options: Options) -> Identified:
    if mode == "bottender":
        key = _field(body, "From" if _field(body, "SmsStatus") == "received" else "To")
        return [(_javascript.session_id(f"whatsapp:{options.session_key_prefix}", key), body)]
    status = first_word(body, *_STATUS)
    if status is None:
        raise not_of("whatsapp", "SmsStatus")
    customer, own = ("From", "To") if status in _INBOUND else ("To", "From")
    if not isinstance(body.get(customer), str):
        raise not_of("whatsapp", customer)
    person = first_word(body, (customer,))
    return [(session_of("whatsapp:", Source(person, person, tenant=first_word(body, (own,))), options), body)]


def _field(body: Fields, name: str) -> object:
    return body.get(name, body.get(name[0].lower() + name[1:], _javascript.UNDEFINED))


def _message_id(event: Fields) -> str | None:
    # Each status of a message is posted under the message's own id.
    own, status = first_word(event, ("MessageSid",), ("SmsSid",)), first_word(event, *_STATUS)
    return own if status in _INBOUND or own is None else f"{own}:{status}"


WHATSAPP: Final = Platform(identify=_identify, message_id=_message_id, names_tenant=True, takes_forms=True)
