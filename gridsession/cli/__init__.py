"""The command line, `gridsession`: one module per command or group of commands, read by typer."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterable, Sequence
from importlib import metadata
from typing import TYPE_CHECKING, Final

from gridsession.errors import GridSessionError, InvalidInput

if TYPE_CHECKING:
    import typer

_COMMANDS: Final = {
    "bench": "bench:command",
    "chat": "chat:command",
    "clear": "changing:clear",
    "copy": "copying:command",
    "delete": "changing:delete",
    "demo": "demo:command",
    "doctor": "doctor:command",
    "globals": "globals_:group",
    "import": "importing:command",
    "jar": "jar:command",
    "ls": "sessions:ls",
    "node": "node:command",
    "restore": "snapshots:restore_command",
    "set": "changing:put",
    "show": "sessions:show",
    "snapshot": "snapshots:snapshot_command",
    "top": "top:command",
    "unset": "changing:unset",
    "watch": "watching:command",
}
"""Commands, each with its module and what is in it: a function, or a group of commands of its own."""


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs the command line and exits: 0 done, 1 failed (the reason on standard error), 2 called wrongly.

    Args:
        arguments: without the program's name; None: those of this process.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    try:
        import rich
        import typer
    except ImportError as missing:
        sys.exit(
            f"gridsession: the command line needs {missing.name}, which is not installed. "
            'Install it with: pip install "gridsession[cli]" (or "gridsession[node]" to run members too)'
        )
    del rich, typer  # asked for here, so that they are not missed halfway
    try:
        # one command imports one module, help imports all of them
        application(_wanted(arguments))(args=arguments, prog_name="gridsession")
    except GridSessionError as error:
        from gridsession.cli._tables import tell_error

        tell_error(str(error))
        sys.exit(2 if isinstance(error, InvalidInput) else 1)


def application(names: Iterable[str] = tuple(_COMMANDS)) -> typer.Typer:
    """The commands of these names, all by default, as typer reads them."""
    import typer

    # No locals in tracebacks: they hold what users stored.
    app = typer.Typer(
        name="gridsession",
        help="Shared, expiring chatbot sessions on a Hazelcast grid.",
        no_args_is_help=True,
        invoke_without_command=True,
        add_completion=False,
        pretty_exceptions_enable=False,
        rich_markup_mode="markdown",  # "rich" would keep the line ends of docstrings
    )
    app.callback()(_options())
    for name in names:
        module, _, attribute = _COMMANDS[name].partition(":")
        found = getattr(importlib.import_module(f"gridsession.cli.{module}"), attribute)
        if isinstance(found, typer.Typer):
            app.add_typer(found, name=name)
        else:
            app.command(name)(found)
    return app


def _wanted(arguments: Sequence[str]) -> Iterable[str]:
    if arguments[:1] == ["--version"]:
        return ()
    return arguments[:1] if arguments and arguments[0] in _COMMANDS else _COMMANDS


def _options() -> Callable[..., None]:
    import typer

    asked = typer.Option(False, "--version", help="Tell the version and end.")

    def options(*, version: bool = asked) -> None:
        """Shared, expiring chatbot sessions on a Hazelcast grid.

        Where sessions live is said by --url or GRIDSESSION_URL.
        """
        if version:
            typer.echo(f"gridsession {metadata.version('gridsession')}")
            raise typer.Exit

    return options
