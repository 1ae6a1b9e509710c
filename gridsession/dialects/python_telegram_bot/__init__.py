"""python-telegram-bot 22 on the grid: application processes share users', chats' and bot data and conversations.

    persistence = GridPersistence("hazelcast://host:5701/cluster?ttl=86400")
    builder = Application.builder().token(...).persistence(persistence).application_class(GridApplication)

What belongs to a chat is one session `ptb:<bot>:<id>`, and so is what belongs to a user; in a private chat it is the
same one. `GridApplication` handles an update in a turn of them: alone in all processes, on fresh data and conversation
states, saved in one commit per session together with the update's id, so that an update that is delivered twice takes
effect once. The bot's data belongs to no update's turn: its fields are saved just before, in a commit of their own.
"""

from __future__ import annotations

try:
    import telegram.ext as _telegram_ext  # noqa: F401 - only whether it is there
except ImportError as error:
    raise ImportError(
        "gridsession.dialects.python_telegram_bot needs python-telegram-bot 22: "
        "pip install 'gridsession[python-telegram-bot]'"
    ) from error

from gridsession.dialects.python_telegram_bot._application import TESTED, GridApplication
from gridsession.dialects.python_telegram_bot._persistence import GridPersistence

__all__ = ["TESTED", "GridApplication", "GridPersistence"]
