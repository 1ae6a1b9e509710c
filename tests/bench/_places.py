"""The servers of a run: each started when a case first needs it, all on one core, ended when the setting is done."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest

from gridsession.errors import GridSessionError
from gridsession.node.ports import free_ports
from gridsession.testing.local_grid import LocalGrid
from tests.bench._work import NotRun, Setting
from tests.contract.servers import Server, mongo_server, redis_says, redis_server, running, wait_for

MEMBERS: Final = 2
_HERE: Final = Path(__file__).parent
_OVERHEAD: Final = 600
"""Bytes of heap a record takes besides its fields, generously."""


def cores() -> list[int]:
    """Those this process may use; none where a process cannot be tied to some."""
    return sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []


def client_cores(processes: int) -> list[int]:
    """One for each client process, at most all but the servers' one; with two cores they share the first."""
    usable = cores()
    return usable[: max(1, min(processes, len(usable) - 1))]


@contextlib.contextmanager
def on_servers_core() -> Iterator[None]:
    """Inside, what this thread starts runs on the last core; anywhere, if there is but one."""
    usable = cores()
    if len(usable) > 1:
        os.sched_setaffinity(0, {usable[-1]})
    try:
        yield
    finally:
        if len(usable) > 1:
            os.sched_setaffinity(0, usable)


def echo_language() -> str:
    """What the echo server is written in here; it says the same in both."""
    return "C" if sys.platform == "linux" and shutil.which("cc") else "Python"


def heap_megabytes(setting: Setting) -> int:
    """Heap of each member: of two, each holds every record of both maps that cases fill, and half of it stays free."""
    return 512 + 5 * setting.sessions * (setting.size + _OVERHEAD) // 2 // (1 << 20)


class Places:
    """Starts servers by name and knows where they listen; a context manager."""

    def __init__(self, setting: Setting, folder: Path) -> None:
        self._setting = setting
        self._folder = folder
        self._stack = contextlib.ExitStack()
        self._missing: dict[str, str] = {}
        self.addresses: dict[str, str] = {}

    def __enter__(self) -> Places:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def need(self, name: str) -> None:
        """See to it that a server runs.

        Raises:
            NotRun: it cannot be started here.
        """
        if name in self._missing:
            raise NotRun(self._missing[name])
        if name in self.addresses:
            return
        start = {
            "echo": self._echo,
            "grid": self._grid,
            "mongo": self._mongo,
            "redis": self._redis,
            "redis-pair": self._redis_pair,
        }[name]
        try:
            with on_servers_core():
                self.addresses[name] = start()
        except NotRun as lacking:
            self._missing[name] = str(lacking)
            raise

    def _run(self, *servers: Server) -> str:
        try:
            self._stack.enter_context(running(*servers))
        except AssertionError as fault:
            raise NotRun(str(fault)) from None
        return str(servers[0].port)

    def _echo(self) -> str:
        port = free_ports(1)[0]
        program = self._folder / "echo"
        if echo_language() == "C":
            subprocess.run(["cc", "-O2", "-o", str(program), str(_HERE / "echo.c")], check=True)
            command = [str(program), str(port)]
        else:
            command = [sys.executable, str(_HERE / "echo_server.py"), str(port)]
        return self._run(Server(command, port, self._folder, lambda: _listens(port)))

    def _grid(self) -> str:
        memory = f"{heap_megabytes(self._setting)}m"
        try:
            return self._stack.enter_context(LocalGrid(MEMBERS, jvm_options=(), memory=memory)).url
        except GridSessionError as error:
            raise NotRun(f"no members: {error}") from None

    def _redis(self) -> str:
        return self._run(self._redis_in("redis"))

    def _redis_pair(self) -> str:
        primary = self._redis_in("primary")
        replica = self._redis_in("replica", "--replicaof", "127.0.0.1", str(primary.port))
        port = self._run(primary, replica)
        wait_for(lambda: "'master_link_status': 'up'" in redis_says(replica.port, "INFO", "replication"), "a replica")
        return port

    def _redis_in(self, name: str, *options: str) -> Server:
        if shutil.which("redis-server") is None:
            raise NotRun("redis-server is not on PATH: install Debian's package redis-server")
        return redis_server(self._folder / name, "--appendonly", "no", *options)

    def _mongo(self) -> str:
        try:
            return self._run(mongo_server(self._folder / "mongo"))
        except (pytest.skip.Exception, pytest.fail.Exception) as lacking:
            raise NotRun(str(lacking)) from None


def _listens(port: int) -> bool:
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False
