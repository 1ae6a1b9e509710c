"""What other systems wrote, read as items: one session or one global each, never changing anything there.

- `bottender-file` DIRECTORY, `bottender-redis` URL, `bottender-mongo` URL (`?collection=sessions`): `_state` becomes
  the state, every other field a prop, except `id`, which is the session id, and `platform`, its first part.
- `opengram-keyv` Redis or MongoDB URL, or a JSON file: `{session, expires}`, bare or in keyv's `{value, expires}`,
  becomes `opengram:<key>` with the session as its state.
- `jawce-file` DIRECTORY: `<id>.session` becomes `whatsapp-cloud:<id>`, the props in it its props, and `global.session`
  globals.
- `aiogram-redis` URL: `fsm:<chat>:<user>:state` and `:data` become `aiogram:<bot>:<chat>:<user>`, the data its state,
  the FSM's state its prop `state`.

All of them stand where the dialects for those systems look for them.
"""

from __future__ import annotations

import importlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, TypeAlias

from gridsession.errors import InvalidOption

SOURCES: Final = (
    "aiogram-redis",
    "bottender-file",
    "bottender-mongo",
    "bottender-redis",
    "jawce-file",
    "opengram-keyv",
)


@dataclass(frozen=True, slots=True)
class Options:
    """How a source is read.

    Attributes:
        expires_in: minutes a session lives since its last activity, where the source itself does not say.
        prefix: keyv's namespace ("keyv" if None), or what aiogram's keys begin with ("fsm" if None).
        bot: aiogram: the bot's id, for keys that do not hold it.
        with_bot_id, with_business_connection_id, with_destiny: how aiogram's `DefaultKeyBuilder` was set.
    """

    expires_in: float | None = None
    prefix: str | None = None
    bot: int | None = None
    with_bot_id: bool = False
    with_business_connection_id: bool = False
    with_destiny: bool = False


class Item(NamedTuple):
    """One session or global as it was found.

    Attributes:
        key: what it is called there, for messages.
        id: the session id it gets, or the global's name.
        left: ms it still lives; None = the source knows no end.
        ttl: ms it lives from one activity to the next, if the source tells.
    """

    key: str
    id: str
    state: Mapping[str, Any]
    props: Mapping[str, Any] = {}
    left: int | None = None
    ttl: int | None = None
    kind: str = "sessions"

    def __repr__(self) -> str:
        return f"<Item {self.key!a}>"


class Skipped(NamedTuple):
    """Something else that lies there."""

    key: str


class Corrupt(NamedTuple):
    """What should be a session and cannot be read."""

    key: str
    reason: str


Found: TypeAlias = Item | Skipped | Corrupt


@dataclass(frozen=True, slots=True)
class Source:
    """Something to import from: its name in `SOURCES` and a way to read it, once."""

    name: str
    read: Callable[[], AsyncIterator[Found]] = field(repr=False)


def open_source(name: str, place: str, options: Options | None = None) -> Source:
    """A source by its name; nothing is read yet.

    Args:
        name: one of `SOURCES`.
        place: the directory, file or URL.

    Raises:
        InvalidOption: no such source, or a place that makes no sense.
    """
    if name not in SOURCES:
        raise InvalidOption(f"{name!a} is nothing to import from; known: {', '.join(SOURCES)}")
    module, _, where = name.partition("-")
    reader = importlib.import_module(f"gridsession.moving.sources.{module}").READERS[where]
    return Source(name, lambda: reader(place, options or Options()))
