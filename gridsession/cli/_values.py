"""Values on screen and as typed. What looks secret by its name is masked, at any depth."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from itertools import pairwise
from typing import Any, Final

import typer

from gridsession import _document  # the readable form of values has no public name
from gridsession.errors import GridSessionError

MASKED: Final[dict[str, Any]] = {"$masked": True}
"""What scripts get in place of a secret."""

_PARTS: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|[0-9]+")
_WORDS: Final = frozenset(
    ("auth", "authorization", "bearer", "cookie", "cvc", "cvv", "iban", "jwt", "otp", "pass", "passcode", "pin", "pwd")
)
_ANYWHERE: Final = ("apikey", "credential", "passphrase", "passwd", "password", "secret", "token")
_KEYS: Final = frozenset(("access", "api", "encryption", "private", "session", "signing"))
_CARDS: Final = frozenset(("bank", "card", "credit", "debit"))


def looks_secret(name: str) -> bool:
    """Whether a field's name is one that secrets are kept under."""
    words = [word.lower() for word in _PARTS.findall(name)]
    if _WORDS.intersection(words) or any(part in "".join(words) for part in _ANYWHERE):
        return True
    return any(
        (first in _KEYS and second in ("key", "keys")) or (first in _CARDS and second in ("number", "no", "account"))
        for first, second in pairwise(words)
    )


def shown(name: str, plain: Any, *, reveal: bool) -> Any:
    """A value in its readable form (`gridsession._document`), masked where names in it look secret."""
    if reveal:
        return plain
    if looks_secret(name):
        return MASKED
    if isinstance(plain, list):
        return [shown("", item, reveal=False) for item in plain]
    if not isinstance(plain, dict):
        return plain
    if plain.keys() == {"$dict"}:
        pairs = plain["$dict"]
        return {"$dict": [[key, shown(key if isinstance(key, str) else "", item, reveal=False)] for key, item in pairs]}
    return {key: shown(key, item, reveal=False) for key, item in plain.items()}


def plain(value: Any) -> Any:
    """A stored value in its readable form: JSON, with `{"$decimal": "9.50"}` and the like for other types."""
    return _document._plain(value)


def text(plain: Any) -> str:
    """A readable form as people see it, on one line."""
    return "***" if plain == MASKED else json.dumps(plain, ensure_ascii=False).replace(json.dumps(MASKED), "***")


def assignments(typed: Iterable[str]) -> dict[str, Any]:
    """Fields as typed: `NAME=JSON`, with `{"$decimal": "9.50"}` and the like for other types.

    Raises:
        BadParameter: not that; the value itself is not told.
    """
    fields: dict[str, Any] = {}
    for one in typed:
        name, equals, value = one.partition("=")
        if not equals or not name:
            raise typer.BadParameter("write fields as NAME=JSON, e.g. step='\"pay\"' count=3")
        fields[name] = parsed(name, value)
    return fields


def parsed(name: str, typed: str) -> Any:
    """A value as typed.

    Raises:
        BadParameter: not JSON, or a form of a type that is not of that type; the value itself is not told.
    """
    try:
        return _document._value(json.loads(typed))
    except json.JSONDecodeError as error:
        raise typer.BadParameter(
            f"the value of {name!r} is not JSON (at character {error.pos + 1}); text needs quotes of its own, as in"
            f" {repr(name)[1:-1]}='\"text\"'"
        ) from None
    except (GridSessionError, ValueError, TypeError, KeyError, AttributeError, ArithmeticError, RecursionError):
        raise typer.BadParameter(f"the value of {name!r} is no form of a value that gridsession knows") from None
