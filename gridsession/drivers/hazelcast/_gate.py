"""How many commands are under way at once: a bound, first come first served."""

from __future__ import annotations

import asyncio
from collections import deque


class Gate:
    """Lets so many in; who leaves hands the place to who has waited longest.

    Args:
        places: how many.

    Attributes:
        free: places that nobody has and nobody waits for; who finds one takes it by counting it down.
    """

    __slots__ = ("_waiting", "free")

    def __init__(self, places: int) -> None:
        self.free = places
        self._waiting: deque[tuple[asyncio.Future[bool], float]] = deque()

    async def wait(self, due: float) -> bool:
        """Wait for a place while none is free; False if there was none by `due` of the loop's clock.

        It takes `end_overdue` to be called now and then.
        """
        place: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._waiting.append((place, due))
        try:
            return await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled() and place.result():
                # It was given while who waited was being cancelled.
                self.leave()
            raise

    def leave(self) -> None:
        """Give a place back."""
        while self._waiting:
            place, _ = self._waiting.popleft()
            if not place.done():
                place.set_result(True)
                return
        self.free += 1

    def end_overdue(self, now: float) -> None:
        """Tell who has waited until `now` that there was no place."""
        for place, due in self._waiting:
            if due <= now and not place.done():
                place.set_result(False)
