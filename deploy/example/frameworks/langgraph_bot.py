"""An agent as a graph, in LangGraph; any number of processes serve it together.

    python langgraph_bot.py hazelcast://host:5701/cluster --replay < updates.jsonl  # no network: one line per reply

A run owns its thread. The graph's first checkpoint holds the message and its id, so that whatever a process that dies
has not finished, the next one finishes: a message that is delivered again is not handled again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import operator
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph

from gridsession import SessionStore
from gridsession.dialects.langgraph import GridSaver

Reply = Callable[[int, int, str], Awaitable[str | None]]


class Chat(TypedDict):
    """What a thread holds: what was said on both sides, and which messages were handled."""

    said: Annotated[list[str], operator.add]
    handled: Annotated[list[int], operator.add]


async def think(state: Chat) -> dict[str, Any]:
    """In a real agent: ask a model."""
    await asyncio.sleep(0.005)
    return {}


async def answer(state: Chat) -> dict[str, Any]:
    """Answer what was said last."""
    return {"said": [f"{len(state['handled'])}: you said {state['said'][-1]}"]}


def graph_on(saver: GridSaver) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The agent, its threads kept by a saver."""
    graph = StateGraph(Chat)
    graph.add_node("think", think)
    graph.add_node("answer", answer)
    graph.add_edge(START, "think")
    graph.add_edge("think", "answer")
    graph.add_edge("answer", END)
    return graph.compile(checkpointer=saver)


def replies(store: SessionStore) -> Reply:
    """How the bot answers."""
    saver = GridSaver(store, lease=3)
    graph = graph_on(saver)

    async def reply(chat: int, message_id: int, text: str) -> str | None:
        thread: Any = {"configurable": {"thread_id": f"telegram:{chat}"}}
        async with saver.aown(f"telegram:{chat}", wait=60):
            if (await graph.aget_state(thread)).created_at is not None:
                # Whatever a process that died has begun; a thread that is at its end stays as it is.
                state = await graph.ainvoke(None, thread, durability="sync")
                if message_id in state["handled"]:
                    return None
            state = await graph.ainvoke({"said": [text], "handled": [message_id]}, thread, durability="sync")
            return str(state["said"][-1])

    return reply


def say(what: object) -> None:
    """One line of JSON for whoever listens."""
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


async def replay(reply: Callable[[int, int, str], Awaitable[str | None]]) -> None:
    """Handle the updates on standard input, one a line, side by side; say of each one when its effect is saved."""

    async def handle(update: dict[str, Any]) -> None:
        message = update["message"]
        try:
            text = await reply(message["chat"]["id"], update["update_id"], message["text"])
            if text is not None:
                say({"chat": message["chat"]["id"], "text": text})
            say({"done": update["update_id"]})
        except Exception as error:  # noqa: BLE001 - to a webhook, this is status 500: deliver it again
            say({"failed": update["update_id"], "error": type(error).__name__})

    say({"ready": os.getpid()})
    async with asyncio.TaskGroup() as tasks:
        while line := await asyncio.to_thread(sys.stdin.readline):
            tasks.create_task(handle(json.loads(line)))


async def main() -> None:
    """Open the store and run."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("url", help="where conversations live")
    parser.add_argument("--namespace", default="agents")
    parser.add_argument("--replay", action="store_true", required=True, help="take updates from standard input")
    options = parser.parse_args()
    async with SessionStore.open(options.url, namespace=options.namespace) as store:
        await replay(replies(store))


if __name__ == "__main__":
    asyncio.run(main())
