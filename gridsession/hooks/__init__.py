"""Events a user can observe: frozen values handed to hooks. Metrics and traces are hooks.

A hook is any callable taking one event. It runs on the loop, between two awaits of the library: it must be quick. What
it raises is logged and goes no further. Session ids are in events in clear; field values never are. Where there is no
hook, no event is made. Two hooks come with the package: `gridsession.hooks.prometheus` and
`gridsession.hooks.opentelemetry`; further kinds of event may come, so a hook passes over those it does not know.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from gridsession._logs import logger

__all__ = [
    "Announced",
    "CommandDone",
    "CommandRetried",
    "CopiesMissing",
    "Event",
    "Evicted",
    "Expired",
    "Hook",
    "Hooks",
    "LeaseRenewed",
    "LeaseWaited",
    "MembersChanged",
]


@dataclass(frozen=True, slots=True)
class Announced:
    """An expired session was claimed here and handed to the store's handlers, or to a loop over `expired()`.

    Attributes:
        reason: `ttl` or `max_lifetime`.
        late: seconds from its end to the claim.
        attempt: 1 the first time; more if nobody acknowledged it before.
        acknowledged: it was acknowledged by this process; otherwise it is told of again.
    """

    namespace: str
    session_id: str
    reason: str
    late: float
    attempt: int
    acknowledged: bool


@dataclass(frozen=True, slots=True)
class CommandDone:
    """One command ended.

    Attributes:
        command: its name, e.g. `Commit`.
        status: the reply's status in lower case, or the class name of the error that ended it.
        seconds: from call to end, retries included.
        attempts: how often it was sent.
        duplicate: an earlier attempt had been applied.
        kind: of what: `sessions` or `globals`.
    """

    namespace: str
    session_id: str
    command: str
    status: str
    seconds: float
    attempts: int
    duplicate: bool
    kind: str = "sessions"


@dataclass(frozen=True, slots=True)
class CommandRetried:
    """An attempt brought no definite answer; the command is sent again under its op id. `reason` names an error."""

    namespace: str
    session_id: str
    command: str
    attempt: int
    reason: str


@dataclass(frozen=True, slots=True)
class CopiesMissing:
    """An attempt on the grid was confirmed by fewer copies than must, or refused since too few members are there.

    It does not count: the command is asked for again, or ends in `UnderReplicated` or `OutcomeUnknown`.
    """

    namespace: str
    session_id: str
    command: str
    attempt: int


@dataclass(frozen=True, slots=True)
class Expired:
    """The place forgot a session (or global) whose life was over, by its own sweep in this process.

    Members of a grid, Redis and Mongo forget by themselves and tell no client.
    """

    namespace: str
    session_id: str


@dataclass(frozen=True, slots=True)
class Evicted:
    """A session (or global) that still lived was lost by memory pressure: the driver holds as many as it may."""

    namespace: str
    session_id: str


@dataclass(frozen=True, slots=True)
class LeaseRenewed:
    """A turn's lease was renewed, or (`lost`) could not be: its commit will fail."""

    namespace: str
    session_id: str
    lost: bool


@dataclass(frozen=True, slots=True)
class LeaseWaited:
    """A turn found its session held by another and waited `seconds` for it; `granted`, or it gave up or failed."""

    namespace: str
    session_id: str
    seconds: float
    granted: bool


@dataclass(frozen=True, slots=True)
class MembersChanged:
    """Members as the client sees them: how many are connected and in the cluster."""

    connected: int
    members: int


Event: TypeAlias = (
    Announced
    | CommandDone
    | CommandRetried
    | CopiesMissing
    | Evicted
    | Expired
    | LeaseRenewed
    | LeaseWaited
    | MembersChanged
)
Hook: TypeAlias = Callable[[Event], None]


class Hooks:
    """The hooks of one store; calling it hands an event to each."""

    __slots__ = ("_hooks", "_log")

    def __init__(self, hooks: Iterable[Hook] = ()) -> None:
        self._hooks = tuple(hooks)
        self._log: structlog.stdlib.BoundLogger = logger("hooks")

    def __bool__(self) -> bool:
        return bool(self._hooks)

    def __call__(self, event: Event) -> None:
        for hook in self._hooks:
            try:
                hook(event)
            except Exception as error:  # noqa: BLE001 - a stranger's code must not end ours
                self._log.warning("hook.failed", kind=type(event).__name__, error=type(error).__name__)
