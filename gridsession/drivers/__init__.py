"""Drivers carry commands to the place where records live, and have them applied there atomically. They decide nothing.

A driver is opened by URL; its scheme is looked up in the entry point group `gridsession.drivers`, so a stranger's
package adds one by registering its class there. It must pass `gridsession.testing.contract.DriverContract`.
"""

from __future__ import annotations

import os
import re
import socket
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from importlib.metadata import entry_points
from typing import Any, ClassVar, Final, NamedTuple
from urllib.parse import parse_qsl, urlsplit

from gridsession._commands import Command
from gridsession._identity import Space
from gridsession._reply import Reply
from gridsession.errors import InvalidOption, Unsupported
from gridsession.hooks import Hooks

__all__ = [
    "Address",
    "Change",
    "Driver",
    "Due",
    "Mirror",
    "Page",
    "Promise",
    "Reach",
    "Space",
    "driver_class",
    "parse_url",
]

_OPTION: Final = re.compile(r"[\w.-]+")
_HOST: Final = socket.gethostname()[:40]


class Reach(Enum):
    """How far atomicity, sharing and survival reach."""

    PROCESS = "process"
    HOST = "host"
    CLUSTER = "cluster"


@dataclass(frozen=True, slots=True)
class Promise:
    """What a driver promises, as data; the contract suite picks its cases by it.

    Attributes:
        atomic: every command is applied whole and alone among all who share the place within this reach.
        survives: what acknowledged changes survive, in words ("the death of the process", ...).
        expires_within: seconds after its due time until an expired record's room is given back; None = when room is
            needed. Nothing expired is ever readable, on any driver.
        own_clock: the driver keeps time in this process, so a test may hand it a clock.
        pushes: changes are pushed to `watch`; otherwise they are polled.
        tells_within: seconds after its due time until `due` tells of an expired session that somebody asked about,
            where looking at all records does not take longer; None = the driver does not tell.
    """

    atomic: Reach
    survives: tuple[str, ...]
    expires_within: float | None
    own_clock: bool
    pushes: bool
    tells_within: float | None = None


class Page(NamedTuple):
    """One page of a scan: ids of sessions that exist, and the cursor of the next page (None = that was all)."""

    ids: Sequence[str]
    cursor: str | None


class Change(NamedTuple):
    """One hint of `watch`: the id that changed; `id` None = a gap, anything may have changed (resync).

    `revision` is (epoch, revision) where the place tells it, else None. A hint may come twice; the record decides.
    """

    id: str | None
    revision: tuple[int, int] | None = None


class Due(NamedTuple):
    """Ids whose expired session is to be claimed, about in the order of their ends, and when to ask again (s)."""

    ids: Sequence[str]
    again: float


class Mirror(ABC):
    """A local, pushed copy of a space's records: reading it costs no round trip.

    Attributes:
        held: by name each record's bytes as last heard of; expired and deleted ones among them.
    """

    held: Mapping[str, bytes]

    @abstractmethod
    def offer(self, name: str, record: bytes) -> None:
        """Take a record that this process just read or wrote, if it is newer than the one held."""

    @abstractmethod
    async def aclose(self) -> None:
        """Stop listening."""


class Driver(ABC):
    """Carries commands to records and has the rules applied there, atomically per id within `promise.atomic`.

    A driver belongs to one event loop and one process. `open` connects; who opened it closes it. Every call ends by
    its deadline, in a reply or an error of `gridsession.errors`; business outcomes are replies, never exceptions. An
    error of a read is never an empty session. Records are copied in and out: nobody holds what the driver holds.
    """

    promise: ClassVar[Promise]

    @classmethod
    @abstractmethod
    def from_address(cls, address: Address, hooks: Hooks) -> Driver:
        """A driver for a URL's parts, not yet connected; a store puts its policy's `deadline` (s) among the options.

        Raises:
            InvalidOption: the URL holds what this driver does not understand.
        """

    @abstractmethod
    async def open(self) -> None:
        """Connect; on an open driver it does nothing, so two stores may share one.

        Raises:
            Unavailable: the place cannot be reached or is unfit; the message names the address and the remedy.
        """

    @abstractmethod
    def now(self) -> int:
        """The place's clock as well as this process knows it, ms since 1970; no I/O."""

    def not_after(self, deadline: int) -> int:
        """Until when a command sent now may be applied, ms of the place's clock; its op id is remembered as long.

        Args:
            deadline: ms the call may take.
        """
        return self.now() + deadline

    @abstractmethod
    async def execute(self, space: Space, session_id: str, command: Command, *, deadline: float | None = None) -> Reply:
        """Apply one command to the record of one id.

        Args:
            deadline: seconds this call may take; None = the driver's own (10 s). The command's `not_after` bounds
                when it may be applied.

        Raises:
            OutcomeUnknown: a change was sent and no definite answer came by the deadline.
            Unavailable: a definite no: nothing was applied.
            CrossTalk: a reply for another id came; fatal.
        """

    @abstractmethod
    async def scan(self, space: Space, prefix: str = "", *, cursor: str | None = None, limit: int = 500) -> Page:
        """One page of ids that exist and begin with the prefix, in no order.

        An id that exists throughout all pages is given at least once; one that is created or deleted meanwhile may be
        given or not. The cursor is opaque, belongs to this driver and prefix, and may be kept.
        """

    @abstractmethod
    def watch(self, space: Space, prefix: str = "", *, session_id: str | None = None) -> AsyncIterator[Change]:
        """Hints of changes from now on, of ids with the prefix or of one id; `Change(None)` after a gap.

        The first value is `Change(None)`, given once the watch is set up: what is read after it misses nothing.
        """

    async def due(self, space: Space, *, limit: int = 256) -> Due:
        """Expired sessions that wait to be claimed, of those whose commits asked to `announce` it; at most `limit`.

        They are hints: an id may be given twice and to several, and one that was given and not claimed is given again
        some seconds later. What decides is `ClaimExpired`.

        Raises:
            Unsupported: this driver does not tell.
            Unavailable: no answer by the driver's deadline.
        """
        raise Unsupported(f"{type(self).__name__} does not tell which sessions have expired")

    async def mirror(self, space: Space) -> Mirror | None:
        """A pushed local copy of a space of globals, or None where the record itself must be read."""
        return None

    async def stored(self, space: Space, session_id: str) -> bytes | None:
        """A record's bytes as the place holds them, lease and queue included; None = there are none. For operators.

        No command answers this. Nothing is written, no life extended, and what has ended may be among it.

        Raises:
            Unsupported: this driver has no way to tell.
            Unavailable: no answer by the driver's deadline.
        """
        raise Unsupported(
            f"{type(self).__name__} does not tell what it holds: ask it by commands", session_id=session_id
        )

    async def namespaces(self) -> frozenset[str]:
        """Every namespace that sessions or globals were stored in here; ones that are empty by now may be among them.

        Raises:
            Unsupported: this driver has no way to tell.
            Unavailable: no answer by the driver's deadline.
        """
        raise Unsupported(f"{type(self).__name__} does not tell its namespaces: name them")

    @property
    def owner(self) -> str:
        """As whom this process holds leases and waits for them, for people to find it: `host:pid`, and what the driver
        adds; at most 255 bytes of UTF-8."""
        return f"{_HOST}:{os.getpid()}"

    def expect_grant(self, request_id: bytes, wake: Callable[[], None]) -> bool:
        """Have `wake` called, on the loop, when the lease that a queued request of `owner` waits for is free for it.

        A hint, for who waits to ask again: it may come twice, for nothing, or not at all. Asked again for the same
        request it changes nothing. `forget_grant` ends it.

        Returns:
            Whether hints come now; if not, who waits must ask again and again.
        """
        return False

    def forget_grant(self, request_id: bytes) -> None:  # noqa: B027 - nothing is the right default
        """The request waits no longer; nothing, if it did not."""

    @abstractmethod
    async def aclose(self) -> None:
        """Give connections back; calls under way end in an error."""


class Address(NamedTuple):
    """A URL's parts: scheme, what stands before the query, and the query's options but the store's own."""

    url: str
    scheme: str
    location: str
    options: Mapping[str, str]

    def __repr__(self) -> str:
        # URLs hold passwords and the names that keep strangers out.
        return f"<Address {self.scheme}://>"

    def option(self, name: str, kind: type[Any], default: Any) -> Any:
        """One option read as int, float, bool or str.

        Raises:
            InvalidOption: its text is not of that kind.
        """
        text = self.options.get(name)
        if text is None:
            return default
        try:
            if kind is bool:
                return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[text.lower()]
            return kind(text)
        except (ValueError, KeyError):
            raise InvalidOption(f"option {name}={text!r} of {self.scheme}:// is not a {kind.__name__}") from None

    def only(self, *known: str) -> None:
        """Refuse options this driver does not know.

        Raises:
            InvalidOption: an unknown option; the message lists the known ones.
        """
        for name in self.options:
            if name != "deadline" and name not in known:
                names = ", ".join(sorted({*known} - {"deadline"})) or "none"
                raise InvalidOption(
                    f"unknown option {name!r} for {self.scheme}://; known: {names}, deadline, namespace, ttl"
                )


def parse_url(url: str) -> Address:
    """Split a URL into its parts.

    Raises:
        InvalidOption: no scheme, an option given twice, or a character that must be percent-encoded.
    """
    try:
        parts = urlsplit(url)
    except ValueError:
        parts = None
    # Nothing of such a URL is told: what stands between those characters may be half a password.
    if parts is None or "#" in url:
        raise InvalidOption(
            "not a URL: in names and passwords write # ? / @ [ ] percent-encoded, as %23 %3F %2F %40 %5B %5D"
        )
    if not parts.scheme or "://" not in url:
        raise InvalidOption(
            f"{parts.scheme or 'the URL'} has no scheme: write it as 'hazelcast://host:5701/cluster' or 'memory://'"
        )
    options: dict[str, str] = {}
    for name, value in parse_qsl(parts.query, keep_blank_values=True):
        if not _OPTION.fullmatch(name):
            raise InvalidOption(
                "what follows the ? is no option: in names and passwords write ? percent-encoded, as %3F"
            )
        if name in options:
            raise InvalidOption(f"option {name!r} is given twice")
        options[name] = value
    return Address(url, parts.scheme, url.partition("://")[2].partition("?")[0], options)


def driver_class(scheme: str) -> type[Driver]:
    """The driver registered for a URL scheme.

    Raises:
        InvalidOption: none is; the message lists the known schemes.
    """
    found = {point.name: point for point in entry_points(group="gridsession.drivers")}
    if scheme not in found:
        raise InvalidOption(f"no driver for {scheme}://; known: {', '.join(sorted(found))}")
    kind = found[scheme].load()
    if not (isinstance(kind, type) and issubclass(kind, Driver)):
        raise InvalidOption(f"what is registered for {scheme}:// is not a gridsession driver")
    return kind
