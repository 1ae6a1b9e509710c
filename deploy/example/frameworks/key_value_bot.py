"""An MCP server that takes notes, in FastMCP; any number of processes serve it together.

    python key_value_bot.py hazelcast://host:5701/cluster --replay < updates.jsonl   # no network: one line per reply
    python key_value_bot.py hazelcast://host:5701/cluster --port 8080                # for MCP clients, at /mcp

FastMCP keeps the state of its sessions in a py-key-value store: on the grid, so that any process serves any request.
Each message is noted under its own id: noted again, after a process died or a webhook was delivered twice, it is the
same note. FastMCP reads and writes a session whole and would lose one of two notes at once: each is taken in a turn.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

from fastmcp import Client, FastMCP
from fastmcp.server.dependencies import get_session
from fastmcp.server.sessions import SessionId, SessionProvider

from gridsession import Policy, SessionStore
from gridsession.dialects.key_value import GridKeyValueStore


def alone(place: SessionStore | None, what: str) -> AbstractAsyncContextManager[object]:
    """A block that only one task of all processes is in at a time."""
    return nullcontext() if place is None else place.turn(what, lease=3, wait=60)


def server_on(place: SessionStore | None) -> FastMCP:
    """The server over a store; None: FastMCP's own, which is alone in its process."""
    server = FastMCP("notes", session_state_store=None if place is None else GridKeyValueStore(place))
    server.add_provider(SessionProvider())

    @server.tool
    async def note(session_id: SessionId, message_id: str, text: str) -> str:
        """Note what was said."""
        session = await get_session(session_id)
        async with alone(place, f"notes:{session_id}"):
            await session.set("notes", {**await session.get("notes", {}), message_id: text})
        return f"Noted: {text}"

    @server.tool
    async def notes(session_id: SessionId) -> dict[str, str]:
        """Everything that was noted."""
        found: dict[str, str] = await (await get_session(session_id)).get("notes", {})
        return found

    return server


async def session_of(chat: int, client: Client[Any], place: SessionStore) -> str:
    """The session of a conversation, made when it begins."""
    store = GridKeyValueStore(place)
    async with alone(place, f"conversation:{chat}"):
        known = await store.get(str(chat), collection="conversations")
        if known is None:
            known = {"session": (await client.call_tool("create_session")).data}
            await store.put(str(chat), known, collection="conversations")
    return str(known["session"])


def say(what: object) -> None:
    """One line of JSON for whoever listens."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def replay(place: SessionStore) -> None:
    """Handle the updates on standard input, one a line, side by side; say of each one when its effect is saved."""

    async def handle(client: Client[Any], update: dict[str, Any]) -> None:
        message = update["message"]
        try:
            told = {"message_id": str(update["update_id"]), "text": message["text"]}
            session = await session_of(message["chat"]["id"], client, place)
            reply = await client.call_tool("note", {"session_id": session, **told})
            say({"chat": message["chat"]["id"], "text": reply.data})
            say({"done": update["update_id"]})
        except Exception as error:  # noqa: BLE001 - to a webhook, this is status 500: deliver it again
            say({"failed": update["update_id"], "error": type(error).__name__})

    async with Client(server_on(place)) as client, asyncio.TaskGroup() as tasks:
        say({"ready": os.getpid()})
        while line := await asyncio.to_thread(sys.stdin.readline):
            tasks.create_task(handle(client, json.loads(line)))


async def main() -> None:
    """Open the store and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="where entries live; 'stock': in FastMCP's own store")
    parser.add_argument("--namespace", default="notes")
    parser.add_argument("--replay", action="store_true", help="take updates from standard input, send nothing")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    if options.url == "stock":
        await server_on(None).run_http_async(port=options.port, show_banner=False, log_level="warning")
        return
    async with SessionStore.open(options.url, namespace=options.namespace, policy=Policy(ttl=86400)) as place:
        if options.replay:
            await replay(place)
        else:
            await server_on(place).run_http_async(port=options.port, show_banner=False, log_level="warning")


if __name__ == "__main__":
    asyncio.run(main())
