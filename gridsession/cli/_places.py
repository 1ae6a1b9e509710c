"""What commands over one place share: their options, how they are run, and what is asked before something is lost."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Final, NoReturn, TypeAlias, TypeVar

import typer

from gridsession._session import KEEP, RESTART, Ttl  # `Ttl` has no public name
from gridsession._store import SessionStore
from gridsession.cli import logs
from gridsession.cli._moves import check_there, open_store
from gridsession.cli._tables import tell_error
from gridsession.errors import InvalidInput

T = TypeVar("T")

Url: TypeAlias = Annotated[
    str,
    typer.Option(
        "--url",
        help="Where sessions live, as in hazelcast://host:5701/cluster or file:///dir.",
        envvar="GRIDSESSION_URL",
    ),
]
Namespace: TypeAlias = Annotated[
    str | None, typer.Option("--namespace", help="Of which bot or tenant.", show_default="the URL's, else default")
]
AsJson: TypeAlias = Annotated[bool, typer.Option("--json", help="JSON, one object a line, also on a terminal.")]
Yes: TypeAlias = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Reveal: TypeAlias = Annotated[bool, typer.Option("--reveal", help="Show values whose names look secret, too.")]
SessionKey: TypeAlias = Annotated[str, typer.Argument(metavar="ID", help="The session, as in line:U123.")]

_UNITS: Final = {"": 1.0, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0}
_DURATION: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)([smhd]?)")


def run(url: str, namespace: str | None, work: Callable[[SessionStore], Awaitable[T]], *, makes: bool = False) -> T:
    """Open the store of a URL, do the work, close it.

    Args:
        makes: a directory that is not there is made; otherwise it is a mistake.

    Raises:
        BadParameter: the URL, or something else that was given, makes no sense; that ends the command with 2.
        GridSessionError: it failed; that ends the command with 1.
    """
    logs.configure(level=logging.WARNING)
    store = open_store(url, namespace, "--url")
    if not makes:
        check_there(url, "--url")

    async def opened() -> T:
        async with store:
            return await work(store)

    try:
        return asyncio.run(opened())
    except InvalidInput as error:
        raise typer.BadParameter(str(error)) from None


def run_until_interrupted(url: str, namespace: str | None, work: Callable[[SessionStore], Awaitable[None]]) -> None:
    """As `run`, for what only ends when the user ends it."""
    try:
        run(url, namespace, work)
    except KeyboardInterrupt:
        raise typer.Exit(0) from None


def confirm(question: str, *, yes: bool) -> None:
    """Go on only if the user wants it: by --yes, or asked on a terminal.

    Raises:
        BadParameter: there is nobody to ask.
        Exit: the answer was no.
    """
    if yes:
        return
    if not sys.stdin.isatty():
        raise typer.BadParameter("this destroys something, and there is no terminal to ask on: add --yes")
    if not typer.confirm(question, err=True):
        raise typer.Exit(1)


def fail(reason: str) -> NoReturn:
    """End the command with 1 and a sentence on standard error."""
    tell_error(reason)
    raise typer.Exit(1)


def seconds(text: str) -> float:
    """A duration as typed: `90`, `90s`, `30m`, `2h`, `1.5d`.

    Raises:
        BadParameter: it is none.
    """
    found = _DURATION.fullmatch(text)
    number = float(found[1]) * _UNITS[found[2]] if found else math.inf
    if not number < math.inf:
        raise typer.BadParameter(f"{text!r} is no duration: write 90, 90s, 30m, 2h or 1.5d")
    return number


def ttl(text: str) -> Ttl:
    """What a change does to a life, as typed: `keep`, `restart`, `never` or a duration.

    Raises:
        BadParameter: none of these.
    """
    if text in _TTLS:
        return _TTLS[text]
    return seconds(text)


_TTLS: Final[dict[str, Ttl]] = {"keep": KEEP, "restart": RESTART, "never": None}
