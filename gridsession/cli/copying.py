"""`gridsession copy`: all sessions and globals of a namespace to another place."""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path
from typing import Annotated

import typer

from gridsession.cli import logs
from gridsession.cli._moves import Screen, check_there, open_store, same_place
from gridsession.errors import InvalidInput
from gridsession.moving import Report, copy


def command(
    source: Annotated[str, typer.Argument(metavar="FROM_URL", help="Where the sessions are.")],
    target: Annotated[str, typer.Argument(metavar="TO_URL", help="Where they shall be.")],
    namespace: Annotated[
        str | None, typer.Option(help="Whose sessions.", show_default="the URL's, else default")
    ] = None,
    to_namespace: Annotated[
        str | None, typer.Option(help="Whose they become.", show_default="the target URL's, else the same")
    ] = None,
    resume: Annotated[
        Path | None, typer.Option(help="File that says how far it came; give it again to go on there.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only count what is there.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON lines, also on a terminal.")] = False,
) -> None:
    """Copies all sessions and globals of a namespace, then reads both places back and compares.

    Kept: fields, what is remembered, revision, remaining ttl. Not copied: leases. Nothing at FROM_URL is changed. What
    is at TO_URL already stays unless the source has a newer revision, so it may be run again at any time.
    Ends with 0 if everything is there, 1 if not, 2 if it was called wrongly.
    """
    logs.configure(level=logging.WARNING)
    here = open_store(source, namespace, "FROM_URL")
    there = open_store(target, to_namespace, "TO_URL", default=here.namespace)
    if same_place(source, target) and here.namespace == there.namespace:
        raise typer.BadParameter("FROM_URL and TO_URL are the same place and namespace")
    check_there(source, "FROM_URL")

    async def run() -> Report:
        async with here:
            if dry_run:
                return await copy(here, there, dry_run=True, on_progress=screen.moved)
            async with there:
                return await copy(here, there, resume=resume, names=(source, target), on_progress=screen.moved)

    with Screen(as_json=as_json) as screen:
        try:
            report = asyncio.run(run())
        except InvalidInput as error:
            raise typer.BadParameter(str(error)) from None
        screen.done(report, dry_run=dry_run)
