"""The client processes of a run: each on a host of its own, with a history of its own, killed and started again."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.faults.net import Network

_STOP_SECONDS: Final = 90.0
_FINAL_SECONDS: Final = 240.0


@dataclass(slots=True)
class Client:
    """One client process that runs.

    Attributes:
        passing: who started it ends it, too.
    """

    number: int
    host: str
    process: subprocess.Popen[bytes]
    passing: bool = False

    @property
    def name(self) -> str:
        """As faults name it."""
        return f"client-{self.number}"


class Clients:
    """All clients of a run.

    Args:
        network: where they are.
        hosts: for clients, one on each at the start.
        folder: for histories and logs.
        tree: the state of our package that they run.
        url: of the place.
        workloads: names, separated by commas.
        callers: tasks that call, in each client; None: as many as the workloads want.
        seed: of the run.
        deadline: seconds one call may take.
    """

    def __init__(
        self,
        network: Network,
        hosts: Sequence[str],
        folder: Path,
        tree: Path,
        *,
        url: str,
        workloads: str,
        callers: int | None,
        seed: int,
        deadline: float = 10.0,
    ) -> None:
        self.running: list[Client] = []
        self.histories: list[Path] = []
        self.looks: list[Path] = []
        self.hung: list[str] = []
        self._network, self._hosts, self._folder, self._tree, self._url = network, tuple(hosts), folder, tree, url
        self._workloads, self._callers, self._seed = workloads, callers, seed
        self._deadline = deadline
        self._count = 0
        self._lock = threading.RLock()

    def start_all(self) -> None:
        """One on each host."""
        for host in self._hosts:
            self.start(host)

    def start(self, host: str, *more: str) -> Client:
        """One more client, with a number of its own; with more words for it, it is there for a while only."""
        with self._lock:
            self._count += 1
            history = self._folder / f"client-{self._count}.jsonl"
            callers = [] if self._callers is None else ["--callers", str(self._callers)]
            process = self._run(host, f"client-{self._count}", "tests.faults._forking", *callers, *more,
                                "--client", str(self._count), "--history", str(history))  # fmt: skip
            client = Client(self._count, host, process, passing=bool(more))
            self.histories.append(history)
            self.running.append(client)
            return client

    def replace(self, client: Client) -> None:
        """A new client in place of one that was killed."""
        client.process.wait()
        with self._lock:
            self.running.remove(client)
            self.start(client.host)

    def stop(self, client: Client) -> None:
        """Ends a client as asked, its calls first."""
        client.process.terminate()
        self._ended(client)
        with self._lock:
            self.running.remove(client)

    def died(self) -> list[str]:
        """The clients that ended unasked."""
        with self._lock:
            return [each.name for each in self.running if each.process.poll() is not None]

    def stop_all(self) -> None:
        """Ends all as asked; those that do not end are noted in `hung` and killed."""
        with self._lock:
            for client in self.running:
                client.process.terminate()
            ends = time.monotonic() + _STOP_SECONDS
            for client in self.running:
                self._ended(client, max(1.0, ends - time.monotonic()))
            self.running.clear()

    def look(self, number: int, host: str) -> bool:
        """Looks at every session when all is over; whether that came to its end."""
        history = self._folder / f"final-{number}.jsonl"
        named = [word for path in self.histories for word in ("--keys-of", str(path)) if path.exists()]
        process = self._run(host, f"final-{number}", "tests.faults._client", *named, "--final", "--look", str(number),
                            "--client", str(900 + number), "--history", str(history))  # fmt: skip
        self.looks.append(history)
        try:
            return process.wait(_FINAL_SECONDS) == 0
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
            return False

    def close(self) -> None:
        """Ends all at once."""
        for client in self.running:
            client.process.kill()
            client.process.wait()

    def _ended(self, client: Client, timeout: float = _STOP_SECONDS) -> None:
        try:
            if client.process.wait(timeout):
                self.hung.append(f"{client.name} ended with {client.process.returncode}")
        except subprocess.TimeoutExpired:
            self.hung.append(f"{client.name} did not end within {timeout:.0f} s of SIGTERM")
            client.process.send_signal(signal.SIGKILL)
            client.process.wait()

    def _run(self, host: str, name: str, module: str, *words: str) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", module, "--url", self._url, "--workloads", self._workloads]
        command += ["--deadline", str(self._deadline)]
        with (self._folder / f"{name}.log").open("ab") as log:
            return subprocess.Popen(
                self._network.command(host, *command, "--seed", str(self._seed), *words),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self._tree,
                env=os.environ | {"PYTHONUNBUFFERED": "1"},
                start_new_session=True,
            )
