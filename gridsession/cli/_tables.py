"""What commands show: tables and sentences on a terminal, JSON lines otherwise."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from gridsession.cli._moves import _printable


class Output:
    """Where a command's answer goes. NO_COLOR is heeded, and nothing of what others stored can steer a terminal.

    Args:
        as_json: JSON lines, also on a terminal.

    Attributes:
        people: whether people read it.
    """

    def __init__(self, *, as_json: bool) -> None:
        self.people = sys.stdout.isatty() and not as_json
        self.console = Console(highlight=False, markup=False, soft_wrap=False)

    def line(self, **facts: Any) -> None:
        """One object for scripts; people are told in other ways."""
        if not self.people:
            print(json.dumps(facts), flush=True)  # noqa: T201  # what the command is for

    def say(self, text: str, style: str | None = None) -> None:
        """One sentence for people."""
        if self.people:
            self.console.print(Text(printable(text), style=style or ""))

    def paste(self, text: str) -> None:
        """Something that people copy elsewhere: its lines are broken where it says, and nowhere else."""
        if self.people:
            self.console.print(Text(printable(text)), soft_wrap=True)

    def table(
        self,
        columns: Sequence[str],
        rows: Iterable[Sequence[str]],
        *,
        head: bool = True,
        least: Mapping[str, int] | None = None,
    ) -> None:
        """A table for people; as `table`."""
        if self.people:
            self.console.print(table(columns, rows, head=head, least=least))


def tell_error(reason: str) -> None:
    """A sentence on standard error: broken between words on a terminal, on one line for scripts."""
    console = Console(stderr=True, highlight=False, markup=False)
    console.print(Text(printable(f"gridsession: {reason}")), soft_wrap=not sys.stderr.isatty())


def table(
    columns: Sequence[str],
    rows: Iterable[Sequence[str]],
    *,
    head: bool = True,
    least: Mapping[str, int] | None = None,
) -> Table:
    """Text in columns; a heading that begins with `>` is that of numbers, set right.

    Args:
        least: least widths of columns, by their headings, for those that go on over several tables.
    """
    made = Table(box=None, show_header=head, pad_edge=False, header_style="bold")
    for name in columns:
        right = name.startswith(">")
        made.add_column(
            name.lstrip(">"),
            justify="right" if right else "left",
            min_width=None if least is None else least.get(name),
            # A number that is cut is another number.
            no_wrap=right,
            overflow="fold",
        )
    for row in rows:
        made.add_row(*(Text(printable(cell)) for cell in row))
    return made


def printable(text: str) -> str:
    """Text of someone else's in which a terminal finds no command; line ends stay."""
    return "\n".join(map(_printable, text.split("\n")))


def span(seconds: float | None) -> str:
    """A duration for people; None = for ever."""
    if seconds is None:
        return "for ever"
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7_200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3_600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} d"


def heap_mib(heap: Mapping[str, int] | None) -> str:
    """A member's heap for people: in use, of what there can be; of `{"used": ..., "live": ..., "most": ...}`."""
    return "?" if heap is None else f"{heap['used'] >> 20}/{heap['most'] >> 20}"


def size(count: int) -> str:
    """Bytes for people."""
    if count < 10_240:
        return f"{count:,} B"
    return f"{count / 1024:,.1f} KiB" if count < 10_485_760 else f"{count / 1_048_576:,.1f} MiB"
