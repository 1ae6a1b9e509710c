"""`gridsession import`: sessions out of what other systems wrote."""

from __future__ import annotations

import asyncio
import logging
import math
from typing import Annotated

import typer

from gridsession.cli import logs
from gridsession.cli._moves import Screen, open_store
from gridsession.errors import InvalidInput
from gridsession.moving import SOURCES, Options, Report, import_sessions, open_source


def command(
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="Directory, file or URL of what they wrote.")],
    target: Annotated[str, typer.Argument(metavar="TO_URL", help="Where the sessions shall be.")],
    kind: Annotated[str, typer.Option("--from", help=f"What wrote it: {', '.join(SOURCES)}.")],
    namespace: Annotated[
        str | None, typer.Option(help="Whose sessions they become.", show_default="the URL's, else default")
    ] = None,
    expires_in: Annotated[
        float | None, typer.Option(help="Minutes a session lives since its last activity, where SOURCE does not say.")
    ] = None,
    prefix: Annotated[
        str | None, typer.Option(help="Keyv's namespace, or what aiogram's keys begin with.", show_default="keyv, fsm")
    ] = None,
    bot: Annotated[int | None, typer.Option(help="aiogram: the bot's id, where keys do not hold it.")] = None,
    with_bot_id: Annotated[bool, typer.Option("--with-bot-id", help="aiogram: as its key builder has it.")] = False,
    with_business_connection_id: Annotated[
        bool, typer.Option("--with-business-connection-id", help="aiogram: as its key builder has it.")
    ] = False,
    with_destiny: Annotated[bool, typer.Option("--with-destiny", help="aiogram: as its key builder has it.")] = False,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace sessions that are there already.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Read and check everything, write nothing.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, also on a terminal.")] = False,
) -> None:
    """Imports the sessions of Bottender, Opengram, JAWCE or aiogram. Nothing of theirs is changed.

    What cannot be read is counted and named, and the rest imported. Sessions without an end get the ?ttl= of TO_URL.
    Ends with 0 if everything is there, 1 if not, 2 if it was called wrongly.
    """
    logs.configure(level=logging.WARNING)
    if expires_in is not None and not (0 < expires_in < math.inf):
        raise typer.BadParameter("--expires-in is a number of minutes above 0")
    options = Options(expires_in, prefix, bot, with_bot_id, with_business_connection_id, with_destiny)
    there = open_store(target, namespace, "TO_URL")

    async def run() -> Report:
        found = open_source(kind, source, options)
        if dry_run:
            return await import_sessions(found, there, overwrite=overwrite, dry_run=True, on_progress=screen.moved)
        async with there:
            return await import_sessions(found, there, overwrite=overwrite, on_progress=screen.moved)

    with Screen(as_json=as_json) as screen:
        try:
            report = asyncio.run(run())
        except InvalidInput as error:
            raise typer.BadParameter(str(error)) from None
        screen.done(report, dry_run=dry_run)
