"""LangGraph on the grid: `GridSaver` keeps the checkpoints of threads, for sync and async graphs alike.

    saver = GridSaver("hazelcast://host:5701/cluster")
    graph = builder.compile(checkpointer=saver)
    async with saver.aown("thread-1"):  # or `with saver.own(...)`: alone in all processes, from reading to writing
        await graph.ainvoke(message, {"configurable": {"thread_id": "thread-1"}})

Every write happens in a turn of its thread: in the one held by `own` around a run, else in a short one of its own. So
while a run owns a thread, others' writes wait for it, and an owner that was superseded (it stood still for longer than
its lease) is refused with `LeaseLost`. The newest checkpoint is the one that was written last: no worker's clock
decides it. A checkpoint lives as long as the store's ttl says, since it was written.
"""

from __future__ import annotations

try:
    import langgraph.checkpoint.base as _base  # noqa: F401 - only whether it is there
except ImportError as error:
    raise ImportError("gridsession.dialects.langgraph needs LangGraph: pip install 'gridsession[langgraph]'") from error

from gridsession.dialects.langgraph._saver import GridSaver

__all__ = ["GridSaver"]
