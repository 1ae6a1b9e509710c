"""What `gridsession copy` and `gridsession import` show: a bar and sentences on a terminal, JSON lines otherwise."""

from __future__ import annotations

import json
import sys
import time
from types import TracebackType
from typing import Any, Final

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from gridsession._store import SessionStore
from gridsession.drivers import parse_url
from gridsession.drivers.file import directory_of
from gridsession.errors import InvalidInput
from gridsession.moving import Progress as Moved
from gridsession.moving import Report

_FOLDERS: Final = ("file", "lmdb")
_VERBS: Final = {"copy": "copying", "verify": "comparing", "import": "importing"}


class Screen:
    """Shows a move while it runs and what became of it; a context manager.

    Args:
        as_json: JSON lines, also on a terminal.
    """

    def __init__(self, *, as_json: bool) -> None:
        self._people = sys.stdout.isatty() and not as_json
        self._started = time.monotonic()
        self._totals: dict[str, int] = {}
        self._bars: dict[tuple[str, str], Any] = {}
        self._progress = Progress(
            SpinnerColumn(),
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=Console(),
            disable=not self._people,
        )

    def __enter__(self) -> Screen:
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._progress.stop()

    def moved(self, how_far: Moved) -> None:
        """Show how far it is; how many there are is known only when the first step is through."""
        if not self._people:
            self._line(event="progress", step=how_far.step, kind=how_far.kind, done=how_far.done)
            return
        key = how_far.step, how_far.kind
        if key not in self._bars:
            for bar in self._progress.tasks:
                # What came before is through, so its total is known now.
                self._progress.update(bar.id, total=bar.completed)
            text = f"{_VERBS[how_far.step]} {how_far.kind}"
            total = self._totals.get(how_far.kind) if how_far.step == "verify" else None
            self._bars[key] = self._progress.add_task(text, total=total)
        self._progress.update(self._bars[key], completed=how_far.done)
        if how_far.step == "copy":
            self._totals[how_far.kind] = how_far.done

    def done(self, report: Report, *, dry_run: bool) -> None:
        """Show what became of it, and end with 1 if something failed."""
        self._progress.stop()
        if self._people:
            self._sentences(report, dry_run)
        else:
            for (step, kind), tally in report.tallies.items():
                for key, reason in tally.problems:
                    self._line(event="problem", step=step, kind=kind, key=key, reason=reason)
            seconds = round(time.monotonic() - self._started, 3)
            facts = {"dry_run": dry_run, "seconds": seconds, "clock_shift_ms": report.shift}
            self._line(event="done", ok=report.ok, **facts, counts=report.counts())
        if not report.ok:
            raise typer.Exit(1)

    def _sentences(self, report: Report, dry_run: bool) -> None:
        console = Console(highlight=False, markup=False)
        for (step, kind), tally in report.tallies.items():
            counts = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(tally.counts.items())) or "none"
            console.print(f"{step} {kind}: {counts}")
            for key, reason in tally.problems:
                console.print(f"  {_printable(key)}: {_printable(reason)}", style="red")
        if report.shift:
            console.print(f"the clocks differ by {report.shift / 1000:+.1f} s: times were moved by as much")
        if dry_run:
            console.print("nothing was written")
        elif not report.ok:
            console.print("not everything is there: see above, then run it again; what is there stays")

    @staticmethod
    def _line(**facts: Any) -> None:
        print(json.dumps(facts), flush=True)  # noqa: T201  # what the command is for


def _printable(text: str) -> str:
    """Text of someone else's in which a terminal finds no command."""
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


def open_store(url: str, namespace: str | None, role: str, *, default: str | None = None) -> SessionStore:
    """The store of a URL given on the command line, not yet connected.

    Args:
        default: the namespace if neither the command line nor the URL names one.

    Raises:
        BadParameter: it makes no sense; that ends the command with 2.
    """
    try:
        address = parse_url(url)
        if address.scheme == "memory":
            raise typer.BadParameter(f"{role}: memory:// is this command's own memory and ends with it")
        if namespace is None and "namespace" not in address.options:
            namespace = default
        return SessionStore.open(url, namespace=namespace)
    except InvalidInput as error:
        raise typer.BadParameter(f"{role}: {error}") from None


def check_there(url: str, role: str) -> None:
    """Refuse a directory that is not there: opened, it would be made, and nothing found in it.

    Raises:
        BadParameter: it is not there.
    """
    address = parse_url(url)
    if address.scheme in _FOLDERS and not directory_of(address).exists():
        raise typer.BadParameter(f"{role}: {directory_of(address)} is not there")


def same_place(one: str, other: str) -> bool:
    """Whether two URLs lead to the same place, whatever their ttl, deadline or namespace."""
    places = []
    for url in (one, other):
        address = parse_url(url)
        options = {name: text for name, text in address.options.items() if name not in ("ttl", "deadline", "namespace")}
        places.append((address.scheme, address.location.rstrip("/"), options))
    return places[0] == places[1]
