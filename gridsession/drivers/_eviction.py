"""Which session leaves a memory that is full: the least recently used one, or by W-TinyLFU one that is rarely used."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

from gridsession.errors import InvalidOption

__all__ = ["EVICTIONS", "Eviction", "make_eviction"]

EVICTIONS: Final = ("lru", "tinylfu")


class Eviction(ABC):
    """Keeps in mind how the ids of one space are used. It never names one that is held."""

    @abstractmethod
    def used(self, session_id: str) -> None:
        """An id that is there was read or written."""

    @abstractmethod
    def removed(self, session_id: str) -> None:
        """An id is gone for another reason than eviction."""

    @abstractmethod
    def victims(self, surplus: int, is_held: Callable[[str], bool]) -> list[str]:
        """The ids that leave, at most as many as there are too many; fewer if the others are held."""


class _Lru(Eviction):
    def __init__(self) -> None:
        self._order: OrderedDict[str, None] = OrderedDict()

    def used(self, session_id: str) -> None:
        self._order[session_id] = None
        self._order.move_to_end(session_id)

    def removed(self, session_id: str) -> None:
        self._order.pop(session_id, None)

    def victims(self, surplus: int, is_held: Callable[[str], bool]) -> list[str]:
        found: list[str] = []
        for session_id in self._order:
            if len(found) >= surplus:
                break
            if not is_held(session_id):
                found.append(session_id)
        for session_id in found:
            del self._order[session_id]
        return found


class _TinyLfu(Eviction):
    """W-TinyLFU by theine-core, the policy of the cache theine: numbers in, the numbers that leave out."""

    def __init__(self, size: int) -> None:
        try:
            from theine_core import TlfuCore, spread
        except ImportError:
            raise InvalidOption("eviction=tinylfu needs theine-core: pip install 'gridsession[tinylfu]'") from None
        self._core = TlfuCore(size)
        self._spread = spread
        self._names: dict[int, str] = {}
        self._left: dict[str, None] = {}

    def used(self, session_id: str) -> None:
        # By hash: one that left and comes back is known by how often it was used before.
        number = self._spread(hash(session_id))
        known = self._names.get(number)
        if known == session_id:
            self._core.access([number])
        elif known is None:
            self._left.pop(session_id, None)
            self._enter(number, session_id)
        else:
            self._left[session_id] = None  # two ids of one hash: the policy can know one of them

    def removed(self, session_id: str) -> None:
        self._left.pop(session_id, None)
        number = self._spread(hash(session_id))
        if self._names.get(number) == session_id:
            del self._names[number]
            self._core.remove(number)

    def victims(self, surplus: int, is_held: Callable[[str], bool]) -> list[str]:
        # One that the policy let go while it was held stays: when it is used again, another leaves in its place.
        found: list[str] = []
        for session_id in self._left:
            if len(found) >= surplus:
                break
            if not is_held(session_id):
                found.append(session_id)
        for session_id in found:
            del self._left[session_id]
        return found

    def _enter(self, number: int, session_id: str) -> None:
        self._names[number] = session_id
        for left in self._core.set([(number, 0)]):
            self._left[self._names.pop(left)] = None


def make_eviction(name: str, size: int) -> Eviction:
    """An eviction by its name, for so many ids.

    Raises:
        InvalidOption: no such eviction, or what it needs is not installed.
    """
    if name not in EVICTIONS:
        raise InvalidOption(f"eviction={name!a} is not known; write one of: {', '.join(EVICTIONS)}")
    return _Lru() if name == "lru" else _TinyLfu(size)
