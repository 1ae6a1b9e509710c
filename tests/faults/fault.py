"""What a fault is: how it is planned, how it begins and how it is healed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from random import Random
from typing import Any, ClassVar

from tests.faults.lab import Lab


@dataclass(slots=True)
class Planned:
    """One fault as data: what, whom, when within its episode, for how long.

    Attributes:
        kind: a name of `FAULTS`.
        targets: names of hosts, of servers or of clients.
        after: seconds since the episode began.
        seconds: until it is healed.
        options: what else the kind wants to know.
    """

    kind: str
    targets: list[str]
    after: float
    seconds: float
    options: dict[str, Any] = field(default_factory=dict)


class Fault(ABC):
    """One fault, about to begin.

    Attributes:
        kind: its name.
        needs: what a place must be able to for it, as in `Place.able`.
        harms: how many servers it may put out of service: `none`, `one`, a `minority`, or `many`: no majority is left.
        spans: seconds from begin to heal, at least and at most.
        restarts: its victim was started anew: the fault is over when that one is back, not when it is started.
        complaints: what did not go as the product promises, in words.
    """

    kind: ClassVar[str]
    needs: ClassVar[str | None] = None
    harms: ClassVar[str] = "one"
    spans: ClassVar[tuple[float, float]] = (4.0, 4.0)
    restarts: ClassVar[bool] = False

    def __init__(self, lab: Lab, planned: Planned) -> None:
        self.lab, self.planned = lab, planned
        self.complaints: list[str] = []

    @classmethod
    def plan(cls, random: Random, servers: list[str], clients: list[str]) -> Planned:
        """One of this kind, drawn."""
        return Planned(cls.kind, cls.choose(random, servers, clients), 0.0, round(random.uniform(*cls.spans), 1))

    @classmethod
    def choose(cls, random: Random, servers: list[str], clients: list[str]) -> list[str]:
        """Whom it hits."""
        return [random.choice(servers)]

    @property
    def servers(self) -> list[int]:
        """The numbers of the servers it hits."""
        return [self.lab.hosts.index(name) for name in self.planned.targets if name in self.lab.hosts]

    @abstractmethod
    def start(self) -> None:
        """Begin."""

    @abstractmethod
    def heal(self) -> None:
        """End it, whatever has come of it."""
