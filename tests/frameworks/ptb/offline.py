"""Applications without a network: what they would send is kept, and updates are made by hand."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from typing import Any

from telegram import Update
from telegram.ext import Application, BaseHandler, BasePersistence
from telegram.request import BaseRequest, RequestData

from gridsession.dialects.python_telegram_bot import GridApplication

_BOT = {"id": 42, "is_bot": True, "first_name": "Orders", "username": "orders_bot"}
_numbers = itertools.count(1)


class Offline(BaseRequest):
    """Instead of Telegram; `sent` lists the parameters of all messages."""

    read_timeout = 1.0

    def __init__(self) -> None:
        self.sent: list[dict[str, Any]] = []

    async def initialize(self) -> None:
        """Nothing is opened."""

    async def shutdown(self) -> None:
        """Nothing was opened."""

    async def do_request(
        self, url: str, method: str, request_data: RequestData | None = None, *args: Any, **kwargs: Any
    ) -> tuple[int, bytes]:
        """Answer `getMe` and `sendMessage`."""
        result: dict[str, Any] = _BOT
        if url.endswith("/sendMessage"):
            assert request_data is not None
            self.sent.append(request_data.parameters)
            chat = {"id": request_data.parameters["chat_id"], "type": "private"}
            result = {"message_id": len(self.sent), "date": 0, "chat": chat, "text": request_data.parameters["text"]}
        return 200, json.dumps({"ok": True, "result": result}).encode()


@asynccontextmanager
async def running(
    persistence: BasePersistence[Any, Any, Any],
    *handlers: BaseHandler[Any, Any, Any],
    kind: type[Application[Any, Any, Any, Any, Any, Any]] = GridApplication,
    **options: Any,
) -> AsyncIterator[Any]:
    """An application with these handlers; `.sent` what it sent, `.errors` what its error handler was told."""
    request = Offline()
    builder = Application.builder().token("42:offline").application_class(kind).persistence(persistence)
    builder = builder.request(request).get_updates_request(Offline())
    if options.get("buttons"):
        builder = builder.arbitrary_callback_data(True)
    application = builder.build()
    errors: list[Exception] = []

    async def note(update: object, context: Any) -> None:
        errors.append(context.error)

    for handler in handlers:
        application.add_handler(handler)
    application.add_error_handler(note)
    seen[id(application)] = request.sent, errors
    async with application:
        yield application
    del seen[id(application)]


seen: dict[int, tuple[list[dict[str, Any]], list[Exception]]] = {}
"""By application (they have no room for attributes of ours): what it sent, and the errors it had."""


def sent(application: object) -> list[str]:
    """The texts an application sent."""
    return [parameters["text"] for parameters in seen[id(application)][0]]


def errors(application: object) -> list[type[Exception]]:
    """What kinds of errors its error handler was told of."""
    return [type(error) for error in seen[id(application)][1]]


def said(application: Any, text: str, user: int = 7, chat: int | None = None, number: int | None = None) -> Update:
    """A message of a user, in private or in a group."""
    chat = user if chat is None else chat
    message: dict[str, Any] = {
        "message_id": 1,
        "date": 0,
        "from": {"id": user, "is_bot": False, "first_name": "Ploy"},
        "chat": {"id": chat, "type": "private" if chat > 0 else "group"},
        "text": text,
    }
    if text.startswith("/"):
        message["entities"] = [{"type": "bot_command", "offset": 0, "length": len(text)}]
    update = Update.de_json({"update_id": number or next(_numbers), "message": message}, application.bot)
    assert update is not None
    return update


def pressed(application: Any, markup: Any, user: int = 7) -> Update:
    """A press on the first button of a keyboard, as Telegram posts it and the webhook of the library takes it in."""
    markup = json.loads(markup) if isinstance(markup, str) else markup
    data = markup["inline_keyboard"][0][0]["callback_data"]
    message = {
        "message_id": 1,
        "date": 0,
        "from": _BOT,
        "chat": {"id": user, "type": "private"},
        "reply_markup": markup,
    }
    who = {"id": user, "is_bot": False, "first_name": "Ploy"}
    query = {"id": f"q{next(_numbers)}", "from": who, "chat_instance": "1", "data": data, "message": message}
    update = Update.de_json({"update_id": next(_numbers), "callback_query": query}, application.bot)
    assert update is not None
    application.bot.insert_callback_data(update)
    return update


def flat(handlers: Iterable[Any]) -> list[Any]:
    """All handlers of an application, whatever their group."""
    return [handler for group in handlers for handler in group]
