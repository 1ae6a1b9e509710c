"""What happens to clients: killed, frozen, cancelled, forked."""

from __future__ import annotations

import signal
from random import Random

from tests.faults.clients import Client
from tests.faults.fault import Fault


class _OfClients(Fault):
    harms = "none"

    @classmethod
    def choose(cls, random: Random, servers: list[str], clients: list[str]) -> list[str]:
        return [random.choice(clients)]

    @property
    def clients(self) -> list[Client]:
        """The client processes that run on the hosts it hits, but for what another fault started and will end."""
        return [each for each in self.lab.clients.running if each.host in self.planned.targets and not each.passing]


class ClientKill(_OfClients):
    """A client is killed among its calls, and another takes its place."""

    kind = "client-kill"
    spans = (1.0, 3.0)

    def start(self) -> None:
        self._killed = self.clients
        for client in self._killed:
            client.process.kill()

    def heal(self) -> None:
        for client in self._killed:
            self.lab.clients.replace(client)


class ClientPause(_OfClients):
    """A client is frozen for longer than its leases last."""

    kind = "client-pause"
    spans = (12.0, 12.0)

    def start(self) -> None:
        self._frozen = self.clients
        for client in self._frozen:
            client.process.send_signal(signal.SIGSTOP)

    def heal(self) -> None:
        for client in self._frozen:
            client.process.send_signal(signal.SIGCONT)


class ClientCancel(_OfClients):
    """One more client, a third of whose calls are cancelled on their way."""

    kind = "client-cancel"
    spans = (6.0, 8.0)

    def start(self) -> None:
        self._more = self.lab.clients.start(self.planned.targets[0], "--cancel", "0.3")

    def heal(self) -> None:
        self.lab.clients.stop(self._more)


class ClientFork(_OfClients):
    """A client forks among its calls; the child holds its sockets for a while."""

    kind = "client-fork"
    spans = (3.0, 3.0)

    def start(self) -> None:
        for client in self.clients:
            client.process.send_signal(signal.SIGHUP)

    def heal(self) -> None:
        """The child has ended."""
