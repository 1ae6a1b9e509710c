"""`gridsession set`, `unset`, `clear` and `delete`: an operator's changes to a session, each one atomic command."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import Annotated, Any, Final

import typer

from gridsession import SessionStore
from gridsession._snapshot import Revision  # what `turn.revision` gives has no public name
from gridsession._turn import Turn
from gridsession.cli._places import AsJson, Namespace, SessionKey, Url, Yes, confirm, fail, run, ttl
from gridsession.cli._tables import Output
from gridsession.cli._values import assignments
from gridsession.errors import Conflict

_ATTEMPTS: Final = 10


class Bag(StrEnum):
    """Which bag of fields."""

    STATE = "state"
    PROPS = "props"


_Bag = Annotated[Bag, typer.Option("--bag", help="Which bag of fields.")]
_Life = Annotated[
    str,
    typer.Option("--ttl", help="keep: the time left stays; restart; never: it ends no more; or a duration: 90, 30m."),
]


def put(
    session_id: SessionKey,
    fields: Annotated[
        list[str], typer.Argument(metavar="NAME=JSON", help="Fields to put, as in count=3 step='\"pay\"'.")
    ],
    url: Url,
    namespace: Namespace = None,
    bag: _Bag = Bag.STATE,
    life: _Life = "keep",
    create: Annotated[bool, typer.Option("--create", help="Make the session if there is none.")] = False,
    as_json: AsJson = False,
) -> None:
    """Puts fields of a session; others stay. Text needs quotes of its own: step='"pay"'.

    Other types are written as `show` shows them, as in price='{"$decimal": "9.50"}'. Ends with 1 if there is no such
    session (see --create), or if a field was changed by someone else at that moment.
    """
    values = assignments(fields)

    def edit(turn: Turn) -> None:
        _of(turn, bag).update(values)

    _change(session_id, url, namespace, life, edit, as_json=as_json, create=create)


def unset(
    session_id: SessionKey,
    names: Annotated[list[str], typer.Argument(metavar="NAME", help="Fields to remove.")],
    url: Url,
    namespace: Namespace = None,
    bag: _Bag = Bag.STATE,
    life: _Life = "keep",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Removes fields of a session; others stay, and so does the session. Ends with 1 if there is no such session."""
    confirm(f"Remove {', '.join(map(ascii, names))} of {session_id!a}?", yes=yes)

    def edit(turn: Turn) -> None:
        for name in names:
            _of(turn, bag).pop(name, None)

    _change(session_id, url, namespace, life, edit, as_json=as_json)


def clear(
    session_id: SessionKey,
    url: Url,
    namespace: Namespace = None,
    retain: Annotated[list[str] | None, typer.Option(metavar="NAME,...", help="Fields that stay.")] = None,
    bag: _Bag = Bag.STATE,
    life: _Life = "keep",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Removes all fields of a session but the retained ones; the session stays.

    Ends with 1 if there is no such session.
    """
    kept = [name for names in retain or () for name in names.split(",") if name]
    but = f" but {', '.join(map(ascii, kept))}" if kept else ""
    chosen = ttl(life)
    confirm(f"Remove all fields in the {bag.value} of {session_id!a}{but}?", yes=yes)

    async def work(store: SessionStore) -> Revision:
        session = store.session(session_id)
        for attempt in range(1, _ATTEMPTS + 1):
            there = await session.load()
            if not there.exists:
                fail(f"there is no session {session.id!a}")
            # By its revision, for a session that ended meanwhile must not rise again, empty.
            how: dict[str, Any] = {"clear": kept} if bag is Bag.STATE else {"clear_props": kept}
            try:
                return (await session.commit(**how, if_revision=there.revision, ttl=chosen)).revision
            except Conflict:
                if attempt == _ATTEMPTS:
                    raise
        raise AssertionError

    _told(Output(as_json=as_json), session_id, run(url, namespace, work), changed=True)


def delete(
    session_ids: Annotated[list[str], typer.Argument(metavar="ID", help="Sessions, as in line:U123.")],
    url: Url,
    namespace: Namespace = None,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Deletes sessions. Ends with 1 if one of them was not there."""
    many = f"{len(session_ids)} sessions" if len(session_ids) > 1 else f"{session_ids[0]!a}"
    confirm(f"Delete {many}?", yes=yes)
    output = Output(as_json=as_json)

    async def work(store: SessionStore) -> bool:
        sessions = [store.session(name) for name in session_ids]
        complete = True
        for session in sessions:
            deleted = await session.delete()
            complete = complete and deleted
            output.line(id=session.id, deleted=deleted)
            output.say(f"{session.id}: {'deleted' if deleted else 'there is no such session'}")
        return complete

    if not run(url, namespace, work):
        raise typer.Exit(1)


def _of(turn: Turn, bag: Bag) -> dict[str, Any]:
    return turn.state if bag is Bag.STATE else turn.props


def _change(
    session_id: str,
    url: str,
    namespace: str | None,
    life: str,
    edit: Callable[[Turn], None],
    *,
    as_json: bool,
    create: bool = False,
) -> None:
    """Change a session that exists; a field that was changed by another meanwhile is a conflict, other fields merge."""
    chosen = ttl(life)

    async def work(store: SessionStore) -> tuple[Revision, bool]:
        async with store.turn(session_id, exclusive=False, ttl=chosen) as turn:
            if not turn.exists and not create:
                fail(f"there is no session {turn.id!a}")
            before = turn.revision
            edit(turn)
        return turn.revision, turn.revision != before

    revision, changed = run(url, namespace, work, makes=create)
    _told(Output(as_json=as_json), session_id, revision, changed=changed)


def _told(output: Output, session_id: str, revision: Revision, *, changed: bool) -> None:
    output.line(id=session_id, changed=changed, revision=revision.number, epoch=revision.epoch)
    output.say(f"{session_id}: {f'now at revision {revision.number}' if changed else 'nothing to change'}")
