"""The lab: a network, a place in it, clients beside it, and the question whether all servers are whole."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Final, Self

from tests.faults import jars
from tests.faults.clients import Clients
from tests.faults.history import History
from tests.faults.net import Network
from tests.faults.place import Grid, Place, RedisSentinel
from tests.faults.spoiled import spoil

DESK: Final = "desk"
"""The host from which the lab itself asks."""
_START_SECONDS: Final = 120.0
_ASK_SECONDS: Final = 0.3


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a run is built of; kept with it, so that it can be built again."""

    place: str = "grid"
    members: int = 3
    clients: int = 2
    workloads: str = "all"
    callers: int | None = None
    heap: str = "512m"
    seed: int = 1
    preload: int = 0
    wait_replicas: int = 0
    spoiled: str | None = None
    deadline: float = 10.0


class NotWhole(Exception):
    """The servers are not one whole in time; says what is lacking."""


class Lab:
    """A running place with clients' hosts beside it; a context manager. Only to be used in a world of its own.

    Args:
        setup: what to build.
        folder: for logs and histories; must exist.
        eater: members have the agent that can use their heap up.
    """

    def __init__(self, setup: Setup, folder: Path, *, eater: bool) -> None:
        self.setup, self.folder = setup, folder
        names = [f"m{number}" for number in range(setup.members)]
        hosts = [f"c{number}" for number in range(setup.clients)]
        self.client_hosts = hosts
        self.network = Network([*names, *hosts, DESK])
        # nobody else's, and gone with this world
        self.scratch = Path("/run/lab")
        self.scratch.mkdir(exist_ok=True)
        self.tree = jars.snapshot(self.scratch)
        if setup.spoiled:
            spoil(self.tree, setup.spoiled)
        self.history = History(folder / "nemesis.jsonl")
        self.random = Random(setup.seed)
        self.place = self._place(names, eater=eater)
        self.clients = Clients(
            self.network, hosts, folder, self.tree,
            url=self.place.url, workloads=setup.workloads, callers=setup.callers, seed=setup.seed,
            deadline=setup.deadline,
        )  # fmt: skip
        self._asking: subprocess.Popen[str] | None = None
        self._ask_lock = threading.Lock()
        self._closing = threading.Event()
        self._attending = threading.Thread(target=self._attend, name="attend", daemon=True)

    def __enter__(self) -> Self:
        self.network.up()
        self.place.start()
        self._attending.start()
        self.wait_whole(_START_SECONDS)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closing.set()
        self.clients.close()
        if self._asking is not None:
            self._asking.kill()
            self._asking.wait()
        self.place.close()
        self.history.close()

    @property
    def hosts(self) -> list[str]:
        """The names of the servers' hosts."""
        return [host.name for host in self.place.hosts]

    def lacking(self) -> str:
        """What the servers lack to be whole; empty if nothing."""
        with self._ask_lock:
            if self._asking is None or self._asking.poll() is not None:
                command = [sys.executable, "-m", "tests.faults._whole", self.place.url, *self.place.questions]
                with (self.folder / "whole.log").open("ab") as log:
                    self._asking = subprocess.Popen(
                        self.network.command(DESK, *command),
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        stderr=log,
                        text=True,
                        cwd=self.tree,
                    )
            assert self._asking.stdin is not None
            assert self._asking.stdout is not None
            try:
                self._asking.stdin.write("?\n")
                self._asking.stdin.flush()
                answer = self._asking.stdout.readline().strip()
            except BrokenPipeError:
                answer = ""
            return "" if answer == "yes" else answer or "the one who asks has died: see whole.log"

    def wait_whole(self, timeout: float) -> float:
        """Waits until all servers work together, copies included; returns how long it took, in seconds.

        Raises:
            NotWhole: they do not in time.
        """
        started = time.monotonic()
        while lacking := self.lacking():
            if time.monotonic() - started > timeout:
                raise NotWhole(f"not whole after {timeout:g} s: {lacking}")
            time.sleep(_ASK_SECONDS)
        return time.monotonic() - started

    def _attend(self) -> None:
        while not self._closing.wait(0.1):
            for host in self.place.hosts:
                host.attend()

    def _place(self, names: list[str], *, eater: bool) -> Place:
        where = (self.network, names, self.folder, self.scratch, self.tree)
        if self.setup.place == "grid":
            return Grid(*where, heap=self.setup.heap, eater=eater)
        return RedisSentinel(*where, wait_replicas=self.setup.wait_replicas)
