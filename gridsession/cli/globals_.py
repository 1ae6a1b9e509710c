"""`gridsession globals`: the values that all sessions of a namespace share."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from gridsession import SessionStore
from gridsession.cli._places import AsJson, Namespace, Reveal, Url, Yes, confirm, fail, run, ttl
from gridsession.cli._tables import Output, span
from gridsession.cli._values import parsed, plain, shown, text

group = typer.Typer(help="Lists, shows, puts and deletes the values that all sessions share.", no_args_is_help=True)

_Name = Annotated[str, typer.Argument(metavar="NAME", help="The global.")]
_ABSENT = object()


@group.command("list")
def show_all(url: Url, namespace: Namespace = None, reveal: Reveal = False, as_json: AsJson = False) -> None:
    """Lists all globals with their values, asked from their records; what looks secret by its name is masked."""
    output = Output(as_json=as_json)

    async def work(store: SessionStore) -> dict[str, Any]:
        return await store.globals.load(fresh=True)

    rows = []
    for name, value in sorted(run(url, namespace, work).items()):
        told = shown(name, plain(value), reveal=reveal)
        output.line(name=name, value=told)
        rows.append((name, text(told)))
    if rows:
        output.table(("global", "value"), rows)
    else:
        output.say("there are no globals")


@group.command("get")
def show(name: _Name, url: Url, namespace: Namespace = None, reveal: Reveal = False, as_json: AsJson = False) -> None:
    """Shows one global, asked from its record. Ends with 1 if there is none of that name."""
    output = Output(as_json=as_json)

    async def work(store: SessionStore) -> tuple[Any, float | None]:
        value = await store.globals.get(name, _ABSENT, fresh=True)
        return value, await store.globals.ttl(name)

    value, left = run(url, namespace, work)
    if value is _ABSENT:
        output.line(name=name, exists=False)
        fail(f"there is no global {name!a}")
    told = shown(name, plain(value), reveal=reveal)
    output.line(name=name, exists=True, value=told, ttl_left=left)
    output.say(text(told))
    if left is not None:
        output.say(f"{span(left)} left", "dim")


@group.command("set")
def put(
    name: _Name,
    value: Annotated[str, typer.Argument(metavar="JSON", help="Its value; text needs quotes of its own: '\"open\"'.")],
    url: Url,
    namespace: Namespace = None,
    life: Annotated[
        str, typer.Option("--ttl", help="restart: its own again, if it has one; keep; never; or a duration: 90, 30m.")
    ] = "restart",
    as_json: AsJson = False,
) -> None:
    """Puts one global; every worker sees it at once."""
    content, chosen = parsed(name, value), ttl(life)

    async def work(store: SessionStore) -> None:
        await store.globals.set(name, content, ttl=chosen)

    run(url, namespace, work, makes=True)
    output = Output(as_json=as_json)
    output.line(name=name, changed=True)
    output.say(f"{name} is set")


@group.command("delete")
def delete(name: _Name, url: Url, namespace: Namespace = None, yes: Yes = False, as_json: AsJson = False) -> None:
    """Deletes one global. Ends with 1 if there is none of that name."""
    confirm(f"Delete the global {name!a}?", yes=yes)

    async def work(store: SessionStore) -> bool:
        return await store.globals.delete(name)

    output = Output(as_json=as_json)
    deleted = run(url, namespace, work)
    output.line(name=name, deleted=deleted)
    if not deleted:
        fail(f"there is no global {name!a}")
    output.say(f"{name} is deleted")
