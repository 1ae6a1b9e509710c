"""An agent with a memory, in openai-agents; any number of processes serve it together.

    python openai_agents_bot.py hazelcast://host:5701/cluster --replay < updates.jsonl  # no network: one line per reply

A run holds its session, and what it said is saved in one step together with the message's id: whatever a process that
dies has not saved, is delivered again, and nothing is handled twice. The model here is a stand-in for a real one.
"""

from __future__ import annotations

import asyncio
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage
from openai.types.responses import ResponseOutputMessage, ResponseOutputText
from replay import Reply, run

from gridsession import SessionStore
from gridsession.dialects.openai_agents import GridSession


class StandIn(Model):
    """A model that needs no network: it counts what it was told and repeats the last of it."""

    async def get_response(self, system_instructions: Any, input: Any, *_: Any, **__: Any) -> ModelResponse:  # noqa: A002
        """Answer after a moment, as a real one would."""
        told = [item["content"] for item in input if item.get("role") == "user"]
        await asyncio.sleep(0.005)
        text = ResponseOutputText(annotations=[], text=f"{len(told)}: you said {told[-1]}", type="output_text")
        message = ResponseOutputMessage(
            id="stand-in", content=[text], role="assistant", status="completed", type="message"
        )
        return ModelResponse(output=[message], usage=Usage(), response_id=None)

    def stream_response(self, *_: Any, **__: Any) -> Any:
        """Not used here."""
        raise NotImplementedError


def replies(store: SessionStore) -> Reply:
    """How the bot answers."""
    agent = Agent(name="assistant", model=StandIn())

    async def reply(chat: int, message_id: int, text: str) -> str | None:
        async with GridSession(f"telegram:{chat}", store).hold(message=message_id, lease=3, wait=60) as alone:
            if alone.repeated:
                return None
            result = await Runner.run(agent, text, session=alone, run_config=RunConfig(tracing_disabled=True))
            return str(result.final_output)

    return reply


if __name__ == "__main__":
    run(__doc__, replies)
