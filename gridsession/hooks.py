"""Events a user can observe: frozen values handed to hooks. Metrics and traces are hooks.

A hook is any callable taking one event. It runs on the loop, between two awaits of the library: it must be quick. What
it raises is logged and goes no further. Session ids are in events in clear; field values never are.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeAlias

import structlog

from gridsession._logs import logger

__all__ = ["CommandDone", "CommandRetried", "Event", "Evicted", "Hook", "Hooks", "LeaseRenewed", "MembersChanged"]


@dataclass(frozen=True, slots=True)
class CommandDone:
    """One command ended.

    Attributes:
        command: its name, e.g. `Commit`.
        status: the reply's status in lower case, or the class name of the error that ended it.
        seconds: from call to end, retries included.
        attempts: how often it was sent.
        duplicate: an earlier attempt had been applied.
    """

    namespace: str
    session_id: str
    command: str
    status: str
    seconds: float
    attempts: int
    duplicate: bool


@dataclass(frozen=True, slots=True)
class CommandRetried:
    """An attempt brought no definite answer; the command is sent again under its op id. `reason` names an error."""

    namespace: str
    session_id: str
    command: str
    attempt: int
    reason: str


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
class MembersChanged:
    """Members as the client sees them: how many are connected and in the cluster."""

    connected: int
    members: int


Event: TypeAlias = CommandDone | CommandRetried | Evicted | LeaseRenewed | MembersChanged
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
