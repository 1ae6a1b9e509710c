"""What a session manager of JAWCE and pywce is: the union of both interfaces, and what a hook is handed."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Generic, Protocol, TypeVar, cast

from gridsession import platforms

DEFAULT_PROP_KEY: Final = "pywce_prop_key"
"""The key under which `fetch_all` shows the props bag, as in pywce."""


class ISessionManager(ABC):
    """The manager interface for users' own managers; all methods block. `SessionManager` is one over the grid.

    A `session_id` is the WhatsApp number a message came from. `t` makes a typed read: a class or a cast callable.
    """

    @property
    @abstractmethod
    def prop_key(self) -> str:
        """The key under which `fetch_all` holds the props bag."""

    @abstractmethod
    def session(self, session_id: str) -> ISessionManager:
        """The manager view of one session, the same one however often it is asked for."""

    @abstractmethod
    def save(self, session_id: str, key: str, data: Any) -> None:
        """Put one value into a session."""

    @abstractmethod
    def save_all(self, session_id: str, data: dict[str, Any]) -> None:
        """Put several values into a session."""

    @abstractmethod
    def save_global(self, key: str, data: Any) -> None:
        """Put a value that all sessions share."""

    @abstractmethod
    def save_prop(self, session_id: str, prop_key: str, data: Any) -> None:
        """Put one value into a session's props."""

    @abstractmethod
    def get(self, session_id: str, key: str, t: Any = None) -> Any:
        """One value of a session, or None."""

    @abstractmethod
    def get_global(self, key: str, t: Any = None) -> Any:
        """One shared value, or None."""

    @abstractmethod
    def get_from_props(self, session_id: str, prop_key: str, t: Any = None) -> Any:
        """One value of a session's props, or None."""

    @abstractmethod
    def get_user_props(self, session_id: str) -> dict[str, Any] | None:
        """A session's props."""

    @abstractmethod
    def fetch_all(self, session_id: str, is_global: bool = False) -> dict[str, Any] | None:
        """All values of a session, or all shared ones."""

    @abstractmethod
    def evict(self, session_id: str, key: str) -> None:
        """Remove one value of a session."""

    @abstractmethod
    def evict_all(self, session_id: str, keys: list[str]) -> None:
        """Remove several values of a session."""

    @abstractmethod
    def evict_global(self, key: str) -> None:
        """Remove one shared value."""

    @abstractmethod
    def evict_prop(self, session_id: str, prop_key: str) -> bool:
        """Remove one value of a session's props; whether it was there."""

    @abstractmethod
    def clear(self, session_id: str, retain_keys: list[str] | None = None) -> None:
        """Remove all values of a session except the retained ones."""

    @abstractmethod
    def clear_global(self) -> None:
        """Remove all shared values."""

    @abstractmethod
    def key_in_session(self, session_id: str, key: str, check_global: bool = True) -> bool:
        """Whether a session, or what all share, has a key."""


class Sessions(Protocol):
    """Whatever has `session(session_id)`: each of our managers, a user's own, pywce's."""

    def session(self, session_id: str) -> Any:
        """The view of one session."""


M = TypeVar("M", bound=Sessions)


@dataclass(frozen=True, slots=True)
class HookModel(Generic[M]):
    """What a hook is handed.

    Attributes:
        session_id: the WhatsApp number of the message's sender; of a message in a group, the group's id.
        manager: keeps the sessions.
        message: the message as WhatsApp posted it; empty if the hook was not called for one.
    """

    session_id: str
    manager: M
    message: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @classmethod
    def of_webhook(cls, body: Mapping[str, Any] | bytes | str, manager: M) -> list[HookModel[M]]:
        """One for each message of a WhatsApp Cloud webhook, in order; none for what is no message.

        Raises:
            UnknownEvent: the body is no WhatsApp Cloud webhook.
        """
        found = platforms.events("whatsapp-cloud", body)
        return [cls(session_id, manager, message) for session_id, message in found if session_id is not None]

    @property
    def message_id(self) -> str | None:
        """WhatsApp's id of the message, the same when it is delivered again."""
        return platforms.message_id("whatsapp-cloud", self.message)

    def session_manager(self, session_id: str) -> M:
        """The manager view of a session: `model.session_manager(model.session_id).get("cart")`."""
        return cast("M", self.manager.session(session_id))
