"""The options of `session_ids` and `events`: which a platform takes, what their values mean, and their checks."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Final, Literal, TypeAlias, cast

from gridsession.errors import InvalidOption

if TYPE_CHECKING:
    from gridsession.platforms._events import Platform

Mode: TypeAlias = Literal["strict", "bottender"]
Scope: TypeAlias = Literal["chat", "user", "user_in_chat", "thread"]
Rules: TypeAlias = Literal["0.15", "1.0", "1.5", "toolbot", "opengram"]

MODES: Final = ("strict", "bottender")
SCOPES: Final = ("chat", "user", "user_in_chat", "thread")
_PLATFORM_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_.-]{0,63}")


@dataclass(frozen=True, slots=True)
class Options:
    """The options of one call, checked.

    Attributes:
        session_key_prefix: text put before the key.
        scope: whose session it is.
        tenant: text put before the key as a part of its own; True takes it from the body.
        rules: whose rules and of which version, in mode `bottender`.
        include_bot_messages: whether what bots post in Slack is an event.
        mock_platform: the platform that the console plays.
    """

    session_key_prefix: str = ""
    scope: Scope = "chat"
    tenant: str | bool = False
    rules: str = "1.5"
    include_bot_messages: bool = False
    mock_platform: str = "console"


_OF_ONE_PLATFORM: Final = {"include_bot_messages": "slack", "mock_platform": "console"}
_NOT_GIVEN: Final[Mapping[str, object]] = {
    **{option.name: option.default for option in fields(Options)},
    "rules": None,
    "mock_platform": None,
}


def read_options(name: str, platform: Platform, mode: object, **given: object) -> tuple[Mode, Options]:
    """The mode and the options that hold: `rules` are Bottender's, so naming them asks for mode `bottender`.

    Raises:
        InvalidOption: an option that the platform does not take, a value that it cannot have, or one for another mode.
    """
    if mode not in MODES:
        raise InvalidOption(f"mode must be 'strict' or 'bottender', not {shown(mode)}")
    options = Options()
    for option, value in given.items():
        if value != _NOT_GIVEN[option]:
            if _OF_ONE_PLATFORM.get(option, name) != name:
                raise InvalidOption(f"{option} is an option of {_OF_ONE_PLATFORM[option]}, not of platform {name}")
            options = _with(options, name, platform, option, value)
    if given["rules"] is not None:
        mode = "bottender"
    if mode == "bottender" and (options.scope != "chat" or options.tenant):
        raise InvalidOption(f"scope and tenant of platform {name} need mode 'strict': Bottender knows neither")
    return mode, options


def shown(name: object) -> str:
    """What a caller wrote, for an error text: short, and never more than a word of it."""
    return ascii(name[:64]) if isinstance(name, str) else f"a {type(name).__name__}"


def _with(options: Options, name: str, platform: Platform, option: str, value: object) -> Options:
    if option == "session_key_prefix":
        return replace(options, session_key_prefix=_printable(name, option, value))
    if option == "scope":
        if not (isinstance(value, str) and value in SCOPES):
            raise InvalidOption(f"scope of platform {name} must be one of {', '.join(SCOPES)}, not {shown(value)}")
        return replace(options, scope=cast(Scope, value))
    if option == "tenant":
        return replace(options, tenant=_tenant(name, platform, value))
    if option == "rules":
        if not (isinstance(value, str) and value in platform.rules):
            known = ", ".join(platform.rules) or "none"
            raise InvalidOption(f"platform {name} has no rules {shown(value)}; known are: {known}")
        return replace(options, rules=value)
    if option == "include_bot_messages":
        if not isinstance(value, bool):
            raise InvalidOption(f"include_bot_messages must be True or False, not {shown(value)}")
        return replace(options, include_bot_messages=value)
    if not (isinstance(value, str) and (not value or _PLATFORM_NAME.fullmatch(value))):
        raise InvalidOption(f"mock_platform must be the name of a platform, not {shown(value)}")
    return replace(options, mock_platform=value or "console")


def _tenant(name: str, platform: Platform, value: object) -> str | bool:
    if value is None or value is False or value == "":
        return False
    if value is not True:
        return _printable(name, "tenant", value)
    if not platform.names_tenant:
        raise InvalidOption(f"bodies of platform {name} do not say whose they are: give the tenant as text")
    return True


def _printable(name: str, option: str, value: object) -> str:
    if not isinstance(value, str) or len(value) > 512 or not value.isprintable():
        raise InvalidOption(f"{option} of platform {name} must be printable text of at most 512 characters")
    return value
