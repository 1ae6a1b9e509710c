"""How a WhatsApp engine uses the session manager: stages, duplicates, debounce and inactivity.

pywce and JAWCE read the history of message ids, look, and write it back; likewise the debounce. Two workers that get
the same webhook at once both find it new. Here each question is one atomic command: of all workers one hears yes.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping
from typing import Any, Final

from gridsession.dialects.jawce import HookModel, SessionManager
from gridsession.policy import Duration

STAGE: Final = "pywce_current_stage"
PREVIOUS: Final = "pywce_prev_stage"
LAST_ACTIVITY: Final = "pywce_last_activity"
NAME: Final = "wa_name"

NEXT: Final = {"START-MENU": "ASK-SIZE", "ASK-SIZE": "CONFIRM", "CONFIRM": "START-MENU"}


def _now() -> dt.datetime:
    return dt.datetime.now(dt.UTC)


class Engine:
    """Answers the messages of webhooks; any number of them, in any processes, may share one place.

    Args:
        sessions: keeps the users' sessions.
        answer: called with the user's number and the stage to show.
        debounce: seconds within which a second message of a user is dropped.
        inactive_after: seconds of silence after which a conversation starts anew.
        now: the time.
    """

    def __init__(
        self,
        sessions: SessionManager,
        answer: Callable[[str, str], None],
        *,
        debounce: Duration = 3,
        inactive_after: float = 180,
        now: Callable[[], dt.datetime] = _now,
    ) -> None:
        self._sessions = sessions
        self._answer = answer
        self._debounce = debounce
        self._inactive_after = dt.timedelta(seconds=inactive_after)
        self._now = now

    def handle(self, body: Mapping[str, Any] | bytes | str) -> list[str]:
        """What became of each message of a webhook: the stage that was shown, or why there was none."""
        return [self._one(model) for model in HookModel.of_webhook(body, self._sessions)]

    def _one(self, model: HookModel[SessionManager]) -> str:
        user = model.session_manager(model.session_id)
        if not user.remember(model.message_id, keep=100):
            return "repeated"
        if not user.allow("debounce", every=self._debounce):
            return "too soon"
        last = user.get(LAST_ACTIVITY, dt.datetime)
        if last is not None and self._now() - last > self._inactive_after:
            user.clear(retain_keys=[NAME])
        stage = user.get(STAGE, str)
        shown = "START-MENU" if stage is None else NEXT[stage]
        user.save_all({PREVIOUS: stage, STAGE: shown, LAST_ACTIVITY: self._now().isoformat()})
        self._answer(model.session_id, shown)
        return shown
