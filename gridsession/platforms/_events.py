"""What the platform files share: their promise to the package, and the reading of untrusted bodies."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import NoReturn, TypeAlias
from urllib.parse import parse_qsl

from gridsession.errors import UnknownEvent
from gridsession.platforms._options import Mode, Options

MAX_BODY = 1 << 20
"""Longest body that is parsed, in bytes or characters; the platforms post some kilobytes."""

MAX_DEPTH = 64
"""Deepest nesting of arrays and objects that is accepted in a body given as JSON."""

MAX_FORM_FIELDS = 256
"""Most fields of a form; Twilio posts some thirty."""

Fields: TypeAlias = Mapping[str, object]
Identified: TypeAlias = list[tuple[str | None, Fields]]


@dataclass(frozen=True, slots=True)
class Platform:
    """One platform's file, as the package sees it.

    Attributes:
        identify: parsed body, mode and options -> (session id or None, event) in the order of the body. Raises
            `UnknownEvent` for a wrong envelope, in mode `bottender` also `RaisesTypeError`, and nothing else whatever
            the body holds.
        message_id: event -> the platform's own id of this delivery, or None. Never raises.
        rules: the values that option `rules` may have.
        names_tenant: whether bodies say whose they are, so that option `tenant` may be True.
        takes_forms: whether bodies given as text may be urlencoded forms.
        batch: the field of a body that holds several events; empty where a body is one event.
        enclose: one event -> a body that holds it alone.
    """

    identify: Callable[[Fields, Mode, Options], Identified]
    message_id: Callable[[Fields], str | None]
    rules: tuple[str, ...] = ("1.5",)
    names_tenant: bool = False
    takes_forms: bool = False
    batch: str = ""
    enclose: Callable[[Fields], Fields] = lambda event: event


@dataclass(frozen=True, slots=True)
class Source:
    """Where an event comes from, each part as the platform names it, None where there is none.

    Attributes:
        chat: what all who take part in the conversation share.
        user: who did what the event tells.
        thread: the thread or topic inside the chat.
        tenant: whose bot it is: a team, a page, a bot's own address.
    """

    chat: str | None
    user: str | None
    thread: str | None = None
    tenant: str | None = None


def session_of(head: str, source: Source, options: Options) -> str | None:
    """The session id of an event in mode `strict`; `head` is `platform:`, or nothing where ids are bare keys."""
    whole = source.chat or source.user
    parts: tuple[str | None, ...] = (whole,)
    if options.scope == "user":
        parts = (source.user,)
    elif options.scope == "user_in_chat":
        parts = (source.user, source.chat)
    elif options.scope == "thread" and source.thread is not None:
        parts = (whole, source.thread)
    if options.tenant:
        # A body that does not say whose it is must not meet the others' under the bare key.
        parts = (source.tenant if options.tenant is True else options.tenant, *parts)
    present = [part for part in parts if part is not None]
    return head + options.session_key_prefix + _joined(present) if len(present) == len(parts) else None


def _joined(parts: list[str]) -> str:
    # Only the last part may hold the separator as it is, so that the joined text stands for these parts only.
    first = [part.replace("%", "%25").replace(":", "%3A") for part in parts[:-1]]
    return ":".join([*first, parts[-1]])


def not_of(platform: str, missing: str) -> UnknownEvent:
    """The error for a body whose envelope lacks `missing`."""
    return UnknownEvent(
        f"not a webhook body of {platform}: {missing} is missing or of another type", platform=platform, missing=missing
    )


def read_body(platform: str, body: object, *, takes_forms: bool = False) -> Fields:
    """The body as fields; one that is parsed already is returned as it is.

    Raises:
        UnknownEvent: neither a JSON object nor, where those are taken, a form; not UTF-8; too long or too deep.
    """
    if isinstance(body, Mapping):
        return body
    if not isinstance(body, (bytes, bytearray, str)):
        raise not_of(platform, "a JSON object")
    if len(body) > MAX_BODY:
        raise _refused(platform, f"it is longer than {MAX_BODY} bytes")
    try:
        text = body if isinstance(body, str) else body.decode()
    except UnicodeDecodeError:
        raise not_of(platform, "text in UTF-8") from None
    if takes_forms and not text.lstrip().startswith(("{", "[")):
        return _read_form(platform, text)
    return read_json(platform, text)


def read_json(platform: str, text: str) -> Fields:
    """The JSON object that the text holds.

    Raises:
        UnknownEvent: not JSON, not an object, or too deep.
    """
    try:
        parsed = json.loads(text, parse_constant=_no_constant)
    except RecursionError:
        raise _refused(platform, f"it is nested deeper than {MAX_DEPTH}") from None
    except ValueError:  # JSONDecodeError's text may quote the body
        raise not_of(platform, "JSON text in UTF-8") from None
    if not isinstance(parsed, dict):
        raise not_of(platform, "a JSON object")
    # Brackets in strings count too, so few of them prove the body shallow without walking it.
    if text.count("{") + text.count("[") > MAX_DEPTH and _deeper_than(parsed, MAX_DEPTH):
        raise _refused(platform, f"it is nested deeper than {MAX_DEPTH}")
    return parsed


def _read_form(platform: str, text: str) -> Fields:
    try:
        pairs = parse_qsl(text, keep_blank_values=True, errors="strict", max_num_fields=MAX_FORM_FIELDS)
    except ValueError:  # UnicodeDecodeError too
        raise not_of(platform, f"a form of at most {MAX_FORM_FIELDS} fields in UTF-8") from None
    if not pairs:
        raise not_of(platform, "a form's first field")
    form: dict[str, object] = {}
    for name, value in pairs:
        # A field that is posted twice has no one value: as in Express it becomes a list, which is no id.
        form[name] = value if name not in form else [form[name], value]
    return form


def at(event: object, *path: str) -> object:
    """The value at a path of nested mappings, or None where there is none."""
    for name in path:
        if not isinstance(event, Mapping):
            return None
        event = event.get(name)
    return event


def first_word(event: object, *paths: tuple[str, ...]) -> str | None:
    """The first of the places that holds a `plain_word`."""
    return next((word for path in paths if (word := plain_word(at(event, *path))) is not None), None)


def listed(platform: str, holder: Fields, name: str, place: str = "") -> list[Fields]:
    """The objects of a list in an envelope; `place` is where the holder stands, as `entry[0].`.

    Raises:
        UnknownEvent: no list, or one of something else than objects.
    """
    items = holder.get(name)
    if not isinstance(items, list):
        raise not_of(platform, f"{place}{name}")
    for number, item in enumerate(items):
        if not isinstance(item, Mapping):
            raise not_of(platform, f"{place}{name}[{number}]")
    return items


def whole_number(value: object) -> str | None:
    """The decimal text of an id that is an integer of at most 64 bits, else None; True is no number."""
    if isinstance(value, int) and not isinstance(value, bool) and -(1 << 63) <= value < 1 << 63:
        return str(int(value))
    return None


def plain_word(value: object) -> str | None:
    """An id of 1 to 256 visible ASCII characters without blanks, else None."""
    if not isinstance(value, str) or not 0 < len(value) <= 256:
        return None
    return value if value.isascii() and value.isprintable() and " " not in value else None


def _refused(platform: str, why: str) -> UnknownEvent:
    return UnknownEvent(f"the body for {platform} was not read: {why}", platform=platform, missing="a sane size")


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


def _deeper_than(value: object, limit: int) -> bool:
    level: list[object] = [value]
    for _ in range(limit):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer if isinstance(outer, list) else ())
        ]
        if not level:
            return False
    return any(isinstance(value, (dict, list)) for value in level)
