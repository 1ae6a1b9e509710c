"""What happens to the network: partitions of every shape, loss and delay."""

from __future__ import annotations

import subprocess
import sys
from itertools import combinations
from random import Random
from typing import ClassVar

from tests.faults.fault import Fault
from tests.faults.net import Rule


class Partition(Fault):
    """A minority is cut off, for longer than it takes to be noticed; clients reach all, or some only the majority."""

    kind = "partition"
    harms = "minority"
    spans = (8.0, 12.0)
    both_ways: ClassVar[bool] = True
    reset: ClassVar[bool] = False

    @classmethod
    def choose(cls, random: Random, servers: list[str], clients: list[str]) -> list[str]:
        most = (len(servers) - 1) // 2
        cut = random.sample(servers, random.randint(1, max(1, most)))
        return sorted(cut) + (random.sample(clients, random.randint(0, len(clients) - 1)) if clients else [])

    def pairs(self) -> list[tuple[str, str]]:
        """Who shall not hear whom; the clients among the targets lose the servers among them."""
        servers = [name for name in self.planned.targets if name in self.lab.hosts]
        clients = [name for name in self.planned.targets if name not in self.lab.hosts]
        others = [name for name in self.lab.hosts if name not in servers]
        return [(one, other) for one in servers for other in others + clients]

    def rules(self) -> list[Rule]:
        """What it takes."""
        network = self.lab.network
        return [
            rule
            for one, other in self.pairs()
            for rule in network.cut(one, other, both_ways=self.both_ways, reset=self.reset)
        ]

    def start(self) -> None:
        self._rules = self.rules()
        self.lab.network.add(self._rules)

    def heal(self) -> None:
        self.lab.network.remove(self._rules)


class ShortPartition(Partition):
    """Over before it is noticed."""

    kind = "partition-short"
    spans = (2.0, 3.5)


class ResetPartition(Partition):
    """Connections are reset at once, as firewalls do, where otherwise packets vanish."""

    kind = "partition-reset"
    reset = True


class OneWayPartition(Partition):
    """A minority hears nobody, and is heard."""

    kind = "partition-oneway"
    both_ways = False


class RingPartition(Partition):
    """Each sees its neighbours and a majority, no two the same one; of three, two do not see each other."""

    kind = "partition-ring"
    harms = "many"

    @classmethod
    def choose(cls, random: Random, servers: list[str], clients: list[str]) -> list[str]:
        return random.sample(servers, len(servers))

    def pairs(self) -> list[tuple[str, str]]:
        ring = self.planned.targets
        if len(ring) < 4:
            return [(ring[0], ring[1])]
        apart = len(ring) // 2
        far = ((one, other) for one, other in combinations(range(len(ring)), 2))
        return [(ring[one], ring[other]) for one, other in far if min(other - one, len(ring) - other + one) >= apart]


class AlonePartition(RingPartition):
    """Nobody sees anybody; clients see all."""

    kind = "partition-alone"

    def pairs(self) -> list[tuple[str, str]]:
        return list(combinations(self.planned.targets, 2))


class Loss(Partition):
    """A tenth of what comes to one server is lost."""

    kind = "loss"
    harms = "none"
    spans = (5.0, 10.0)

    @classmethod
    def choose(cls, random: Random, servers: list[str], clients: list[str]) -> list[str]:
        return [random.choice(servers)]

    def rules(self) -> list[Rule]:
        return [rule for name in self.planned.targets for rule in self.lab.network.lossy(name, 0.1)]


class Delay(Fault):
    """25 ms, more or less 10, between one server and all others, clients included."""

    kind = "delay"
    harms = "none"
    spans = (5.0, 10.0)

    def start(self) -> None:
        network, slow = self.lab.network, self.planned.targets[0]
        others = [host for host in network.hosts if host != slow]
        hosts = [f"{network.path(host)}={network.address(host)}" for host in (slow, *others)]
        with (self.lab.folder / "switch.log").open("ab") as log:
            self._switch = subprocess.Popen(
                [sys.executable, "-m", "tests.faults._switch", *hosts], stdout=subprocess.PIPE, stderr=log
            )
        assert self._switch.stdout is not None
        if self._switch.stdout.readline().strip() != b"ready":
            raise RuntimeError("the slow road was not built: see switch.log")

    def heal(self) -> None:
        self._switch.kill()
        self._switch.wait()
