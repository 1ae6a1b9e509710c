"""What happens to servers: killed, stopped, frozen, without memory or room, with a wrong clock or another jar."""

from __future__ import annotations

import contextlib
import signal
from random import Random
from typing import ClassVar, Final

from tests.faults.fault import Fault, Planned
from tests.faults.place import Grid

_WHOLE_SECONDS: Final = 90.0
_REFUSED_SECONDS: Final = 90.0
"""From a start until the member refused and handed over, for at most a minute, what it was given when it joined."""


class Kill(Fault):
    """SIGKILL; started again after a while."""

    kind = "kill"
    restarts = True
    spans = (2.0, 6.0)

    def start(self) -> None:
        for number in self.servers:
            self.lab.place.hosts[number].kill()

    def heal(self) -> None:
        for number in self.servers:
            self.lab.place.restart(number)


class Stop(Kill):
    """SIGTERM, as an orchestrator does; started again."""

    kind = "stop"
    spans = (2.0, 4.0)

    def start(self) -> None:
        for number in self.servers:
            if not self.lab.place.stop(number):
                self.complaints.append(f"{self.planned.targets[0]} did not end in time after SIGTERM")


class Rolling(Fault):
    """One after another stopped as asked and started again, each when all are whole."""

    kind = "rolling"
    harms = "many"
    spans = (0.0, 0.0)

    @classmethod
    def choose(cls, random: Random, servers: list[str], clients: list[str]) -> list[str]:
        return random.sample(servers, len(servers))

    def start(self) -> None:
        for name, number in zip(self.planned.targets, self.servers, strict=True):
            if not self.lab.place.stop(number):
                self.complaints.append(f"{name} did not end in time after SIGTERM")
            self.lab.place.restart(number)
            self.lab.wait_whole(_WHOLE_SECONDS)

    def heal(self) -> None:
        """Each is back already."""


class ShortPause(Fault):
    """SIGSTOP for less than it takes to be missed."""

    kind = "pause-short"
    spans = (3.0, 3.0)

    def start(self) -> None:
        for number in self.servers:
            self.lab.place.hosts[number].signal(signal.SIGSTOP)

    def heal(self) -> None:
        for number in self.servers:
            self.lab.place.hosts[number].signal(signal.SIGCONT)


class LongPause(ShortPause):
    """SIGSTOP for longer than that: the others go on without it, and it wakes up in another world."""

    kind = "pause-long"
    spans = (9.0, 9.0)


class _Grid(Fault):
    """What can be done to members only."""

    @property
    def grid(self) -> Grid:
        """The place."""
        assert isinstance(self.lab.place, Grid)
        return self.lab.place


class NearClock(_Grid):
    """A member comes back with a clock that is 1.5 s off: that must not matter."""

    kind = "clock-near"
    restarts = True
    needs = "clock"
    spans = (5.0, 5.0)
    offsets: ClassVar[tuple[int, int]] = (-1_500, 1_500)

    @classmethod
    def plan(cls, random: Random, servers: list[str], clients: list[str]) -> Planned:
        planned = super().plan(random, servers, clients)
        planned.options["offset_ms"] = random.choice(cls.offsets)
        return planned

    def start(self) -> None:
        for number in self.servers:
            self.grid.hosts[number].kill()
            self.grid.run(number, clock_off_ms=self.planned.options["offset_ms"])
        self.settle()

    def settle(self) -> None:
        """Such a member is one as all others."""
        self.lab.wait_whole(_WHOLE_SECONDS)

    def heal(self) -> None:
        for number in self.servers:
            self.grid.hosts[number].kill()
            self.grid.restart(number)


class FarClock(NearClock):
    """A member comes back with a clock that is 30 s off: it must refuse."""

    kind = "clock-far"
    offsets = (-30_000, 30_000)
    spans = (1.0, 1.0)

    def settle(self) -> None:
        for number in self.servers:
            host = self.grid.hosts[number]
            host.hold()
            if not host.wait_ended(_REFUSED_SECONDS):
                self.complaints.append(f"{host.name} has not ended with a clock that is 30 s off")


class OutOfMemory(_Grid):
    """A member's heap is used up: its JVM must end, and whoever watches over it starts it again."""

    kind = "oom"
    restarts = True
    needs = "heap"
    spans = (1.0, 2.0)

    def start(self) -> None:
        for number in self.servers:
            self.grid.hosts[number].hold()
            self.grid.trigger(number).touch()
            if not self.grid.hosts[number].wait_ended(60.0):
                self.complaints.append(f"{self.planned.targets[0]} limps on without memory")

    def heal(self) -> None:
        for number in self.servers:
            self.grid.trigger(number).unlink(missing_ok=True)
            self.grid.hosts[number].kill()
            self.grid.restart(number)


class FullDisk(_Grid):
    """A member's data folder is full, and sometimes it is killed then: it comes back once there is room."""

    kind = "disk"
    restarts = True
    needs = "disk"
    spans = (6.0, 10.0)

    @classmethod
    def plan(cls, random: Random, servers: list[str], clients: list[str]) -> Planned:
        planned = super().plan(random, servers, clients)
        planned.options["kill"] = random.random() < 0.5
        return planned

    def start(self) -> None:
        for number in self.servers:
            with (self.grid.disk(number) / "full").open("wb", buffering=0) as full, contextlib.suppress(OSError):
                while True:
                    full.write(bytes(1 << 16))
            if self.planned.options["kill"]:
                self.grid.hosts[number].kill()
                self.grid.restart(number)

    def heal(self) -> None:
        for number in self.servers:
            (self.grid.disk(number) / "full").unlink(missing_ok=True)


class MissingJar(_Grid):
    """A member comes back without our jar, joins all the same, and is replaced by a right one."""

    kind = "jar-missing"
    restarts = True
    needs = "jar"
    spans = (12.0, 15.0)
    package: ClassVar[str] = "without-jar"

    def start(self) -> None:
        for number in self.servers:
            self.grid.hosts[number].kill()
            self.grid.run(number, package=self.package)
        self.settle()

    def settle(self) -> None:
        """It is there and of no use."""

    def heal(self) -> None:
        for number in self.servers:
            self.grid.hosts[number].kill()
            self.grid.restart(number)


class OlderJar(MissingJar):
    """A member comes back with an older build of our jar, as in a rolling update: that must not matter."""

    kind = "jar-older"
    package = "older-jar"
    spans = (5.0, 5.0)

    def settle(self) -> None:
        """Such a member is one as all others."""
        self.lab.wait_whole(_WHOLE_SECONDS)
