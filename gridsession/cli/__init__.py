"""The command line, `gridsession`: one module per command, each with a function `command` that typer reads."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from gridsession.errors import GridSessionError

_COMMANDS = {"chat": "chat", "copy": "copying", "demo": "demo", "import": "importing", "node": "node"}
"""Commands and their modules: some commands are words that Python keeps for itself."""


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
    del rich  # the demo draws with it; asked for here, so that it is not missed halfway
    # No locals in tracebacks: they hold what users stored.
    app = typer.Typer(
        name="gridsession",
        help="Shared, expiring chatbot sessions on a Hazelcast grid.",
        no_args_is_help=True,
        add_completion=False,
        pretty_exceptions_enable=False,
    )
    app.callback()(_options)
    # one command imports one module, help imports all of them
    for name in arguments[:1] if arguments[:1] and arguments[0] in _COMMANDS else _COMMANDS:
        app.command(name)(importlib.import_module(f"gridsession.cli.{_COMMANDS[name]}").command)
    try:
        app(args=arguments, prog_name="gridsession")
    except GridSessionError as error:
        sys.exit(f"gridsession: {error}")


def _options() -> None:
    """Shared, expiring chatbot sessions on a Hazelcast grid."""
