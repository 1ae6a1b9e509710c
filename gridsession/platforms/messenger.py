"""Messenger, and Facebook pages with Messenger: a body holds entries of a page, and these hold lists of events.

The session is the person's, by the page-scoped id: the sender's, or of an echo the recipient's. What names no person
(an opt-in by `user_ref` alone, a policy notice) belongs to nobody. `facebook` is the same with ids of its own,
`facebook:...`, and has the changes of a page's feed as events that belong to nobody.

`strict` takes all events of an entry, where Bottender takes the first, and leaves Instagram's bodies alone, whose ids
are of another space. An event that is posted bare, without entries, is taken as one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
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
    plain_word,
    session_of,
)
from gridsession.platforms._javascript import UNDEFINED, first, has, member, truthy
from gridsession.platforms._options import Mode, Options


def _identify(body: Fields, mode: Mode, options: Options) -> Identified:
    if mode == "strict":
        return [
            (session_of("messenger:", _source(event, page), options), event)
            for kind, event, page in _received("messenger", body)
            if kind != "changes"
        ]
    head = f"messenger:{options.session_key_prefix}"
    if options.rules != "1.5":
        return _legacy(body, head, options.rules)
    raws = _raw_events(body)
    for raw in raws:
        if has(raw, "message"):
            member(member(raw, "message"), "isEcho")
    return [(_javascript.session_id(head, _key(raw)), _fields(raw)) for raw in raws]


def _identify_facebook(body: Fields, mode: Mode, options: Options) -> Identified:
    if mode == "strict":
        return [
            (None if kind == "changes" else session_of("facebook:", _source(event, page), options), event)
            for kind, event, page in _received("facebook", body)
        ]
    if body.get("object") != "page":
        return []
    head = f"facebook:{options.session_key_prefix}"
    identified: Identified = []
    for entry in _entries(body):
        kind = next((kind for kind in ("messaging", "standby", "changes") if has(entry, kind)), None)
        if kind is not None:
            raw = first(member(entry, kind))
            key = _key(raw) if kind != "changes" else None
            identified.append((_javascript.session_id(head, key), _fields(raw)))
    return identified


def _received(platform: str, body: Fields) -> list[tuple[str, Fields, str | None]]:
    """Kind, event and page of each event in the body."""
    if "entry" not in body and any(isinstance(body.get(party), Mapping) for party in ("sender", "recipient")):
        return [("messaging", body, None)]
    if body.get("object") == "instagram":
        return []
    if body.get("object", "page") != "page":
        raise not_of(platform, "object page")
    received: list[tuple[str, Fields, str | None]] = []
    for number, entry in enumerate(listed(platform, body, "entry")):
        for kind in ("messaging", "standby", "changes"):
            if kind in entry:
                page = plain_word(entry.get("id"))
                received += [(kind, event, page) for event in listed(platform, entry, kind, f"entry[{number}].")]
    return received


def _source(event: Fields, page: str | None) -> Source:
    parties = ("recipient", "sender") if at(event, "message", "is_echo") is True else ("sender", "recipient")
    person, own = (first_word(event, (party, "id")) for party in parties)
    return Source(person, person, tenant=page or own)


def _entries(body: Fields) -> list[object]:
    entries = member(body, "entry")
    if not isinstance(entries, list):
        raise _javascript.RaisesTypeError("entry.map")
    return entries


def _raw_events(body: Fields) -> list[object]:
    if not has(body, "entry"):
        return [body]
    entries = _entries(body)
    raws: list[object] = []
    for entry in entries:
        kind = next((kind for kind in ("messaging", "standby") if has(entry, kind)), None)
        raws.append(first(member(entry, kind)) if kind else None)
    has(first(entries), "standby")  # asked of the first entry, so a body without entries fails
    return [raw for raw in raws if raw is not None and raw is not UNDEFINED]


def _key(raw: object) -> object:
    if not truthy(raw):
        return None
    if has(raw, "message") and truthy(member(member(raw, "message"), "is_echo")):
        recipient = member(raw, "recipient")
        if truthy(recipient):
            return member(recipient, "id")
    return member(member(raw, "sender"), "id") if has(raw, "sender") else None


def _legacy(body: Fields, head: str, rules: str) -> Identified:
    kinds = ("messaging", "standby") if rules == "toolbot" else ("messaging", "standby", "changes")
    raws: list[object] = [body]
    batched = has(body, "entry") if rules == "1.0" else truthy(member(body, "entry"))
    if batched:
        raws = []
        for entry in _entries(body):
            found = next((held for kind in kinds if truthy(held := member(entry, kind))), None)
            raw = None if found is None else first(found)
            raws += [] if raw is None or raw is UNDEFINED else [raw]
    raw = raws[0] if raws else UNDEFINED
    key = _legacy_key(raw) if rules == "toolbot" or truthy(raw) else None
    session_id = _javascript.session_id(head, key)
    if batched:
        member(first(_entries(body)), "standby")
    return [(session_id, _fields(raw)) for raw in raws]


def _legacy_key(raw: object) -> object:
    message, recipient = member(raw, "message"), member(raw, "recipient")
    if truthy(message) and truthy(member(message, "is_echo")) and truthy(recipient):
        return member(recipient, "id")
    sender = member(raw, "sender")
    return member(sender, "id") if truthy(sender) else None


def _fields(raw: object) -> Fields:
    return raw if isinstance(raw, Mapping) else {}


def _message_id(event: Fields) -> str | None:
    return first_word(event, ("message", "mid"), ("postback", "mid"))


def _enclosed(event: Fields) -> Fields:
    return {"object": "page", "entry": [{"changes" if "field" in event else "messaging": [event]}]}


def _platform(identify: Callable[[Fields, Mode, Options], Identified], *rules: str) -> Platform:
    return Platform(
        identify=identify,
        message_id=_message_id,
        rules=rules,
        names_tenant=True,
        batch="entry",
        enclose=_enclosed,
    )


MESSENGER: Final = _platform(_identify, "1.5", "1.0", "0.15", "toolbot")
FACEBOOK: Final = _platform(_identify_facebook, "1.5")
