"""`gridsession node`: one member in the foreground, or a grid of several to play with."""

from __future__ import annotations

import contextlib
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gridsession._logs import logger
from gridsession.cli import logs
from gridsession.errors import InvalidOption, MemberFailed
from gridsession.node.config import DEFAULT_PORT, NodeConfig, split_addresses
from gridsession.node.health import HealthServer
from gridsession.node.metrics import exposition
from gridsession.node.process import KILLED_AFTER, MemberProcess

if TYPE_CHECKING:
    from gridsession.node.snapshots import SnapshotKeeper

_OF_ONE_MEMBER = (
    "bind",
    "join",
    "members_declared",
    "public_address",
    "data_dir",
    "http",
    "drain_timeout",
    "snapshot_every",
    "snapshot_dir",
    "snapshot_keep",
)

_log = logger("node")


def command(
    bind: Annotated[str | None, typer.Option(help="Address to listen on.", show_default="127.0.0.1")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.", show_default=str(DEFAULT_PORT))] = None,
    join: Annotated[str | None, typer.Option(help="HOST:PORT,... of other members.")] = None,
    members_declared: Annotated[
        int | None, typer.Option(help="Members the whole grid has; its majority must be there to serve.")
    ] = None,
    cluster_name: Annotated[
        str | None, typer.Option(help="Name that members and clients agree on.", show_default="gridsession")
    ] = None,
    memory: Annotated[str | None, typer.Option(help="Java heap, as in 192m or 4g.", show_default="192m")] = None,
    backups: Annotated[
        int | None, typer.Option(help="Synchronous copies, 0 to 6.", show_default="by members declared: 0, 1, 2")
    ] = None,
    data_dir: Annotated[Path | None, typer.Option(help="Folder for what the JVM leaves if it crashes.")] = None,
    public_address: Annotated[str | None, typer.Option(help="HOST:PORT that others reach it at.")] = None,
    http: Annotated[
        str | None, typer.Option(help="HOST:PORT for /healthz, /readyz and /metrics.", show_default="none")
    ] = None,
    drain_timeout: Annotated[
        float | None, typer.Option(help="Seconds to hand partitions over when told to stop.", show_default="90")
    ] = None,
    snapshot_every: Annotated[
        float | None, typer.Option(help="Seconds between two snapshots of the whole grid.", show_default="none")
    ] = None,
    snapshot_dir: Annotated[
        Path | None, typer.Option(help="This node's own folder for them; restored from when a grid forms anew.")
    ] = None,
    snapshot_keep: Annotated[int | None, typer.Option(help="How many are kept.", show_default="3")] = None,
    members: Annotated[
        int | None, typer.Option(min=1, help="Start a grid of so many members on this machine, to play with.")
    ] = None,
    verbose: Annotated[bool, typer.Option("--verbose", help="Log all that the JVM says.")] = False,
) -> None:
    """Runs a member of the grid until it is told to stop (SIGTERM, Ctrl-C).

    Each option but --members and --verbose can be given as GRIDSESSION_* in the environment, as in
    GRIDSESSION_CLUSTER_NAME.
    """
    logs.configure(level=logging.DEBUG if verbose else logging.INFO)
    options: dict[str, Any] = {
        "bind": bind,
        "port": port,
        "join": None if join is None else split_addresses(join),
        "members_declared": members_declared,
        "cluster_name": cluster_name,
        "memory": memory,
        "backups": backups,
        "data_dir": data_dir,
        "public_address": public_address,
        "http": http,
        "drain_timeout": drain_timeout,
        "snapshot_every": snapshot_every,
        "snapshot_dir": snapshot_dir,
        "snapshot_keep": snapshot_keep,
    }
    if members is None:
        run_member(NodeConfig.from_options(**options))
        return
    misplaced = [name for name in _OF_ONE_MEMBER if options[name] is not None]
    if misplaced:
        raise InvalidOption(
            f"--members starts a whole grid on loopback; it does not go with --{misplaced[0].replace('_', '-')}"
        )
    run_local_grid(members, NodeConfig.from_options(**options))


def run_member(config: NodeConfig) -> None:
    """Runs one member until it is told to stop.

    Raises:
        JavaNotFound: there is no Java 17 or later.
        MemberFailed: it did not start, its JVM ended unasked, or it did not hand its partitions over in time.
        NodeError: snapshots cannot be kept, or health checks not be answered.
    """
    member = MemberProcess(config)

    def stop() -> None:
        member.ask_to_stop()
        _after(config.drain_timeout + KILLED_AFTER, member.kill)

    if config.snapshot_every is not None:
        member.holding = "it is not clear yet whether a snapshot must be restored"
    keeper = _snapshots(member)
    with _OnSignal(stop), _health_checks(member, keeper):
        try:
            member.start()
            seconds = member.wait_ready()
            _log.info("member_ready", **_facts(config), startup_seconds=round(seconds, 2), pid=member.pid)
            _advise(config, member.members)
            with keeper or contextlib.nullcontext():
                member.wait()
            if not member.stopped_as_asked:
                raise member.failure()
        except MemberFailed:
            # stopped before it was ready
            if not member.stopped_as_asked:
                raise
        finally:
            member.kill()
    _check_drained(member)
    _log.info("node_stopped", member=config.address)


def run_local_grid(members: int, config: NodeConfig) -> None:
    """Runs a grid of `members` on loopback ports from `config.port` on, until it is told to stop.

    Raises:
        JavaNotFound: there is no Java 17 or later.
        MemberFailed: a member did not start, or none is left.
    """
    from gridsession.testing.local_grid import LocalGrid

    grid = LocalGrid(
        members,
        cluster_name=config.cluster_name,
        ports=range(config.port, config.port + members),
        backups=config.backups,
        memory=config.memory,
        limits=config.limits,
        jvm_options=(),
    )
    stopped, started = threading.Event(), threading.Event()

    def stop() -> None:
        first = not stopped.is_set()
        stopped.set()
        if first and not started.is_set():
            # out of the wait for the members
            raise _StoppedEarly

    with contextlib.suppress(_StoppedEarly), _OnSignal(stop), grid:
        started.set()
        noun = "member" if members == 1 else "members"
        print(f"{members} {noun} ready in {grid.startup_seconds:.1f} s; Ctrl-C ends them", file=sys.stderr)  # noqa: T201
        print(grid.url, flush=True)  # noqa: T201  # what the command is for
        while not stopped.wait(0.5):
            if not any(grid.alive(number) for number in range(members)):
                raise MemberFailed("no member of the local grid is left; see the log above for the reason")


def _check_drained(member: MemberProcess) -> None:
    if not member.cut_short:
        return
    seconds = member.config.drain_timeout
    killed = member.returncode == -signal.SIGKILL
    _log.error("member_killed" if killed else "drain_incomplete", member=member.config.address, after_seconds=seconds)
    raise MemberFailed(
        f"the member at {member.config.address} did not hand its partitions over within {seconds:g} s of being told to "
        "stop: what only it held is gone. Look at the other members, and give a longer --drain-timeout.",
        returncode=member.returncode,
    )


def _snapshots(member: MemberProcess) -> SnapshotKeeper | None:
    if member.config.snapshot_every is None:
        return None
    # It brings the Hazelcast client, which a node without snapshots does not need.
    from gridsession.node.snapshots import SnapshotKeeper

    def settled() -> None:
        member.holding = ""

    return SnapshotKeeper(member.config, lambda: member.founded, settled)


@contextlib.contextmanager
def _health_checks(member: MemberProcess, keeper: SnapshotKeeper | None) -> Iterator[None]:
    if member.config.http is None:
        yield
        return

    def metrics() -> str:
        return exposition(member.health, member.told, None if keeper is None else keeper.taken)

    with HealthServer(member.config.http, lambda: member.health, metrics):
        yield


def _facts(config: NodeConfig) -> dict[str, Any]:
    return {
        # not the URL: the cluster name in it is all that keeps strangers out
        "address": config.address,
        "members_declared": config.members_declared,
        "backups": config.sync_backups,
    }


def _advise(config: NodeConfig, members: int) -> None:
    if members < config.majority:
        _log.warning(
            "no_majority", members=members, needed=config.majority, advice="it answers when so many members are there"
        )
    if config.sync_backups == 0:
        _log.warning("no_copies", advice="sessions are kept once only: they are gone when this member ends")
    elif config.members_declared == 2:
        _log.warning("two_members", advice="a grid of two stops whenever one of them restarts; declare three")


def _after(seconds: float, action: Callable[[], None]) -> None:
    timer = threading.Timer(seconds, action)
    timer.daemon = True
    timer.start()


class _StoppedEarly(BaseException):
    """Told to stop before all members were there."""


class _OnSignal:
    """Inside the block, SIGTERM and Ctrl-C call `action` instead of ending this process."""

    def __init__(self, action: Callable[[], None]) -> None:
        self._action = action
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> None:
        for each in (signal.SIGTERM, signal.SIGINT):
            self._before[each] = signal.signal(each, self._called)

    def __exit__(self, *_: object) -> None:
        for each, handler in self._before.items():
            signal.signal(each, handler)

    def _called(self, number: int, frame: FrameType | None) -> None:
        self._action()
