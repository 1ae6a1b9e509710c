"""One FastMCP server, two processes: what one of them was told, the other knows."""

from __future__ import annotations

import asyncio
import runpy
import socket
import sys
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from fastmcp import Client
from fastmcp.exceptions import ToolError

from gridsession import SessionStore
from gridsession.dialects.key_value import GridKeyValueStore
from gridsession.testing.local_grid import LocalGrid
from tests.frameworks.figures import FIGURES
from tests.frameworks.stand_in import EXAMPLES, recorded, two_workers_one_killed

pytestmark = [pytest.mark.frameworks, pytest.mark.grid]

SESSIONS = 10
OAUTH_SERVER = Path(__file__).with_name("oauth_server.py")


@asynccontextmanager
async def two_processes(*command: str) -> AsyncGenerator[list[str]]:
    """The addresses of two processes of a server, which end with the block. `PORT` in the command stands for a port."""
    with socket.socket() as first, socket.socket() as second:
        for each in (first, second):
            each.bind(("127.0.0.1", 0))
        ports = [str(each.getsockname()[1]) for each in (first, second)]
    processes = []
    try:
        for port in ports:
            arguments = [port if each == "PORT" else each for each in command]
            processes.append(await asyncio.create_subprocess_exec(sys.executable, *arguments))
        for port in ports:
            await until_it_listens(int(port))
        yield [f"http://127.0.0.1:{port}" for port in ports]
    finally:
        for process in processes:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def until_it_listens(port: int) -> None:
    """Wait for a server, with a deadline."""
    async with asyncio.timeout(60):
        while True:
            try:
                _, writer = await asyncio.open_connection("127.0.0.1", port)
            except ConnectionError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                await writer.wait_closed()
                return


async def known_to_the_other(*command: str) -> int:
    """How many sessions that one process made and noted something in, the other process knows with their note."""
    known = 0
    async with (
        two_processes(*command) as (here, there),
        Client(f"{here}/mcp") as one,
        Client(f"{there}/mcp") as other,
    ):
        for number in range(SESSIONS):
            session = (await one.call_tool("create_session")).data
            await one.call_tool("note", {"session_id": session, "message_id": "1", "text": f"note {number}"})
            try:
                found = (await other.call_tool("notes", {"session_id": session})).data
            except ToolError:
                continue
            known += found == {"1": f"note {number}"}
    return known


async def test_sessions_of_one_process_are_known_to_the_other(grid: LocalGrid, namespace: str) -> None:
    bot = str(EXAMPLES / "key_value_bot.py")
    stock = await known_to_the_other(bot, "stock", "--port", "PORT")
    ours = await known_to_the_other(bot, grid.url, "--namespace", namespace, "--port", "PORT")
    FIGURES["key_value: of 10 sessions known"] = {"stock": stock, "ours": ours}
    assert (stock, ours) == (0, SESSIONS)


async def test_notes_taken_at_once_by_two_workers_are_all_kept(grid: LocalGrid, namespace: str) -> None:
    bot = runpy.run_path(str(EXAMPLES / "key_value_bot.py"))
    async with (
        SessionStore.open(grid.url, namespace=namespace) as here,
        SessionStore.open(grid.url, namespace=namespace) as there,
        Client(bot["server_on"](here)) as one,
        Client(bot["server_on"](there)) as other,
    ):
        session = (await one.call_tool("create_session")).data
        notes = {str(number): f"note {number}" for number in range(20)}
        await asyncio.gather(*(
            (one, other)[number % 2].call_tool("note", {"session_id": session, "message_id": str(number), "text": text})
            for number, text in enumerate(notes.values())
        ))  # fmt: skip
        assert (await other.call_tool("notes", {"session_id": session})).data == notes


async def test_an_oauth_client_registered_with_one_process_may_ask_the_other(grid: LocalGrid, namespace: str) -> None:
    command = (str(OAUTH_SERVER), grid.url, namespace, "PORT")
    async with two_processes(*command) as (here, there), httpx.AsyncClient() as browser:
        asked = {"redirect_uris": ["http://localhost:1/callback"], "client_name": "tester"}
        registered = (await browser.post(f"{here}/register", json=asked)).raise_for_status().json()
        query = {
            "response_type": "code",
            "client_id": registered["client_id"],
            "redirect_uri": "http://localhost:1/callback",
            "code_challenge": "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM",
            "code_challenge_method": "S256",
            "state": "s",
        }
        known = await browser.get(f"{there}/authorize", params=query)
        assert known.status_code == 302, known.text
        assert "/consent" in known.headers["location"]
        # And the transaction that the second process began, the first one knows.
        consent = known.headers["location"].partition("/consent")[2]
        page = await browser.get(f"{here}/consent{consent}")
        assert page.status_code == 200, page.text
        assert "tester" in page.text
        stranger = await browser.get(f"{there}/authorize", params={**query, "client_id": "nobody"})
        assert stranger.status_code == 400
    async with SessionStore.open(grid.url, namespace=namespace) as store:
        collections = {session_id.split("/")[0] async for session_id in store.ids("key-value:")}
        assert {"key-value:mcp-oauth-proxy-clients", "key-value:mcp-oauth-transactions"} <= collections


async def test_with_a_worker_killed_no_update_is_lost_or_handled_twice(grid: LocalGrid, namespace: str) -> None:
    FIGURES["key_value: updates with a worker killed"] = await two_workers_one_killed(
        "key_value_bot.py", grid.url, namespace
    )
    said: dict[int, dict[str, str]] = {}
    for update in recorded():
        message = update["message"]
        said.setdefault(message["chat"]["id"], {})[str(update["update_id"])] = message["text"]
    async with SessionStore.open(grid.url, namespace=namespace) as opened:
        store = GridKeyValueStore(opened)
        for chat, texts in said.items():
            known = await store.get(str(chat), collection="conversations")
            assert known is not None
            found = [session_id async for session_id in opened.ids("key-value:") if known["session"] in session_id]
            assert len(found) == 1
            collection, _, key = found[0].removeprefix("key-value:").partition("/")
            state = await store.get(key.replace("%2F", "/").replace("%25", "%"), collection=collection)
            assert state is not None
            assert state["value"]["state"]["notes"] == texts
