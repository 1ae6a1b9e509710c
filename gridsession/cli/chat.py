"""`gridsession chat`: talk to a bot in the terminal, the counting bot or one's own, on any place sessions live."""

from __future__ import annotations

import asyncio
import importlib
import json
import sys
import threading
import traceback
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import aclosing, suppress
from pathlib import Path
from typing import Annotated, Any, Final, TextIO

import typer

from gridsession import SessionStore
from gridsession.cli._tables import tell_error
from gridsession.dialects.bottender import ConsoleBot, ConsoleContext
from gridsession.errors import GridSessionError, InvalidInput, InvalidOption

YOU: Final = "You > "
BOT: Final = "Bot > "


def command(
    bot: Annotated[
        str | None, typer.Argument(help="MODULE:FUNCTION, called with a context for each line.", show_default="counts")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Where sessions live.", envvar="GRIDSESSION_URL", show_default="memory://")
    ] = None,
    namespace: Annotated[str | None, typer.Option(help="Of which bot or tenant.", show_default="default")] = None,
    platform: Annotated[str, typer.Option(help="Play this platform.")] = "console",
    user: Annotated[str, typer.Option("--as", help="Play this user of it.")] = "1",
    pretty: Annotated[bool, typer.Option("--pretty", help="Indent what /state and /session answer.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="JSON, one object a reply, also on a terminal.")] = False,
) -> None:
    """Talks to a bot, line by line; /state, /session, /payload TEXT, /quit and /exit are commands.

    Two consoles with the same --url, --platform and --as share one session. Lines are read from standard input when
    that is no terminal.
    """
    if url is None:
        typer.echo("no --url and no GRIDSESSION_URL: the session stays in this process's memory", err=True)
    try:
        handler = count if bot is None else _load(bot)
        store = SessionStore.open("memory://" if url is None else url, namespace=namespace)
        say = _say_as_json if as_json else _say
        failed = asyncio.run(_chat(handler, store, ConsoleBot(store, platform=platform, user=user, pretty=pretty), say))
    except InvalidInput as error:
        tell_error(str(error))
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        failed = False
    # A script that went wrong must not look like one that went well.
    raise typer.Exit(1 if failed and not sys.stdin.isatty() else 0)


async def count(context: ConsoleContext) -> None:
    """The counting bot."""
    number = context.state.get("count", 0) + 1
    context.set_state({"count": number})
    await context.send_text(f"Count: {number}")


async def _chat(
    handler: Callable[[ConsoleContext], object], store: SessionStore, bot: ConsoleBot, say: Callable[[str], None]
) -> bool:
    """Talk until the user quits or the lines end; whether any line failed."""
    failed = False
    async with store, bot:
        bot.on_event(handler)
        async for line in _typed():
            async with aclosing(bot.hear(line)) as replies:
                # Said out here: that nobody reads on is no failure of the handler, which the talk would outlive.
                while isinstance(reply := await _next(replies), str):
                    say(reply)
            failed = failed or reply is _FAILED
            if bot.ended:
                break
    return failed


class _Failed:
    """A line whose handler raised."""


_FAILED: Final = _Failed()


async def _next(replies: AsyncGenerator[str, None]) -> str | _Failed | None:
    """The next reply, or None after the last one; a handler's error is told."""
    try:
        return await anext(replies, None)
    except GridSessionError as error:
        typer.echo(f"{type(error).__name__}: {error}", err=True)
    except Exception:  # noqa: BLE001 - a handler raises what it likes; the talk goes on
        typer.echo(f"{traceback.format_exc()}nothing was written", err=True)
    return _FAILED


def _say(reply: str) -> None:
    typer.echo(f"{BOT}{reply}")


def _say_as_json(reply: str) -> None:
    typer.echo(json.dumps({"event": "reply", "text": reply}))


async def _typed() -> AsyncIterator[str]:
    """Lines with something on them: edited on a terminal, read as they come from anything else."""
    if not sys.stdin.isatty():
        lines = _script()
        while text := await _in_a_thread(lines.readline):
            if text.strip():
                yield text.rstrip("\n")
        return
    from prompt_toolkit import PromptSession

    prompt: PromptSession[str] = PromptSession(YOU)
    while True:
        try:
            text = await prompt.prompt_async()
        except (EOFError, KeyboardInterrupt):
            return
        if text.strip():
            yield text


def _script() -> TextIO:
    # Opened again: at its end Python asks for its own one's lock, which a thread that still reads would hold.
    text = sys.stdin
    return open(text.fileno(), encoding=text.encoding, errors=text.errors, closefd=False)


async def _in_a_thread(read: Callable[[], str]) -> str:
    """What a call gives that may wait for ever; unlike the loop's own threads, this one is not waited for on Ctrl-C."""
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[str] = loop.create_future()

    def settle(text: str, error: Exception | None) -> None:
        if answer.done():
            return
        if error is None:
            answer.set_result(text)
        else:
            answer.set_exception(error)

    def run() -> None:
        text, failure = "", None
        try:
            text = read()
        except (OSError, ValueError) as error:
            failure = error
        with suppress(RuntimeError):  # the loop has ended
            loop.call_soon_threadsafe(settle, text, failure)

    threading.Thread(target=run, daemon=True).start()
    return await answer


def _load(name: str) -> Callable[[ConsoleContext], Any]:
    """The function that `module:function` names, modules of the working directory among them."""
    module, colon, function = name.partition(":")
    if not colon or not module or not function:
        raise InvalidOption(f"{name!r} does not name a bot: write MODULE:FUNCTION, as in bots.counter:handle")
    sys.path.insert(0, str(Path.cwd()))
    try:
        found = getattr(importlib.import_module(module), function, None)
    except ModuleNotFoundError as error:
        raise InvalidOption(f"cannot import {module!r}: {error}") from None
    if not callable(found):
        raise InvalidOption(f"module {module!r} has no function {function!r}")
    return found  # type: ignore[no-any-return]  # whatever it is, it can be called
