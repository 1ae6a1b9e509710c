"""`gridsession watch`: changes of sessions as they happen, without their values."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import typer

from gridsession import SessionStore
from gridsession.cli._places import AsJson, Namespace, Url, run_until_interrupted
from gridsession.cli._tables import Output


def command(
    url: Url,
    namespace: Namespace = None,
    prefix: Annotated[str, typer.Option(help="Only ids that begin with it.")] = "",
    limit: Annotated[int | None, typer.Option(min=1, help="End after so many changes.", show_default="Ctrl-C")] = None,
    as_json: AsJson = False,
) -> None:
    """Shows which sessions change, as they change, until Ctrl-C: time, id, revision. Values are not read.

    A change may be shown twice, and fast changes of one session as one. "gone" is deleted, ended, or held by a turn
    without a session. After a gap (a connection was lost, or too much came at once) some may be missing. Where changes
    are not pushed (all places but the grid), they are looked for every 0.25 s.
    """
    output = Output(as_json=as_json)

    async def work(store: SessionStore) -> None:
        begun, count = False, 0
        async for change in store.watch(prefix):
            now = dt.datetime.now(dt.UTC)
            if change.id is None:
                event = "gap" if begun else "watching"
                begun = True
                output.line(event=event, time=now.isoformat())
                output.say(_NOTES[event], "dim")
                continue
            revision = change.revision
            gone = revision is None or not revision.number
            facts: dict[str, int | None] = {"revision": None, "epoch": None}
            state = "gone"
            if revision is not None and not gone:
                facts = {"revision": revision.number, "epoch": revision.epoch}
                state = f"revision {revision.number}"
            output.line(event="gone" if gone else "change", time=now.isoformat(), id=change.id, **facts)
            output.say(f"{now.astimezone():%H:%M:%S.%f}  {state:<16}  {change.id}")
            count += 1
            if count == limit:
                return

    run_until_interrupted(url, namespace, work)


_NOTES = {"watching": "watching; Ctrl-C ends it", "gap": "a gap: some changes may be missing here"}
