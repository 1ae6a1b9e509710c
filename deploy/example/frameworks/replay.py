"""What the agents beside this file share: updates come on standard input, replies go out, a line of JSON each."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from gridsession import SessionStore

Reply = Callable[[int, int, str], Awaitable[str | None]]
"""What a bot answers to (chat, message id, text); None if it has handled that message already."""


def run(description: str | None, replies: Callable[[SessionStore], Reply]) -> None:
    """Read the command line, open the store and answer until standard input ends."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="where conversations live")
    parser.add_argument("--namespace", default="agents")
    parser.add_argument("--replay", action="store_true", required=True, help="take updates from standard input")
    options = parser.parse_args()
    asyncio.run(_run(options.url, options.namespace, replies))


async def _run(url: str, namespace: str, replies: Callable[[SessionStore], Reply]) -> None:
    async with SessionStore.open(url, namespace=namespace) as store:
        reply = replies(store)
        _say({"ready": os.getpid()})
        async with asyncio.TaskGroup() as tasks:
            while line := await asyncio.to_thread(sys.stdin.readline):
                tasks.create_task(_handle(reply, json.loads(line)))


async def _handle(reply: Reply, update: dict[str, Any]) -> None:
    """Answer one update; that it is done is said when its effect is saved."""
    message = update["message"]
    try:
        text = await reply(message["chat"]["id"], update["update_id"], message["text"])
        if text is not None:
            _say({"chat": message["chat"]["id"], "text": text})
        _say({"done": update["update_id"]})
    except Exception as error:  # noqa: BLE001 - to a webhook, this is status 500: deliver it again
        _say({"failed": update["update_id"], "error": type(error).__name__})


def _say(what: object) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()
