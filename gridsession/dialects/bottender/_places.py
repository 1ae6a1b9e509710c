"""What Bottender's and toolbot's constructors are told, as the URL of a place of ours."""

from __future__ import annotations

import datetime as dt
import ipaddress
import math
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, TypeAlias
from urllib.parse import quote, urlencode

from gridsession.errors import InvalidOption
from gridsession.policy import milliseconds

Options: TypeAlias = Mapping[str, Any]

YEAR: Final = dt.timedelta(days=365)
"""The documented life of a session whose store was not told another."""
_REDIS_OPTIONS: Final = ("host", "port", "username", "password", "db", "family", "tls", "key_prefix")
_LOOPBACK: Final = {4: "127.0.0.1", 6: "::1"}
_CAPITAL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")


def named(what: str, given: object, *known: str) -> dict[str, Any]:
    """Options by their names in snake_case, whichever way they were written.

    Raises:
        InvalidOption: a name that is not known; the message lists those that are.
    """
    told = in_snake_case(what, given)
    for name in told:
        if name not in known:
            raise InvalidOption(f"{what} has no option {name[:64]!a}; known are: {', '.join(known)}")
    return told


def in_snake_case(what: str, given: object) -> dict[str, Any]:
    """The same, whatever names there are.

    Raises:
        InvalidOption: no mapping of names, or two ways to write one name.
    """
    told: dict[str, Any] = {}
    for name, value in section(what, given).items():
        snake = _CAPITAL.sub(r"_\1", name).lower()
        if snake in told:
            raise InvalidOption(f"option {snake[:64]} of {what} is given twice")
        told[snake] = value
    return told


def section(what: str, given: object) -> Options:
    """What is given, if it is a mapping of names to values.

    Raises:
        InvalidOption: it is none.
    """
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InvalidOption(f"{what} must be a mapping of names to values, not {type(given).__name__}")
    return given


def seconds_of(expires_in: float | dt.timedelta | None, unit: float) -> float | None:
    """How long sessions live, in seconds; None = for ever.

    Args:
        expires_in: in units of `unit` seconds, a minute's or one, or a timedelta; `math.inf` = for ever.

    Raises:
        InvalidOption: not positive.
    """
    if expires_in is None or expires_in == math.inf:
        return None
    word = "seconds" if unit == 1 else "minutes"
    if isinstance(expires_in, dt.timedelta):
        return milliseconds(expires_in, "expires_in") / 1000
    if isinstance(expires_in, bool) or not isinstance(expires_in, (int, float)):
        raise InvalidOption(f"expires_in must be {word} or a timedelta, not {type(expires_in).__name__}")
    try:
        return milliseconds(expires_in * unit, "expires_in") / 1000
    except (InvalidOption, OverflowError):
        raise InvalidOption(f"expires_in must be positive and at most 100 years, not {expires_in} {word}") from None


def memory_url(max_size: float | Options | None) -> str:
    """`max_size` sessions, the least recently used ones forgotten beyond; none, 0 or infinity = without limit."""
    if isinstance(max_size, Mapping):
        max_size = named("MemorySessionStore", max_size, "max_size").get("max_size")
    if not max_size or max_size == math.inf:
        return "memory://"
    if isinstance(max_size, bool) or not isinstance(max_size, (int, float)) or max_size != int(max_size):
        raise InvalidOption(f"max_size of MemorySessionStore must be a whole number, not {type(max_size).__name__}")
    return f"memory://?max_size={int(max_size)}"


def file_url(directory: str | os.PathLike[str] | Options | None) -> str:
    """A directory; `.sessions` of the working directory if none is named."""
    if isinstance(directory, Mapping):
        directory = named("FileSessionStore", directory, "dirname").get("dirname")
    if directory is not None and not isinstance(directory, (str, os.PathLike)):
        raise InvalidOption(f"dirname of FileSessionStore must be a path, not {type(directory).__name__}")
    return Path(directory or ".sessions").absolute().as_uri()


def mongo_url(url: str | Options | None, options: Options | None) -> str:
    """A server or several, and the collection; 127.0.0.1:27017 and `sessions` if they are not named."""
    if isinstance(url, Mapping):
        if options:
            raise InvalidOption("give MongoSessionStore its options once: in the first argument or in the second")
        url, options = None, url
    told = named("MongoSessionStore", options or {}, "url", "collection_name")
    url = _text("url of MongoSessionStore", url or told.get("url") or "mongodb://127.0.0.1:27017")
    if not url.startswith(("mongodb://", "mongodb+srv://")):
        raise InvalidOption("the url of MongoSessionStore begins with mongodb:// or mongodb+srv://")
    collection = _text("collection_name of MongoSessionStore", told.get("collection_name") or "sessions")
    return f"{url}{'&' if '?' in url else '?'}collection={quote(collection, safe='')}"


def redis_url(option: str | int | Options | None) -> str:
    """A port, a URL, or parts by name; 127.0.0.1:6379 where nothing else is said."""
    if isinstance(option, str) and not option.isdigit():
        if "://" not in option:
            option = f"redis://{option}"
        if not option.startswith(("redis://", "rediss://", "redis+")):
            raise InvalidOption("the URL of RedisSessionStore begins with redis:// or rediss://")
        return option
    if option is None or isinstance(option, (int, str)):
        option = {} if option is None else {"port": option}
    told = named("RedisSessionStore", option, *_REDIS_OPTIONS)
    host, family = _host(told.get("host"), told.get("family"))
    port, database = (_number(name, told.get(name), default) for name, default in (("port", 6379), ("db", 0)))
    if not 0 < port < 65536:
        raise InvalidOption(f"port of RedisSessionStore must be 1 to 65535, not {port}")
    user, password = (quote(_text(name, told.get(name) or ""), safe="") for name in ("username", "password"))
    login = f"{user}:{password}@" if password else f"{user}@" if user else ""
    # theirs is an object of options, and an empty one asks for TLS too
    scheme = "redis" if told.get("tls") in (None, False) else "rediss"
    prefix = _text("key_prefix", told.get("key_prefix") or "")
    asked = urlencode({name: value for name, value in (("family", family), ("prefix", prefix)) if value})
    return f"{scheme}://{login}{host}:{port}/{database}{'?' if asked else ''}{asked}"


def without_login(url: str, message: str) -> str:
    """An error's text, if no part of the URL's user or password stands in it; else one that tells how to write them."""
    scheme, _, location = url.partition("://")
    login = location.rpartition("@")[0]
    if any(part and part in message for part in re.split(r"[/:@?#&=]", login)):
        return (
            f"the {scheme}:// URL cannot be read: write it as {scheme}://user:password@host:port, with / : @ ? # % in a"
            " password percent-encoded"
        )
    return message


def _host(host: object, family: object) -> tuple[str, int]:
    """The host as a URL writes it, and the family that its name is to be looked up in; 0 = any, or it is an address."""
    number = _number("family", family, 0)
    if number not in (0, 4, 6):
        raise InvalidOption("family of RedisSessionStore is 4 (IPv4) or 6 (IPv6)")
    text = _text("host", host or "localhost" if number else host or "127.0.0.1").strip("[]")
    if number and text == "localhost":
        text = _LOOPBACK[number]
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        if not re.fullmatch(r"[\w.-]+", text):
            raise InvalidOption("host of RedisSessionStore is neither a name nor an address") from None
        return text, number
    if number and address.version != number:
        raise InvalidOption(f"host of RedisSessionStore is an IPv{address.version} address, but family is {number}")
    return (f"[{text}]" if address.version == 6 else text), 0


def _text(name: str, value: object) -> str:
    if not isinstance(value, str):
        raise InvalidOption(f"{name} must be text, not {type(value).__name__}")
    return value


def _number(name: str, value: object, default: int) -> int:
    if value is None or value == "":
        return default
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not str(value).isdecimal():
        raise InvalidOption(f"{name} of RedisSessionStore must be a whole number")
    return int(value)
