"""Graphs and checkpoints that the tests share."""

from __future__ import annotations

import asyncio
import operator
from typing import Annotated, Any, TypedDict

from langgraph.checkpoint.base import BaseCheckpointSaver, Checkpoint, empty_checkpoint
from langgraph.checkpoint.base.id import uuid6
from langgraph.graph import END, START, StateGraph
from langgraph.graph.state import CompiledStateGraph


class Tally(TypedDict):
    """What a conversation counts: who was here, and how many."""

    names: Annotated[list[str], operator.add]
    count: int


def counting(saver: BaseCheckpointSaver[Any]) -> CompiledStateGraph[Any, Any, Any, Any]:
    """Two nodes: one thinks for a moment, one counts."""

    async def think(state: Tally) -> dict[str, Any]:
        await asyncio.sleep(0.001)
        return {}

    async def count(state: Tally) -> dict[str, Any]:
        return {"count": state.get("count", 0) + 1}

    return _built(think, count, saver)


def counting_without_awaiting(saver: BaseCheckpointSaver[Any]) -> CompiledStateGraph[Any, Any, Any, Any]:
    """The same, for code that blocks."""
    return _built(lambda state: {}, lambda state: {"count": state.get("count", 0) + 1}, saver)


def _built(think: Any, count: Any, saver: BaseCheckpointSaver[Any]) -> CompiledStateGraph[Any, Any, Any, Any]:
    graph = StateGraph(Tally)
    graph.add_node("think", think)
    graph.add_node("count", count)
    graph.add_edge(START, "think")
    graph.add_edge("think", "count")
    graph.add_edge("count", END)
    return graph.compile(checkpointer=saver)


def at(thread: str, ns: str = "", checkpoint_id: str | None = None) -> Any:
    """A config of a thread."""
    named = {} if checkpoint_id is None else {"checkpoint_id": checkpoint_id}
    return {"configurable": {"thread_id": thread, "checkpoint_ns": ns, **named}}


def checkpoint(**values: Any) -> Checkpoint:
    """A checkpoint with these channels, each at its first version."""
    return {
        **empty_checkpoint(),
        "id": str(uuid6()),
        "channel_values": values,
        "channel_versions": dict.fromkeys(values, 1),
    }
