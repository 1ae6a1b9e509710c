"""`gridsession demo`: a grid, workers and platforms on this machine, with kills on the way, and what came of it.

Three parties, as in life: members hold the sessions; worker processes run the counting bot; this process plays the
platforms, which post webhook bodies to any worker and know in the end what was acknowledged.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from random import Random
from types import FrameType
from typing import Annotated, Any, Final, TypeVar

import typer

from gridsession import SessionStore
from gridsession.cli._demo_check import Verdict, compare, recovery_seconds
from gridsession.cli._demo_platforms import Platforms
from gridsession.cli._demo_processes import Workers
from gridsession.cli._demo_report import Report, Screen
from gridsession.cli._demo_worker import open_store, read, run
from gridsession.cli._webhooks import MAX_USERS, stream
from gridsession.testing.local_grid import LocalGrid

T = TypeVar("T")

MEMORY: Final = "192m"
GRACE: Final = 15.0
"""Seconds after the last first posting in which every delivery should end: a turn's wait and a call's deadline."""
RESTART_AFTER: Final = 2.0
"""Seconds until what was killed is started again, as an orchestrator would."""
INTERRUPTED: Final = 130

_KILLS: Final = ("member", "worker")


def command(
    members: Annotated[int, typer.Option(min=1, help="Members of the grid, each a JVM of its own.")] = 3,
    workers: Annotated[int, typer.Option(min=1, help="Worker processes.")] = 3,
    seconds: Annotated[float, typer.Option(min=1, help="For how long webhooks are posted.")] = 20,
    users: Annotated[int, typer.Option(min=1, max=MAX_USERS, help="Conversations.")] = 300,
    kill: Annotated[
        str, typer.Option(help="What is killed on the way: member, worker, both with a comma, or none.")
    ] = "member,worker",
    as_json: Annotated[bool, typer.Option("--json", help="Print one line, one object, in place of the table.")] = False,
    seed: Annotated[int, typer.Option(help="The same webhooks for the same seed.")] = 1,
) -> None:
    """Runs a bot on a grid on this machine, kills a member and a worker, and shows that nothing acknowledged was lost.

    Real webhook bodies go to random workers, each of which counts messages per session; at the end each session is
    compared with what was acknowledged. Exits with 0 only if nothing was lost, duplicated or out of order.
    """
    plan = Plan(members, workers, seconds, users, _kills(kill, members), seed)
    screen = Screen()
    if members == 2 and "member" in plan.kill:
        screen.note("a grid of two stops until a killed member is back: three recover sooner")
    try:
        with _terminated_as_interrupted():
            verdict, report = _demonstrate(plan, screen)
    except KeyboardInterrupt:
        screen.note("interrupted; members and workers are ended")
        raise typer.Exit(INTERRUPTED) from None
    if as_json:
        typer.echo(report.json())
    else:
        screen.show(report)
    if not verdict.holds:
        raise typer.Exit(1)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a run is to be."""

    members: int
    workers: int
    seconds: float
    users: int
    kill: tuple[str, ...]
    seed: int


def _kills(text: str, members: int) -> tuple[str, ...]:
    words = [word.strip() for word in text.split(",")]
    if words in (["none"], [""]):
        return ()
    if not set(words) <= set(_KILLS) or len(set(words)) < len(words):
        raise typer.BadParameter(f"{text!r} is not member, worker, both with a comma, or none", param_hint="--kill")
    if "member" in words and members == 1:
        raise typer.BadParameter(
            "a grid of one member keeps no copy: killing it loses every session. Use --members 3 or --kill worker",
            param_hint="--kill",
        )
    return tuple(words)


def _demonstrate(plan: Plan, screen: Screen) -> tuple[Verdict, Report]:
    with contextlib.ExitStack() as grid_up:
        with screen.doing(f"starting {plan.members} members"):
            # their log is not shown: that a killed member is missed is no news here
            grid = LocalGrid(plan.members, memory=MEMORY, on_event=lambda *_: None)
            grid_up.enter_context(grid)
        return run(Demo(plan, grid, screen).run())


@dataclass(slots=True)
class Demo:
    """One run over a grid that is up."""

    plan: Plan
    grid: LocalGrid
    screen: Screen
    platforms: Platforms = field(init=False)
    random: Random = field(init=False)
    first_kill: float | None = field(init=False, default=None)

    def __post_init__(self) -> None:
        plan = self.plan
        self.random = Random(plan.seed)  # noqa: S311 - repeatable on purpose; nothing secret is drawn
        self.platforms = Platforms(stream(plan.seed, plan.users), self.random)

    async def run(self) -> tuple[Verdict, Report]:
        """Start the workers, replay with kills on the way, compare."""
        plan, platforms, started = self.plan, self.platforms, time.monotonic()
        workers = Workers(plan.workers, self.grid.url, platforms)
        async with workers:
            with self.screen.doing(f"starting {plan.workers} workers"):
                await workers.start_all()
            startup = self.grid.startup_seconds + time.monotonic() - started
            await self._replay(workers)
        recovery = None
        if self.first_kill is not None:
            recovery = recovery_seconds(platforms.messages, self.first_kill, platforms.ended)
        with self.screen.doing("reading every session"):
            async with open_store(self.grid.url) as store:
                verdict = await judge(platforms, store)
        self.screen.explain(platforms, verdict)
        report = Report.of(
            platforms, verdict, members=plan.members, workers=plan.workers, recovery=recovery, startup=startup
        )
        return verdict, report

    async def _replay(self, workers: Workers) -> None:
        plan = self.plan
        kills = {"member": self._kill_member, "worker": self._kill_worker}
        # Early, so that what was killed is back and at work before the end.
        times = [plan.seconds * (place + 1) / (len(plan.kill) + 2) for place in range(len(plan.kill))]
        following = asyncio.create_task(self.screen.follow(self.platforms, plan.seconds))
        try:
            await _together(
                self.platforms.replay(plan.seconds, grace=GRACE),
                *(kills[what](workers, at) for what, at in zip(plan.kill, times, strict=True)),
            )
        finally:
            following.cancel()
            await asyncio.wait([following])

    async def _kill_member(self, workers: Workers, at: float) -> None:
        await asyncio.sleep(at)
        number = self.random.randrange(self.plan.members)
        self._killing(f"member {number}")
        await _in_thread(lambda: self.grid.kill(number))
        await asyncio.sleep(RESTART_AFTER)
        took = await _in_thread(lambda: self.grid.start(number))
        self.screen.note(f"member {number} is back; it took {took:.1f} s to start")

    async def _kill_worker(self, workers: Workers, at: float) -> None:
        await asyncio.sleep(at)
        number = self.random.randrange(self.plan.workers)
        self._killing(f"worker {number}")
        workers.kill(number)
        await asyncio.sleep(RESTART_AFTER)
        started = time.monotonic()
        await workers.start(number)
        self.screen.note(f"worker {number} is back; it took {time.monotonic() - started:.1f} s to start")

    def _killing(self, what: str) -> None:
        self.screen.note(f"{what} killed (SIGKILL)")
        if self.first_kill is None:
            self.first_kill = time.perf_counter()


async def judge(platforms: Platforms, store: SessionStore) -> Verdict:
    """The verdict on a run that has ended, by what its sessions hold now."""
    sessions = {message.session_id for message in platforms.messages}
    return compare(platforms.messages, await read(store, sessions))


async def _together(*parts: Coroutine[Any, Any, None]) -> None:
    """Run all; the first error ends the others and is raised as it is, not in a group."""
    tasks = [asyncio.create_task(part) for part in parts]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)


async def _in_thread(work: Callable[[], T]) -> T:
    """Do what blocks in a thread that the end of the loop does not wait for, unlike those of `asyncio.to_thread`."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def tell(told: Callable[[Any], None], outcome: object) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: it was interrupted
            loop.call_soon_threadsafe(lambda: None if done.done() else told(outcome))

    def run_it() -> None:
        try:
            tell(done.set_result, work())
        except Exception as error:  # noqa: BLE001 - raised where it is waited for
            tell(done.set_exception, error)

    threading.Thread(target=run_it, daemon=True).start()
    return await done


@contextlib.contextmanager
def _terminated_as_interrupted() -> Iterator[None]:
    """Within the block, SIGTERM ends it as Ctrl-C does, cleaning up."""

    def interrupt(number: int, frame: FrameType | None) -> None:
        # The loop's runner puts its own handler there, which ends the loop's main task.
        handler = signal.getsignal(signal.SIGINT)
        (handler if callable(handler) else signal.default_int_handler)(number, frame)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
