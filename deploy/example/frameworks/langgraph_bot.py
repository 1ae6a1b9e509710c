"""An agent as a graph, in LangGraph; any number of processes serve it together.

    python langgraph_bot.py hazelcast://host:5701/cluster --replay < updates.jsonl  # no network: one line per reply

A run owns its thread. The graph's first checkpoint holds the message and its id, so that whatever a process that dies
has not finished, the next one finishes: a message that is delivered again is not handled again.
"""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph
from replay import Reply, run

from gridsession import SessionStore
from gridsession.dialects.langgraph import GridSaver


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


if __name__ == "__main__":
    run(__doc__, replies)
