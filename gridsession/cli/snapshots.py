"""`gridsession snapshot` and `gridsession restore`: namespaces to one file and back."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bars

from gridsession import SessionStore
from gridsession.cli import logs
from gridsession.cli._places import AsJson, Url, Yes, confirm, fail, run
from gridsession.cli._tables import Output, size
from gridsession.errors import InvalidOption, Unsupported
from gridsession.moving import Contents, Progress, Report, check_snapshot, restore, snapshot
from gridsession.node.snapshots import NAMESPACE as OF_NODES

_Namespaces = Annotated[
    list[str] | None,
    typer.Option("--namespace", help="Of which bot or tenant; may be given several times."),
]
_VERBS: Final = {"snapshot": "reading", "restore": "restoring", "verify": "comparing"}


def snapshot_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file to write.")],
    url: Url,
    namespaces: _Namespaces = None,
    every: Annotated[
        bool, typer.Option("--all-namespaces", help="All of bots that the place knows of (the grid and file:// only).")
    ] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Writes all sessions and globals of some namespaces into one file, which only its owner may read.

    Kept: fields, what is remembered, revision, remaining time. Nothing at the place is changed and no life extended.
    Each session is in it as it stood at one moment, but not all at the same moment. FILE is replaced only when the new
    one is whole and on disk; until then it is FILE.part, and if this command is ended, however that comes, the same
    command goes on there. Ends with 1 if something could not be read: it is named, and the file holds the rest.
    """
    if every and namespaces:
        raise typer.BadParameter("--all-namespaces does not go with --namespace")
    if file.exists():
        confirm(f"Replace {file}?", yes=yes)

    async def work(store: SessionStore) -> tuple[Report, Contents]:
        chosen = await _all(store) if every else namespaces or ()
        return await snapshot(store, file, namespaces=chosen, names=(url,), on_progress=screen.moved)

    with _Screen({}, as_json=as_json) as screen:
        report, contents = run(url, None, work)
        screen.done(report, contents, file)


def restore_command(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The file that `snapshot` wrote.")],
    url: Annotated[
        str | None, typer.Option("--url", help="Where the sessions shall be.", envvar="GRIDSESSION_URL")
    ] = None,
    namespaces: _Namespaces = None,
    to_namespace: Annotated[
        str | None, typer.Option(help="Whose they become, of one namespace.", show_default="the same")
    ] = None,
    elapsed: Annotated[
        bool, typer.Option("--elapsed", help="The time since the snapshot counts: what would have ended is left out.")
    ] = False,
    resume: Annotated[
        Path | None, typer.Option(help="File that says how far it came; give it again to go on there.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only check the file and count what it holds.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Puts the sessions and globals of a snapshot's file in place, then reads them back and compares.

    FILE is checked to its end before anything is written; one that is damaged or cut off is refused, and it is said
    where. Sessions have as much time left as when they were read, or see --elapsed. What is in place already stays
    unless FILE has it newer, by (epoch, revision), so it may be run again at any time. Ends with 0 if everything is
    there, 1 if not, 2 if it was called wrongly.
    """
    logs.configure(level=logging.WARNING)
    contents = check_snapshot(file)
    if dry_run:
        with _Screen({}, as_json=as_json) as screen:
            screen.done(Report(), contents, file)
        return
    if url is None:
        raise typer.BadParameter("say where the sessions shall be: --url or GRIDSESSION_URL")
    whose = ", ".join(namespaces or contents.namespaces)
    confirm(f"Put the sessions and globals of {whose} in place, over older ones?", yes=yes)

    def work(store: SessionStore) -> Awaitable[Report]:
        return restore(
            store,
            file,
            contents=contents,
            namespaces=namespaces or (),
            to_namespace=to_namespace,
            elapsed=elapsed,
            resume=resume,
            names=(url,),
            on_progress=screen.moved,
        )

    totals = {kind: contents.total(kind, namespaces) for kind in ("sessions", "globals")}
    with _Screen(totals, as_json=as_json) as screen:
        screen.done(run(url, None, work, makes=True), contents, file)


async def _all(store: SessionStore) -> list[str]:
    (link, _) = store._links
    try:
        found = await link.driver.namespaces() - {OF_NODES}
    except Unsupported:
        raise InvalidOption("this place does not tell its namespaces: name them with --namespace") from None
    if not found:
        fail("there are no namespaces at this place")
    return sorted(found)


class _Screen(AbstractContextManager["_Screen"]):
    """A bar while it runs, then what became of it.

    Args:
        totals: how many records of each kind there are, where that is known.
    """

    def __init__(self, totals: dict[str, int], *, as_json: bool) -> None:
        self._output = Output(as_json=as_json)
        self._totals = totals
        self._started = time.monotonic()
        self._tasks: dict[tuple[str, str], Any] = {}
        columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn())
        self._bars = Bars(*columns, TimeElapsedColumn(), console=Console(), disable=not self._output.people)

    def __enter__(self) -> _Screen:
        self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bars.stop()

    def moved(self, how_far: Progress) -> None:
        """Show how far it is."""
        self._output.line(event="progress", step=how_far.step, kind=how_far.kind, done=how_far.done)
        key = how_far.step, how_far.kind
        if key not in self._tasks:
            text = f"{_VERBS[how_far.step]} {how_far.kind}"
            self._tasks[key] = self._bars.add_task(text, total=self._totals.get(how_far.kind))
        self._bars.update(self._tasks[key], completed=how_far.done)

    def done(self, report: Report, contents: Contents, file: Path) -> None:
        """Show what became of it, and end with 1 if something failed."""
        for task in self._bars.tasks:
            self._bars.update(task.id, total=task.completed)
        self._bars.stop()
        output = self._output
        for (step, kind), tally in report.tallies.items():
            for key, reason in tally.problems:
                output.line(event="problem", step=step, kind=kind, key=key, reason=reason)
            counts = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(tally.counts.items())) or "none"
            output.say(f"{step} {kind}: {counts}")
            for key, reason in tally.problems:
                output.say(f"  {key}: {reason}", "red")
        records = sum(contents.records.values())
        output.line(
            event="done",
            ok=report.ok,
            seconds=round(time.monotonic() - self._started, 3),
            counts=report.counts(),
            file=str(file),
            bytes=contents.size,
            records=contents.records,
            content=contents.content,
            resumed=contents.resumed,
        )
        output.say(
            f"{file}: {records:,} records of {', '.join(contents.namespaces)}, {size(contents.size)},"
            f" content {contents.content[:16]}"
        )
        if not report.ok:
            output.say("not everything is there: see above", "red")
            raise typer.Exit(1)
