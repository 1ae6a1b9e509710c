"""The contexts of aiogram and of python-telegram-bot, the real ones."""

from __future__ import annotations

import datetime as dt
from types import SimpleNamespace
from typing import Any

import pytest
import telegram
from aiogram import Bot, Dispatcher, types
from telegram.ext import CallbackContext

from gridsession import SessionStore
from gridsession.dialects.opengram import Context, SessionData, chat_of, sender_of, session, session_key
from gridsession.errors import UsageError
from tests.dialects.opengram.contexts import count, raw, update

NOW = dt.datetime(2024, 1, 1, tzinfo=dt.UTC)


def aiogram_update(**fields: Any) -> types.Update:
    """An update as aiogram reads it."""
    return types.Update(update_id=1, **fields)


def aiogram_message(user: int = 1, chat: int = 2) -> types.Message:
    """A message as aiogram gives it."""
    sender = types.User(id=user, is_bot=False, first_name="Ann")
    return types.Message(message_id=1, date=NOW, chat=types.Chat(id=chat, type="group"), from_user=sender, text="Hi")


def inline_query(chat_type: str) -> types.InlineQuery:
    """An inline query of user 1."""
    sender = types.User(id=1, is_bot=False, first_name="Ann")
    return types.InlineQuery(id="1", from_user=sender, query="", offset="", chat_type=chat_type)


def private_inline_too(ctx: Any) -> str | None:
    """The documents' key function, of an aiogram update."""
    sender, chat = sender_of(ctx), chat_of(ctx)
    if sender and chat:
        return f"{sender.id}:{chat.id}"
    if ctx.inline_query and ctx.inline_query.chat_type == "sender":
        return f"{sender.id}:{sender.id}"
    return None


async def test_an_inline_query_from_the_private_chat_shares_its_session(sessions: SessionStore) -> None:
    async with sessions:
        use = session(private_inline_too, store=sessions)
        assert await update(use, aiogram_update(message=aiogram_message(1, 1)), count) == 1
        assert await update(use, aiogram_update(inline_query=inline_query("sender")), count) == 2
        with pytest.raises(UsageError, match="no session"):
            await update(use, aiogram_update(inline_query=inline_query("group")), count)


# --- aiogram ---------------------------------------------------------------------------------------------------------


async def test_an_aiogram_dispatcher_hands_the_session_to_its_handlers(sessions: SessionStore) -> None:
    use, counted = session(store=sessions), []
    dispatcher = Dispatcher()

    @dispatcher.update.outer_middleware()
    async def with_session(handler: Any, event: Any, data: dict[str, Any]) -> Any:
        return await use(data, lambda: handler(event, data))

    @dispatcher.message()
    async def on_message(message: types.Message, session: Any) -> None:
        session.counter = (session.counter or 0) + 1
        counted.append(session.counter)

    @dispatcher.channel_post()
    async def on_post(message: types.Message, session: Any) -> None:
        with pytest.raises(UsageError, match="no session"):
            session.counter  # noqa: B018 - reading it is what is tested
        counted.append(0)

    bot = Bot("42:TEST")
    async with sessions:
        for user in (1, 2, 1):
            await dispatcher.feed_update(bot, aiogram_update(message=aiogram_message(user)))
        post = types.Message(message_id=1, date=NOW, chat=types.Chat(id=5, type="channel"))
        await dispatcher.feed_update(bot, aiogram_update(channel_post=post))
        assert counted == [1, 1, 2, 0]
        assert {one async for one in sessions.ids()} == {"opengram:1:2", "opengram:2:2"}


async def test_aiograms_frozen_events_carry_a_session_themselves() -> None:
    message = aiogram_message()
    button = types.CallbackQuery(id="1", from_user=message.from_user, chat_instance="1", message=message)
    async with session(store="memory://") as use:
        for ctx in (message, button, aiogram_update(callback_query=button)):
            await update(use, ctx, count)
        assert isinstance(message.session, SessionData)
        assert "session" not in message.model_dump()
        assert await update(use, aiogram_message(), count) == 4
        with pytest.raises(UsageError, match="no session"):
            await update(use, types.Update(update_id=1, some_new_type={}), count)


# --- python-telegram-bot ---------------------------------------------------------------------------------------------


def telegram_update(user: int = 1, chat: int = 2) -> telegram.Update:
    """An update as python-telegram-bot gives it."""
    body = raw(user, chat)
    body["message"]["from"] |= {"first_name": "Ann", "is_bot": False}
    return telegram.Update.de_json(body, None)


async def test_updates_of_python_telegram_bot_are_wrapped(sessions: SessionStore) -> None:
    async with sessions:
        use = session(store=sessions)

        async def callback(update: telegram.Update, context: Any) -> int:
            ctx = Context(update)
            assert ctx.effective_user.id == ctx.from_.id
            assert ctx.chat.id == 2
            answer: int = await use(ctx, lambda: count(ctx))
            return answer

        assert [await callback(telegram_update(user), None) for user in (1, 2, 1)] == [1, 1, 2]
        with pytest.raises(UsageError, match="Update"):
            await update(use, telegram_update(), count)


async def test_the_callback_context_of_python_telegram_bot_carries_one_by_a_key_function() -> None:
    context: Any = CallbackContext(SimpleNamespace(bot=None), 2, 1)  # type: ignore[arg-type]
    arrived = telegram_update()
    async with session(lambda _: session_key(arrived), store="memory://") as use:
        assert [await update(use, context, count) for _ in range(2)] == [1, 2]
