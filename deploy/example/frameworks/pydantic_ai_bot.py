"""An agent with stored conversations, in pydantic-ai; any number of processes serve it together.

    python pydantic_ai_bot.py hazelcast://host:5701/cluster --replay < updates.jsonl  # no network: one line per reply

A run is saved in one step, its messages marked with the id of the message it was for: whatever a process that dies has
not saved, is delivered again, and nothing is handled twice. The model here is a stand-in for a real one.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from pydantic_ai import Agent, ModelMessage, ModelResponse, TextPart
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict
from pydantic_ai.models.function import AgentInfo, FunctionModel

from gridsession import SessionStore
from gridsession.dialects.pydantic_ai import GridConversationStore

Reply = Callable[[int, int, str], Awaitable[str | None]]


async def stand_in(messages: list[ModelMessage], _: AgentInfo) -> ModelResponse:
    """A model that needs no network: it counts what it was told and repeats the last of it."""
    told = [part.content for message in messages for part in message.parts if part.part_kind == "user-prompt"]
    await asyncio.sleep(0.005)
    return ModelResponse(parts=[TextPart(f"{len(told)}: you said {told[-1]}")])


def replies(store: SessionStore) -> Reply:
    """How the bot answers."""
    agent, conversations = Agent(FunctionModel(stand_in)), GridConversationStore(store)

    async def reply(chat: int, message_id: int, text: str) -> str | None:
        while True:
            name = f"telegram:{chat}"
            conversation = await conversations.load(name) or Conversation(conversation_id=name)
            if any(message.run_id == str(message_id) for message in conversation.messages):
                return None
            result = await agent.run(text, conversation=conversation, run_id=str(message_id))
            try:
                await conversations.save(result)
            except ConversationConflict:  # another message was answered meanwhile: answer again, knowing it
                continue
            return result.output

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
