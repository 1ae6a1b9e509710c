"""Servers on one core, so that the client has the other to itself."""

from __future__ import annotations

import contextlib
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator

from gridsession.testing.local_grid import LocalGrid


@contextlib.contextmanager
def on_cores(cores: set[int]) -> Iterator[None]:
    """Inside, what this thread starts runs on these cores; nothing is pinned where there are fewer than two."""
    before = os.sched_getaffinity(0)
    if len(before) > 1:
        os.sched_setaffinity(0, cores & before or before)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


def server_cores() -> set[int]:
    """All but the first usable core."""
    return set(sorted(os.sched_getaffinity(0))[1:])


def client_cores() -> set[int]:
    """The first usable core."""
    return set(sorted(os.sched_getaffinity(0))[:1])


@contextlib.contextmanager
def grid(members: int) -> Iterator[str]:
    """Members with one synchronous copy; their URL."""
    with contextlib.ExitStack() as stack:
        with on_cores(server_cores()):
            running = stack.enter_context(LocalGrid(members, jvm_options=(), memory="512m"))
        yield running.url


@contextlib.contextmanager
def redis_server() -> Iterator[int]:
    """A Redis without persistence; its port."""
    program = shutil.which("redis-server")
    if program is None:
        raise SystemExit("redis-server is not on PATH; on Debian: apt-get install redis-server")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with on_cores(server_cores()):
        server = subprocess.Popen(
            [program, "--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"],
            stdout=subprocess.DEVNULL,
        )
    try:
        until = time.monotonic() + 10
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
                break
            if time.monotonic() > until:
                raise SystemExit("redis-server did not answer within 10 s")
            time.sleep(0.05)
        yield port
    finally:
        server.terminate()
        server.wait()
