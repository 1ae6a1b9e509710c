"""Real members on loopback, for tests and for trying things out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Final, Self

from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession.node.config import NodeConfig, usable_cores
from gridsession.node.java import Java, find_java
from gridsession.node.jvm_log import LogEvent
from gridsession.node.ports import free_ports
from gridsession.node.process import START_SECONDS, MemberProcess
from gridsession.node.start_cache import StartCache

QUICK_START: Final = ("-XX:TieredStopAtLevel=1",)
"""Options for a JVM that starts in half the time and then needs about half as much CPU again per command."""


class LocalGrid:
    """A grid of members on this machine, each a JVM of its own; a context manager.

    Entering it starts the members (the first alone, the others joining it at once) and returns when each of them sees
    all the others. Leaving it ends them. They end as well when this process ends, however it does. Members are
    numbered from 0.

    With the default options they start from a cache in the user's cache folder, which the first grid on a machine has
    made in the background for the next ones; `GRIDSESSION_START_CACHE=off` in the environment: without.

    Args:
        members: how many.
        cluster_name: None: one nobody else uses.
        ports: one for each member; None: some that are free.
        backups: synchronous copies, at most half the members; None: 1, or 0 if it is one member, or 2 from five on.
        memory: Java heap of each, as in `192m`.
        limits: what a record may grow to.
        jvm_options: more options for each JVM; `()` for measuring speed.
        on_event: called with the number of the member and each event of its log; None: they are logged.

    Attributes:
        startup_seconds: how long it took until all members were there.

    Raises:
        JavaNotFound: there is no Java 17 or later.
        MemberFailed: the jars are missing or stale, or a member did not start.
    """

    def __init__(
        self,
        members: int = 3,
        *,
        cluster_name: str | None = None,
        ports: Sequence[int] | None = None,
        backups: int | None = None,
        memory: str = "192m",
        limits: Limits = DEFAULT_LIMITS,
        jvm_options: Sequence[str] = QUICK_START,
        on_event: Callable[[int, LogEvent], None] | None = None,
    ) -> None:
        self.cluster_name = cluster_name or f"local-{secrets.token_hex(8)}"
        self.ports = free_ports(members) if ports is None else tuple(ports)
        self.startup_seconds = 0.0
        java = find_java()
        # who asks for other options measures or tries something, and needs no second JVM beside it
        self._start_cache = StartCache(java, jvm_options) if tuple(jvm_options) == QUICK_START else None
        if self._start_cache is not None:
            jvm_options = (*jvm_options, *self._start_cache.options())
        addresses = tuple(f"127.0.0.1:{port}" for port in self.ports)
        self._members = [
            self._member(number, java, jvm_options, on_event, NodeConfig(
                port=port,
                join=addresses if members > 1 else (),
                members_declared=members,
                cluster_name=self.cluster_name,
                memory=memory,
                backups=backups,
                limits=limits,
                cores=max(1, usable_cores() // members),
                started_by="LocalGrid",
            ))
            for number, port in enumerate(self.ports)
        ]  # fmt: skip

    def __enter__(self) -> Self:
        started = time.monotonic()
        try:
            first, *others = self._members
            first.start(founding=True)
            first.wait_ready()
            for member in others:
                member.start()
            self.wait_for_members()
        except BaseException:
            self.close()
            raise
        self.startup_seconds = time.monotonic() - started
        if self._start_cache is not None:
            self._start_cache.make_later()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """What `SessionStore.open` takes: all members' addresses and the cluster's name."""
        return f"hazelcast://{','.join(f'127.0.0.1:{port}' for port in self.ports)}/{self.cluster_name}"

    def pid(self, number: int) -> int:
        """The process id of a member's JVM."""
        return self._members[number].pid

    def alive(self, number: int) -> bool:
        """Whether a member's JVM runs."""
        return self._members[number].alive

    def kill(self, number: int) -> None:
        """Ends a member at once, as a crash would (SIGKILL)."""
        self._members[number].kill()

    def stop(self, number: int) -> None:
        """Stops a member gracefully: it hands its partitions to the others first."""
        self._members[number].stop()

    def start(self, number: int) -> float:
        """Starts a member that was killed or stopped; returns in seconds what it took until it had joined."""
        self._members[number].start()
        return self._members[number].wait_ready(members=sum(member.alive for member in self._members))

    def pause(self, number: int) -> None:
        """Freezes a member (SIGSTOP)."""
        self._members[number].pause()

    def resume(self, number: int) -> None:
        """Lets a frozen member run on."""
        self._members[number].resume()

    def wait_for_members(self, timeout: float = START_SECONDS) -> None:
        """Waits until each running member sees all running members.

        What counts is the last that each of them said: a member that was just resumed may not have noticed yet that
        the others went on without it.

        Raises:
            MemberFailed: one ended, or they do not see each other within `timeout` seconds.
        """
        running = [member for member in self._members if member.alive]
        deadline = time.monotonic() + timeout
        for member in running:
            member.wait_ready(max(0.0, deadline - time.monotonic()), members=len(running))

    def close(self) -> None:
        """Ends all members at once."""
        for member in self._members:
            member.kill()

    @staticmethod
    def _member(
        number: int,
        java: Java,
        jvm_options: Sequence[str],
        on_event: Callable[[int, LogEvent], None] | None,
        config: NodeConfig,
    ) -> MemberProcess:
        listener = None if on_event is None else lambda event: on_event(number, event)
        return MemberProcess(config, java=java, jvm_options=jvm_options, on_event=listener)
