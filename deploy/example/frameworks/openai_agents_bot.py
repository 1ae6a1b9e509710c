"""An agent with a memory, in openai-agents; any number of processes serve it together.

    python openai_agents_bot.py hazelcast://host:5701/cluster --replay < updates.jsonl  # no network: one line per reply

A run holds its session, and what it said is saved in one step together with the message's id: whatever a process that
dies has not saved, is delivered again, and nothing is handled twice. The model here is a stand-in for a real one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from agents import Agent, Model, ModelResponse, RunConfig, Runner, Usage
from openai.types.responses import ResponseOutputMessage, ResponseOutputText

from gridsession import SessionStore
from gridsession.dialects.openai_agents import GridSession

Reply = Callable[[int, int, str], Awaitable[str | None]]


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
