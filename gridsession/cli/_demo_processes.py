"""The demo's worker processes: start, kill and start again, and end them all."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import subprocess
import sys
from types import TracebackType
from typing import Final, Self

from gridsession.cli._demo_platforms import Courier, Platforms, WorkerEnded

START_SECONDS: Final = 30.0
_END_SECONDS: Final = 5.0


class Workers:
    """So many processes that serve the platforms from a store's URL; they end with the block, or with this process."""

    def __init__(self, count: int, url: str, platforms: Platforms) -> None:
        self._url = url
        self._platforms = platforms
        self._processes: list[subprocess.Popen[bytes] | None] = [None] * count
        self._couriers: list[Courier | None] = [None] * count

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close(at_once=error is not None)

    async def start_all(self) -> None:
        """Start every worker.

        Raises:
            WorkerEnded: one did not start.
        """
        await asyncio.gather(*(self.start(number) for number in range(len(self._processes))))

    async def start(self, number: int) -> None:
        """Start a worker and wait until it takes deliveries.

        Raises:
            WorkerEnded: it did not start.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            self._processes[number] = self._process(theirs.fileno())
        try:
            async with asyncio.timeout(START_SECONDS):
                self._couriers[number] = await self._platforms.attach(ours)
        except TimeoutError:
            raise WorkerEnded(f"worker {number} does not take deliveries after {START_SECONDS:g} s") from None

    def kill(self, number: int) -> None:
        """End a worker at once, as a crash would (SIGKILL)."""
        courier, process = self._couriers[number], self._processes[number]
        if courier is not None:
            courier.leaving = True
        if process is not None:
            process.kill()
            process.wait()

    async def close(self, *, at_once: bool = False) -> None:
        """End all: those that run finish nothing more, and are killed if they take long."""
        for number, courier in enumerate(self._couriers):
            if at_once:
                self.kill(number)
            elif courier is not None:
                courier.close()
        await asyncio.gather(*(self._ended(process) for process in self._processes if process is not None))

    def _process(self, descriptor: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            # -P: what lies in the current folder is no module of ours
            [sys.executable, "-P", "-m", "gridsession.cli._demo_worker", self._url, str(descriptor)],
            stdin=subprocess.DEVNULL,
            # standard output is for the result
            stdout=subprocess.DEVNULL,
            pass_fds=(descriptor,),
            # Ctrl-C in the terminal is for us
            start_new_session=True,
        )

    async def _ended(self, process: subprocess.Popen[bytes]) -> None:
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, _END_SECONDS)
        process.kill()
        process.wait()
