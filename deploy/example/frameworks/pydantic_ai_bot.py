"""An agent with stored conversations, in pydantic-ai; any number of processes serve it together.

    python pydantic_ai_bot.py hazelcast://host:5701/cluster --replay < updates.jsonl  # no network: one line per reply

A run is saved in one step, its messages marked with the id of the message it was for: whatever a process that dies has
not saved, is delivered again, and nothing is handled twice. The model here is a stand-in for a real one.
"""

from __future__ import annotations

import asyncio

from pydantic_ai import Agent, ModelMessage, ModelResponse, TextPart
from pydantic_ai.conversation import Conversation
from pydantic_ai.conversation_store import ConversationConflict
from pydantic_ai.models.function import AgentInfo, FunctionModel
from replay import Reply, run

from gridsession import SessionStore
from gridsession.dialects.pydantic_ai import GridConversationStore


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


if __name__ == "__main__":
    run(__doc__, replies)
