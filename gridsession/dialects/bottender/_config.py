"""Bottender's configuration: a dict, or a file in TOML or JSON, names in snake_case or camelCase."""

from __future__ import annotations

import difflib
import json
import os
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from gridsession import SessionStore, platforms
from gridsession.dialects.bottender._places import (
    Options,
    file_url,
    in_snake_case,
    memory_url,
    mongo_url,
    named,
    redis_url,
    section,
)
from gridsession.dialects.bottender._state import storable
from gridsession.dialects.bottender._stores import Lifetime
from gridsession.drivers import Driver
from gridsession.errors import InvalidOption

_CHANNEL_OPTIONS: Final = (
    "mode",
    "session_key_prefix",
    "scope",
    "tenant",
    "rules",
    "include_bot_messages",
    "mock_platform",
)
_PREFIX_BY_FUNCTION: Final = "get_session_key_prefix"
"""Bottender's name for a `session_key_prefix` that is a function."""
_NAME: Final = re.compile(r"[\w.-]{1,64}")
_HAZELCAST: Final = ("url", "members", "cluster", "namespace", "connect_timeout", "max_in_flight")
_LMDB: Final = ("path", "namespace", "fsync", "max_bytes")


@dataclass(frozen=True, slots=True)
class Settings:
    """A configuration, checked.

    Attributes:
        place: a URL, a store, or what makes one when it is called.
        expires_in: minutes or a timedelta; None = as the place has it, and a place of itself never expires.
        initial_state: the state of new sessions, a copy.
        channels: by platform, options of `gridsession.platforms`.
    """

    place: object
    expires_in: Lifetime
    initial_state: dict[str, Any]
    channels: dict[str, dict[str, Any]]


def read_config(config: Options | str | os.PathLike[str] | None) -> Settings:
    """The settings of a configuration or of its file; of none, Bottender's defaults.

    Raises:
        InvalidOption: a name that is not known, a driver that is not, a value that makes no sense, or no such file.
        InvalidValue: an initial state that cannot be stored.
    """
    if config is None or isinstance(config, Mapping):
        told = config or {}
    elif isinstance(config, (str, os.PathLike)):
        told = _from_file(Path(config))
    else:
        raise InvalidOption(f"the configuration is a mapping or the path of a file, not {type(config).__name__}")
    found = named("the configuration", told, "session", "initial_state", "channels", "plugins")
    session = named("session", found.get("session") or {}, "driver", "expires_in", "stores")
    channels = found.get("channels") or {}
    return Settings(
        _place(session.get("driver"), section("session.stores", session.get("stores") or {})),
        session.get("expires_in"),
        storable(found.get("initial_state") or {}, "initial_state"),
        {name: _channel(name, options) for name, options in section("channels", channels).items()},
    )


def _from_file(path: Path) -> Options:
    try:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".toml":
            return tomllib.loads(text)
        if path.suffix == ".json":
            return section(path.name, json.loads(text))
    except OSError as error:
        raise InvalidOption(f"the configuration {path.name} cannot be read: {error.strerror}") from None
    except ValueError as error:  # UnicodeDecodeError, JSONDecodeError and TOMLDecodeError are
        raise InvalidOption(f"the configuration {path.name} is not what its name says: {error}") from None
    raise InvalidOption(f"write the configuration as TOML or JSON (bottender.config.toml), not {path.suffix or 'so'}")


# --- where sessions live ----------------------------------------------------------------------------------------------


def _place(driver: object, stores: Options) -> object:
    """What the driver's name stands for. Stores that are not chosen are checked too: they will be one day."""
    places: dict[str, object] = {name: make(None) for name, make in _BUILT_IN.items()}
    for name, options in stores.items():
        places[name] = _built_in(name, options) if name in _BUILT_IN else _custom(name, options)
    if isinstance(driver, Mapping):
        driver = _by_environment(driver)
    if driver is None:
        return os.environ.get("GRIDSESSION_URL") or places["memory"]
    if isinstance(driver, str) and "://" in driver:
        return driver
    if not isinstance(driver, str) or driver not in places:
        # Only what looks like a name is shown: a URL that was mistyped may hold a password.
        is_name = isinstance(driver, str) and _NAME.fullmatch(driver)
        shown = repr(driver) if is_name else f"(a {type(driver).__name__})"
        raise InvalidOption(
            f"session.driver {shown} is not known; known are: {', '.join(sorted(places))}, and the URL of any driver"
        )
    return places[driver]


def _by_environment(choice: Options) -> object:
    """The driver that `{env = "APP_ENV", production = "mongo", default = "memory"}` chooses."""
    variable = choice.get("env")
    if not isinstance(variable, str):
        raise InvalidOption("session.driver by environment names a variable: {env = 'APP_ENV', production = 'mongo'}")
    value = os.environ.get(variable, "")
    if value != "env" and value in choice:
        return choice[value]
    if "default" not in choice:
        known = ", ".join(sorted(name for name in choice if name != "env"))
        raise InvalidOption(f"{variable} is none of {known}, which session.driver goes by, and it has no default")
    return choice["default"]


def _built_in(name: str, options: object) -> str:
    if isinstance(options, Mapping):
        section(f"session.stores.{name}", options)
    return _BUILT_IN[name](options)


def _memory(options: Any) -> str:
    return memory_url(options)


def _file(options: Any) -> str:
    if isinstance(options, Mapping):
        options = named("session.stores.file", options, "dirname").get("dirname")
    return file_url(options or ".session")


def _redis(options: Any) -> str:
    if isinstance(options, Mapping) and "url" in options:
        return redis_url(named("session.stores.redis with a url", options, "url")["url"])
    return redis_url(options)


def _mongo(options: Any) -> str:
    return mongo_url(options, None)


def _hazelcast(options: Any) -> str:
    if isinstance(options, str):
        return options
    told = named("session.stores.hazelcast", options or {}, *_HAZELCAST)
    url, members, cluster = (told.pop(name, None) for name in ("url", "members", "cluster"))
    if url is not None:
        if members or cluster:
            raise InvalidOption("session.stores.hazelcast takes a url, or members and cluster, not both")
        return _with_options("hazelcast", url, told)
    members = ["localhost:5701"] if members is None else members
    if not isinstance(members, (list, tuple)) or not all(isinstance(member, str) for member in members):
        raise InvalidOption("members of session.stores.hazelcast is a list of 'host:port'")
    if cluster is not None and not isinstance(cluster, str):
        raise InvalidOption(f"cluster of session.stores.hazelcast is its name, not a {type(cluster).__name__}")
    place = f"hazelcast://{','.join(members)}"
    return _with_options("hazelcast", f"{place}/{cluster}" if cluster else place, told)


def _lmdb(options: Any) -> str:
    told = named("session.stores.lmdb", {"path": options} if isinstance(options, str) else options or {}, *_LMDB)
    path = told.pop("path", ".session-lmdb")
    if not isinstance(path, (str, os.PathLike)):
        raise InvalidOption(f"path of session.stores.lmdb is a directory, not a {type(path).__name__}")
    return _with_options("lmdb", f"lmdb://{quote(str(Path(path).absolute()))}", told)


def _with_options(name: str, url: object, options: Options) -> str:
    if not isinstance(url, str):
        raise InvalidOption(f"url of session.stores.{name} must be text, not {type(url).__name__}")
    asked = "&".join(f"{option}={quote(str(value))}" for option, value in options.items())
    return f"{url}{'&' if '?' in url else '?'}{asked}" if asked else url


_BUILT_IN: Final[dict[str, Callable[[Any], str]]] = {
    "file": _file,
    "hazelcast": _hazelcast,
    "lmdb": _lmdb,
    "memory": _memory,
    "mongo": _mongo,
    "redis": _redis,
}


def _custom(name: str, store: object) -> object:
    if isinstance(store, dict):
        # A dict could keep sessions, but here it stands for options of a driver that is not there.
        known = ", ".join(sorted(_BUILT_IN))
        raise InvalidOption(f"session.stores.{name} has options, but no driver has this name; known are: {known}")
    if isinstance(store, str):
        if "://" not in store:
            raise InvalidOption(f"session.stores.{name} is text but no URL: in a dict it may be a store of your own")
        return store
    if callable(store) or is_store(store):
        return store
    raise InvalidOption(
        f"session.stores.{name} is no store: give an object with init, read, write and destroy, what makes one when it"
        " is called, or a URL"
    )


def is_store(found: object) -> bool:
    """Whether this is a store, or a thing to make one with: a class has the methods too."""
    if isinstance(found, type):
        return False
    pairs = (("read", "write"), ("get", "set"), ("get", "put"))
    return isinstance(found, (SessionStore, Driver)) or any(
        all(callable(getattr(found, method, None)) for method in pair) for pair in pairs
    )


# --- whose sessions ---------------------------------------------------------------------------------------------------


def _channel(name: str, options: object) -> dict[str, Any]:
    """What a channel says of its sessions. What else it says is for who talks to the platform, and read over."""
    platforms.message_id(name, {})  # raises, with the list, for a platform that is not known
    known = (*_CHANNEL_OPTIONS, _PREFIX_BY_FUNCTION)
    told = in_snake_case(f"channels.{name}", options)
    for option in told:
        meant = difflib.get_close_matches(option, known, 1, 0.8)
        if meant and option not in known:
            raise InvalidOption(f"channels.{name} has no option {option[:64]!a}: is {meant[0]} meant?")
    if _PREFIX_BY_FUNCTION in told:
        told["session_key_prefix"] = told[_PREFIX_BY_FUNCTION]
    return {option: value for option, value in told.items() if option in _CHANNEL_OPTIONS}
