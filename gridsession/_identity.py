"""Names of sessions: `platform:key`, injective, never parsed twice.

The platform is a short word without a colon, so the first colon of the text ends it and the key may hold anything
else: `SessionId(*parts)` and `SessionId.parse(text)` are inverses of each other for every pair of parts. Nothing is
folded or normalised; two ids that differ in one byte of their UTF-8 form are two sessions.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from gridsession.errors import InvalidOption, InvalidSessionId

MAX_ID_BYTES = 2048
"""Longest text form of an id in UTF-8 bytes (the issue's limit; the member checks it again)."""

_PLATFORM = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")
# Most ids: all that `SessionId.parse` asks for, seen at one glance.
_PLAIN = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}:[\x01-\x7f]+")
_NAMESPACE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,63}")


class SessionId(NamedTuple):
    """What names a session: a platform and that platform's key of a conversation.

    Attributes:
        platform: 1 to 64 of `a-z 0-9 _ . -`, starting with a letter or digit.
        key: the platform's own key, any text without NUL; at least one character.
    """

    platform: str
    key: str

    @property
    def text(self) -> str:
        """The text form, `platform:key`."""
        return f"{self.platform}:{self.key}"

    def __str__(self) -> str:
        return self.text

    @classmethod
    def parse(cls, text: str | SessionId) -> SessionId:
        """Read the text form; a `SessionId` is checked and returned.

        Raises:
            InvalidSessionId: no platform, an empty key, NUL or a lone surrogate, or more than 2048 bytes.
        """
        if isinstance(text, SessionId):
            platform, key = text
            if type(platform) is not str or type(key) is not str:
                raise InvalidSessionId("platform and key of a session id are text")
            text = text.text
        elif isinstance(text, str):
            platform, colon, key = text.partition(":")
            if not colon:
                raise InvalidSessionId(
                    f"{_short(text)} is not a session id: write it as 'platform:key', e.g. 'line:U123'"
                )
        else:
            raise InvalidSessionId(f"a session id is text like 'line:U123', not {type(text).__name__}")
        if not _PLATFORM.fullmatch(platform):
            raise InvalidSessionId(
                f"the platform of {_short(text)} must be 1 to 64 of a-z 0-9 _ . - and start with a letter or digit"
            )
        if not key:
            raise InvalidSessionId(f"{_short(text)} has an empty key")
        check_key_text(text)
        return cls(platform, key)


def id_text(session_id: str | SessionId) -> str:
    """The text form of what names a session, once it is checked.

    Raises:
        InvalidSessionId: as `SessionId.parse`.
    """
    if type(session_id) is str and len(session_id) <= MAX_ID_BYTES and _PLAIN.fullmatch(session_id):
        return session_id
    return SessionId.parse(session_id).text


def check_key_text(text: str) -> bytes:
    """The UTF-8 bytes of the text of an id or the name of a global.

    Raises:
        InvalidSessionId: NUL, a lone surrogate, or more than 2048 bytes.
    """
    if "\0" in text:
        raise InvalidSessionId(f"{_short(text)} contains NUL")
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        raise InvalidSessionId(f"{_short(text)} contains a lone surrogate, which has no UTF-8 form") from None
    if len(encoded) > MAX_ID_BYTES:
        raise InvalidSessionId(f"{_short(text)} takes {len(encoded)} bytes; at most {MAX_ID_BYTES} are allowed")
    return encoded


class Space(NamedTuple):
    """Where records live side by side: one namespace's sessions, or its globals.

    Attributes:
        namespace: one bot or tenant; maps of their own, never a prefix inside an id.
        kind: `sessions` or `globals`.
    """

    namespace: str
    kind: str = "sessions"


def check_namespace(namespace: str) -> str:
    """Return the namespace if it can name a map.

    Raises:
        InvalidOption: not 1 to 64 of `A-Z a-z 0-9 _ -`, starting with a letter or digit.
    """
    if not _NAMESPACE.fullmatch(namespace):
        raise InvalidOption(
            f"namespace {namespace!r} must be 1 to 64 of A-Z a-z 0-9 _ - and start with a letter or digit"
        )
    return namespace


def _short(text: str) -> str:
    shown = ascii(text[:64])
    return shown if len(text) <= 64 else f"{shown}... ({len(text)} characters)"
