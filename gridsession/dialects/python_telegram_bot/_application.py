"""An application that shares its bot with others of its kind.

Conversation states have no public way in, so this module reaches into python-telegram-bot: at
`Application._conversation_handler_conversations` (dicts of states, by conversation), their wrapper of a handler that
still runs, `ConversationHandler._child_conversations` and `TelegramObject._unfrozen`. They are looked for at start.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any, Final

import telegram
from telegram import InlineKeyboardMarkup, Message, TelegramObject, Update
from telegram.ext import Application, CallbackDataCache, ConversationHandler, ExtBot, InvalidCallbackData

from gridsession import Revision
from gridsession.dialects.python_telegram_bot._persistence import GridPersistence
from gridsession.errors import GridSessionError, InvalidOption, Unavailable, UsageError

TESTED: Final = tuple((22, minor) for minor in range(9))
"""Releases of python-telegram-bot whose private parts were tested; any other is refused at start."""

_WATCH_AGAIN: Final = 1.0
_log = logging.getLogger("gridsession.dialects.python_telegram_bot")


class GridApplication(Application[Any, Any, Any, Any, Any, Any]):
    """Handles each update in a turn of its chat and its user. For `ApplicationBuilder.application_class`.

    Handlers with `block=False` run beside their update: what they change is saved by `update_interval`, field by field.
    A conversation's timeout belongs to the process that handled its last update.
    """

    _revisions: dict[int, Revision]
    """What this process saved last, of chats and users that no other has changed since."""
    _handling: list[int]
    _following: asyncio.Task[None] | None = None

    async def initialize(self) -> None:
        """Start, and follow the changes that other processes make.

        Raises:
            UsageError: this release of python-telegram-bot was not tested, or lacks a private part that is needed.
            InvalidOption: the persistence is no `GridPersistence`, or a conversation is neither per chat nor per user.
            Unavailable: the grid cannot be reached.
        """
        self._check()
        self._shared.followed = True
        await super().initialize()
        if self._following is None:
            self._revisions, self._handling = {}, []
            watching = asyncio.Event()
            self._following = asyncio.create_task(self._follow(watching), name="gridsession-follow")
            waiting = asyncio.create_task(watching.wait())
            await asyncio.wait({self._following, waiting}, return_when=asyncio.FIRST_COMPLETED)
            waiting.cancel()
            if self._following.done():
                self._following.result()

    async def shutdown(self) -> None:
        """Stop, with everything saved."""
        following, self._following = self._following, None
        if following is not None:
            following.cancel()
            await asyncio.wait({following})
        await super().shutdown()

    async def process_update(self, update: object) -> None:
        """Handle an update; an error of the grid goes to the error handlers, as those of handlers do."""
        try:
            await self.handle(update)
        except GridSessionError as error:
            await self.process_error(update=update, error=error)

    async def handle(self, update: object) -> None:
        """Handle an update unless that was done before, and raise if its effect could not be saved.

        For a webhook that answers Telegram only when this is over, so that what failed is delivered again.

        Raises:
            GridSessionError: what the handlers changed was not saved.
        """
        parts = _parts(update)
        if not isinstance(update, Update) or not parts:
            await super().process_update(update)
            await self.update_persistence()
            return
        self._handling.extend(parts)
        try:
            async with self._shared.turns(parts, update.update_id) as turns:
                if not turns:
                    return
                for part, turn in turns.items():
                    self._take_in(part, turn.state)
                await self._fill_in_buttons(update)
                await super().process_update(update)
                await self.update_persistence()
            self._revisions.update((part, turn.revision) for part, turn in turns.items())
        finally:
            for part in parts:
                self._handling.remove(part)

    # --- conversations -----------------------------------------------------------------------------------------------

    @property
    def _shared(self) -> GridPersistence:
        if not isinstance(self.persistence, GridPersistence):
            raise InvalidOption("a GridApplication needs ApplicationBuilder.persistence(GridPersistence(...))")
        return self.persistence

    def _take_in(self, part: int, fields: Mapping[str, Any]) -> None:
        """Make the states of a chat's or user's conversations what they are on the grid."""
        fresh = self._shared.conversations(fields)
        for name, states in self._conversation_handler_conversations.items():
            plain: MutableMapping[Any, Any] = states.data  # writes to it are not tracked: they come from the grid
            for key in [key for key in plain if key[0] == part and not _runs(plain[key])]:
                del plain[key]
            for (of, key), state in fresh.items():
                if of == name and key not in plain:
                    plain[key] = state

    async def _follow(self, watching: asyncio.Event) -> None:
        store, prefix = await self._shared.store(), self._shared.session_id("")
        while True:
            try:
                async for change in store.watch(prefix):
                    watching.set()
                    named = None if change.id is None else change.id.removeprefix(prefix)
                    for part in [part for part in self._revisions if named in (None, str(part))]:
                        if change.revision is None or change.revision > self._revisions[part]:
                            await self._hear(part)
            except Unavailable:
                if not watching.is_set():
                    raise
                _log.warning("changes of other processes are not heard of; watching again in %g s", _WATCH_AGAIN)
                await asyncio.sleep(_WATCH_AGAIN)

    async def _hear(self, part: int) -> None:
        """Take in what another process made of conversations that this one handled last."""
        session = (await self._shared.store()).session(self._shared.session_id(part))
        with contextlib.suppress(GridSessionError):  # a hint less: the next update reads the states anyway
            snapshot = await session.load()
            if part in self._handling or self._revisions.get(part) == snapshot.revision:
                return
            self._take_in(part, snapshot)
            # From now on it is the others': their changes are not followed until an update of it comes here again.
            self._revisions.pop(part, None)
            for handler in _conversations(self):
                for key in [key for key in handler.timeout_jobs if key[0] == part]:
                    handler.timeout_jobs.pop(key).schedule_removal()

    # --- buttons -----------------------------------------------------------------------------------------------------

    async def _fill_in_buttons(self, update: Update) -> None:
        """Find the data of a pressed button whose keyboard was sent by another process."""
        query, cache = update.callback_query, getattr(self.bot, "callback_data_cache", None)
        if query is None or cache is None or not isinstance(query.data, InvalidCallbackData):
            return
        keyboard = await self._shared.keyboard(CallbackDataCache.extract_uuids(query.data.callback_data or "")[0])
        if keyboard is None:
            return
        cache.load_persistence_data(([keyboard], {}))
        with query._unfrozen():
            query.data = query.data.callback_data
        markup = query.message.reply_markup if isinstance(query.message, Message) else None
        for row in markup.inline_keyboard if isinstance(markup, InlineKeyboardMarkup) else ():
            for button in row:
                if isinstance(button.callback_data, InvalidCallbackData):
                    button.update_callback_data(button.callback_data.callback_data or "")
        if isinstance(self.bot, ExtBot):
            self.bot.insert_callback_data(update)

    # --- the seam ----------------------------------------------------------------------------------------------------

    def _check(self) -> None:
        version = tuple(telegram.__version_info__[:2])
        if version not in TESTED:
            known = ", ".join(f"{major}.{minor}" for major, minor in TESTED)
            raise UsageError(
                f"python-telegram-bot {telegram.__version__} was not tested with GridApplication; was: {known}"
            )
        handlers = list(_conversations(self))
        parts = (
            (self, "_conversation_handler_conversations"),
            (TelegramObject, "_unfrozen"),
            *((handler, name) for handler in handlers for name in ("_child_conversations", "timeout_jobs")),
        )
        for owner, name in parts:
            if not hasattr(owner, name):
                raise UsageError(f"python-telegram-bot {telegram.__version__} has no {name}, which conversations need")
        _ = self._shared
        for handler in handlers:
            if handler.persistent and not (handler.per_chat or handler.per_user):
                raise InvalidOption(f"the conversation {handler.name!a} must be per chat or per user to be shared")


def _parts(update: object) -> list[int]:
    """Whose sessions an update needs, in the one order in which all take them, so that no two wait for each other."""
    if not isinstance(update, Update):
        return []
    return sorted({each.id for each in (update.effective_chat, update.effective_user) if each is not None})


def _conversations(application: Application[Any, Any, Any, Any, Any, Any]) -> Iterator[ConversationHandler[Any]]:
    """Its conversation handlers, children of others among them."""
    waiting = [handler for group in application.handlers.values() for handler in group]
    while waiting:
        handler = waiting.pop()
        if isinstance(handler, ConversationHandler):
            yield handler
            waiting.extend(handler._child_conversations)


def _runs(state: object) -> bool:
    """Whether it stands for a non-blocking handler that still runs, or whose result was not looked at yet."""
    return hasattr(state, "task") and hasattr(state, "resolve")
