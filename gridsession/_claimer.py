"""Claiming expired sessions, one by one, and handing each over; acknowledged when it was taken care of.

A claim lasts for a time and is renewed while its session is being handled, so that who dies loses it to another soon.
What was not acknowledged is claimed again, by anyone: at least once to a handler, acknowledged exactly once.
"""

from __future__ import annotations

import asyncio
import contextvars
import datetime as dt
from collections.abc import Awaitable, Callable, Coroutine
from functools import partial
from typing import Any, Final, Literal

from gridsession._commands import AckExpired, ClaimExpired
from gridsession._link import Link, new_id
from gridsession._logs import hashed, logger
from gridsession._record import PROPS, STATE
from gridsession._reply import Reply, Status
from gridsession._snapshot import Revision, Values
from gridsession.errors import GridSessionError, StoreClosed
from gridsession.hooks import Announced

_AFTER_FAULT: Final = 1.0
_LEAST_CLAIM: Final = 1_000
_ASKED_AHEAD: Final = 0.1
"""Ids are asked for that can be begun within so many seconds: whoever is told of one keeps it from the others."""
_MOST_ASKED: Final = 256
"""Ids asked for at once beyond what could begin now."""
_MOST_AT_ONCE: Final = 10_000
"""Longest list of ids asked for, whatever may run at a time."""
_GIVEN_BACK: Final = 1
"""ms that a claim lasts once it is given back."""

_log = logger("expiry")
_serving_task: contextvars.ContextVar[asyncio.Task[None] | None] = contextvars.ContextVar(
    "gridsession_serving_task", default=None
)
"""The task that a handler runs for, also where it runs on in other tasks and threads."""


class ExpiredSession:
    """A session that expired, as it last was.

    Attributes:
        id: its id, `platform:key`; by now another session may have begun under it.
        state, props: what it held, as read-only mappings.
        reason: `ttl`, or `max_lifetime` if that came first.
        expired_at: when it ended, by the place's clock, UTC.
        revision: the last one.
        attempt: 1 the first time; more if nobody acknowledged it before.
        late: how long after its end it was claimed, seconds.
    """

    __slots__ = ("_ask", "_outcome", "attempt", "expired_at", "id", "late", "props", "reason", "revision", "state")

    def __init__(self, reply: Reply, ask: Callable[[], Coroutine[Any, Any, bool]]) -> None:
        assert reply.life is not None
        assert reply.grant is not None
        due = reply.life.expires_at or 0
        self.id = reply.id
        self.state = Values(reply.bags[STATE])
        self.props = Values(reply.bags[PROPS])
        self.reason: Literal["ttl", "max_lifetime"] = "ttl" if _told(reply)[0] == 1 else "max_lifetime"
        self.expired_at = dt.datetime.fromtimestamp(due / 1000, dt.UTC)
        self.revision = Revision(reply.epoch, reply.revision)
        self.attempt = reply.grant.token
        self.late = (reply.now - due) / 1000
        self._ask = ask
        self._outcome: asyncio.Task[bool] | None = None

    async def acknowledge(self) -> bool:
        """Say now that it was taken care of, as the end of a handler and the next step of a loop do.

        True for exactly one of those who were told of it; False if another has claimed it meanwhile.

        Raises:
            OutcomeUnknown: no definite answer came; it may be told of again.
        """
        if self._outcome is None:
            self._outcome = asyncio.create_task(self._ask())
        return await asyncio.shield(self._outcome)

    @property
    def is_acknowledged(self) -> bool:
        """Whether `acknowledge` was called, or what calls it."""
        return self._outcome is not None

    def __repr__(self) -> str:
        return f"<ExpiredSession {self.id!a} by {self.reason}, attempt {self.attempt}>"


def _told(reply: Reply) -> bytes:
    result = reply.results[0] if reply.results else None
    return result if isinstance(result, bytes) and len(result) == 2 else b"\x01\x00"


Deliver = Callable[[ExpiredSession], Awaitable[bool]]


class Claimer:
    """Claims what has expired, at most `at_once` at a time, and hands each to `deliver`.

    What `deliver` says true of is acknowledged, what it says false of given back at once; if it raises, the claim is
    left to run out, and then the session is claimed again. `ended` is called if the driver was closed meanwhile.
    """

    def __init__(
        self, link: Link, deliver: Deliver, *, at_once: int, claim: int, ended: Callable[[], None] | None = None
    ) -> None:
        self._link = link
        self._deliver = deliver
        self._ended = ended
        self._freed = asyncio.Event()
        self.tune(at_once, claim)
        self._took = 1.0
        self._serving: set[asyncio.Task[None]] = set()
        self._looking = asyncio.create_task(self._look(), name="gridsession-expired")

    def tune(self, at_once: int, claim: int) -> None:
        """How many at a time, and how long a claim lasts (ms), for those to come."""
        self._at_once = at_once
        self._claim = max(claim, _LEAST_CLAIM)
        self._freed.set()

    async def aclose(self) -> None:
        """Claim no more, and wait until what was claimed has been handled, at most as long as a claim lasts.

        A handler that takes longer is cancelled and its claim left to run out. One that closes the store is not waited
        for: it waits for this.
        """
        self._looking.cancel()
        try:
            await asyncio.wait([self._looking])
            if waited_for := self._others():
                await asyncio.wait(waited_for, timeout=self._claim / 1000)
        finally:
            # Also when who closes waits no longer.
            hanging = self._others()
            for task in hanging:
                task.cancel()
        if hanging:
            _log.warning("expiry.handlers_ended", count=len(hanging), namespace=self._link.space.namespace)
            await asyncio.wait(hanging, timeout=_AFTER_FAULT)

    def _others(self) -> set[asyncio.Task[None]]:
        """Those that serve a session, but for the task that asks."""
        return self._serving - {_serving_task.get()}

    async def _look(self) -> None:
        link = self._link
        while True:
            await self._room()
            try:
                due = await link.driver.due(link.space, limit=self._wanted())
            except StoreClosed as error:
                # Its driver was handed in and closed first: nothing will be told of any more.
                _log.warning("expiry.not_told", namespace=link.space.namespace, error=type(error).__name__)
                if self._ended is not None:
                    self._ended()
                return
            except Exception as error:  # noqa: BLE001 - a driver may be a stranger's; it is asked again
                _log.warning("expiry.not_told", namespace=link.space.namespace, error=type(error).__name__)
                await asyncio.sleep(_AFTER_FAULT)
                continue
            for session_id in due.ids:
                await self._room()
                task = asyncio.create_task(self._serve(session_id))
                self._serving.add(task)
                task.add_done_callback(self._served)
            await asyncio.sleep(due.again)

    async def _room(self) -> None:
        while len(self._serving) >= self._at_once:
            self._freed.clear()
            await self._freed.wait()

    def _wanted(self) -> int:
        """Ids to ask for: what can begin now and, where serving one takes little, until about the next answer."""
        soon = int(self._at_once * _ASKED_AHEAD / self._took)
        return min(self._at_once - len(self._serving) + min(soon, _MOST_ASKED), _MOST_AT_ONCE)

    def _served(self, task: asyncio.Task[None]) -> None:
        self._serving.discard(task)
        self._freed.set()

    async def _serve(self, session_id: str) -> None:
        """Claim and hand over what has expired under one id, one after the other."""
        _serving_task.set(asyncio.current_task())
        loop = asyncio.get_running_loop()
        began = loop.time()
        try:
            while await self._serve_one(session_id):
                pass
        except GridSessionError as error:
            # It is claimed again later, here or elsewhere.
            _log.warning("expiry.not_claimed", session=hashed(session_id), error=type(error).__name__)
        # Of the last few, about: slowness shows at once, quickness after some.
        took = max(loop.time() - began, 1e-4)
        self._took = max(took, self._took + (took - self._took) / 8)

    async def _serve_one(self, session_id: str) -> bool:
        """Whether there is another one under this id."""
        link, claim_id = self._link, new_id()
        reply = await link.ask(session_id, ClaimExpired(claim_id, self._claim, link.not_after()))
        if reply.status is not Status.OK:
            # Another has claimed or acknowledged it: that was a hint, nothing more.
            return False
        expired = ExpiredSession(reply, partial(self._acknowledge, session_id, claim_id))
        acknowledged = False
        try:
            with _Renewing(link, session_id, claim_id, self._claim):
                taken = await self._deliver(expired)
            if taken or expired.is_acknowledged:
                acknowledged = await expired.acknowledge()
            else:
                await self._renew(session_id, claim_id, _GIVEN_BACK)
        except GridSessionError as error:
            _log.warning("expiry.not_acknowledged", session=hashed(session_id), error=type(error).__name__)
        except Exception as error:  # noqa: BLE001 - a stranger's code must not end ours
            _log.error("expiry.handler_failed", session=hashed(session_id), error=type(error).__name__)
        if link.hooks:
            link.hooks(
                Announced(link.space.namespace, session_id, expired.reason, expired.late, expired.attempt, acknowledged)
            )
        return acknowledged and _told(reply)[1] > 0

    async def _acknowledge(self, session_id: str, claim_id: bytes) -> bool:
        reply = await self._link.ask(session_id, AckExpired(claim_id, self._link.not_after()))
        if reply.status is not Status.OK:
            _log.warning("expiry.claim_lost", session=hashed(session_id), status=reply.status.name.lower())
        return reply.status is Status.OK

    async def _renew(self, session_id: str, claim_id: bytes, duration: int) -> None:
        await self._link.ask(session_id, ClaimExpired(claim_id, duration, self._link.not_after(), renew=True))


class _Renewing:
    """Renews a claim while its block runs, each time a third of it has passed."""

    def __init__(self, link: Link, session_id: str, claim_id: bytes, claim: int) -> None:
        self._asked = link, session_id, claim_id, claim
        self._timer: asyncio.TimerHandle | None = None
        self._task: asyncio.Task[None] | None = None

    def __enter__(self) -> None:
        self._wait()

    def __exit__(self, *_: object) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    def _wait(self) -> None:
        self._timer = asyncio.get_running_loop().call_later(self._asked[3] / 3000, self._begin)

    def _begin(self) -> None:
        self._task = asyncio.create_task(self._renew())

    async def _renew(self) -> None:
        link, session_id, claim_id, claim = self._asked
        try:
            reply = await link.ask(session_id, ClaimExpired(claim_id, claim, link.not_after(), renew=True))
            if reply.status is not Status.OK:
                _log.warning("expiry.claim_lost", session=hashed(session_id), status=reply.status.name.lower())
                return
        except GridSessionError as error:
            _log.warning("expiry.not_renewed", session=hashed(session_id), error=type(error).__name__)
        if self._timer is not None:
            self._wait()
