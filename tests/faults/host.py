"""One host of the lab: what it is to run, kept running as a supervisor of pods would, and harmed on request."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from tests.faults.net import Network

_RESTART_AFTER: Final = 1.0


class Host:
    """A namespace and the processes started in it.

    Args:
        network: where it is.
        name: of the namespace, and of its log.
        folder: for its log.
    """

    def __init__(self, network: Network, name: str, folder: Path) -> None:
        self.name = name
        self.address = network.address(name)
        self.log = folder / f"{name}.log"
        self.unasked_ends = 0
        self._network = network
        self._commands: list[tuple[list[str], dict[str, str]]] = []
        self._running: list[subprocess.Popen[bytes]] = []
        self._ended_at: float | None = None
        self._wanted = False
        self._lock = threading.RLock()

    def run(self, *commands: Sequence[str], environment: Mapping[str, str] | None = None) -> None:
        """Starts these programs, and starts them again when one ends unasked."""
        with self._lock:
            self._commands = [(list(command), dict(environment or {})) for command in commands]
            self._start()

    def again(self) -> None:
        """Starts what ran here last."""
        with self._lock:
            self._start()

    def kill(self) -> None:
        """Ends everything here at once, as a crash of the host would."""
        self._wanted = False
        with self._lock:
            for pid in self._network.processes(self.name):
                _signal(pid, signal.SIGKILL)
            for process in self._running:
                process.wait()
            self._running = []

    def stop(self, timeout: float) -> bool:
        """Ends it as asked (SIGTERM); whether all ended in time. What did not is killed."""
        self._wanted = False
        with self._lock:
            for process in self._running:
                process.terminate()
            ends = time.monotonic() + timeout
            orderly = True
            for process in self._running:
                try:
                    process.wait(max(0.0, ends - time.monotonic()))
                except subprocess.TimeoutExpired:
                    orderly = False
            self.kill()
            return orderly

    def signal(self, number: int) -> None:
        """Sends a signal to everything here, as SIGSTOP and SIGCONT."""
        for pid in self._network.processes(self.name):
            _signal(pid, number)

    def attend(self) -> None:
        """To be called often: starts again what ended unasked, a second after it did."""
        if not self._wanted:
            return
        with self._lock:
            if not self._wanted or all(process.poll() is None for process in self._running):
                return
            if self._ended_at is None:
                self._ended_at = time.monotonic()
                self.unasked_ends += 1
            elif time.monotonic() - self._ended_at >= _RESTART_AFTER:
                for pid in self._network.processes(self.name):
                    _signal(pid, signal.SIGKILL)
                self._start()

    def wait_ended(self, timeout: float) -> bool:
        """Whether a program here ended within so many seconds."""
        ends = time.monotonic() + timeout
        while time.monotonic() < ends:
            if any(process.poll() is not None for process in self._running):
                return True
            time.sleep(0.05)
        return False

    def hold(self) -> None:
        """What ends is not started again, until `run` or `again`."""
        self._wanted = False

    def _start(self) -> None:
        self._wanted = True
        self._ended_at = None
        self._running = []
        for command, environment in self._commands:
            with self.log.open("ab") as log:
                self._running.append(
                    subprocess.Popen(
                        self._network.command(self.name, *command),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        env=os.environ | environment,
                        start_new_session=True,
                    )
                )


def _signal(pid: int, number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
