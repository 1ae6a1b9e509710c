"""The user's entry point: opens a driver, hands out sessions, turns and globals."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import warnings
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Generator, Iterable
from dataclasses import replace
from functools import partial
from types import TracebackType
from typing import Any, NamedTuple, TypeVar

from gridsession._expiry import ExpiredSession, Expiry, Handler
from gridsession._globals import Globals
from gridsession._identity import SessionId, Space, check_namespace, id_text
from gridsession._link import Link
from gridsession._session import RESTART, Session, Ttl
from gridsession._snapshot import Revision
from gridsession._turn import Turn
from gridsession.drivers import Address, Driver, driver_class, parse_url
from gridsession.errors import Conflict, InvalidOption, StoreClosed
from gridsession.hooks import Hook, Hooks
from gridsession.policy import Duration, Policy, lease_milliseconds, milliseconds

T = TypeVar("T")
HandlerT = TypeVar("HandlerT", bound=Handler)
SessionKey = str | SessionId


class SessionChange(NamedTuple):
    """One hint of `store.watch`: which session changed. `id` None = a gap: anything may have changed, read again."""

    id: str | None
    revision: Revision | None


class SessionStore:
    """Sessions and globals of one namespace at one place. Made by `SessionStore.open`.

    A store belongs to the event loop and the process that opened it; handles are cheap and good while it is open.
    """

    def __init__(
        self, driver: Driver, policy: Policy, namespace: str, hooks: Hooks, remake: Callable[[], Driver] | None = None
    ) -> None:
        self._driver = driver
        self._remake = remake
        self._links = tuple(Link(driver, Space(namespace, kind), policy, hooks) for kind in ("sessions", "globals"))
        self._links[0].announce = policy.announce_expiry
        self._globals = Globals(self._links[1])
        self._expiry = Expiry(self._links[0])
        self._state = "new"
        self._opening = asyncio.Lock()

    @classmethod
    def open(
        cls,
        url: str | None = None,
        *,
        policy: Policy | None = None,
        namespace: str | None = None,
        driver: Driver | None = None,
        hooks: Iterable[Hook] = (),
    ) -> SessionStore:
        """A store that connects when it is awaited or entered; this call does no I/O.

        Args:
            url: where records live, e.g. `hazelcast://host1:5701,host2:5701/cluster?ttl=900&namespace=shop`; None =
                `GRIDSESSION_URL`, else `memory://`, which nobody else shares.
            policy: how sessions live; its `ttl` and `deadline` beat the URL's unless they are the default ones.
            namespace: one bot or tenant; beats the URL's; "default" if neither says.
            driver: a driver made by hand, instead of a URL; it is opened here and never closed by the store.
            hooks: called with each event of `gridsession.hooks`; of commands only if the URL's driver was made here.

        Raises:
            InvalidOption: the URL or an argument makes no sense.
        """
        observers = Hooks(hooks)
        if driver is not None:
            if url is not None:
                raise InvalidOption("give a url or a driver, not both")
            return cls(driver, policy or Policy(), check_namespace(_first(namespace, "default")), observers)
        url = url or os.environ.get("GRIDSESSION_URL")
        if not url:
            warnings.warn(
                "no URL given and GRIDSESSION_URL is not set: sessions stay in this process's memory (memory://)",
                RuntimeWarning,
                stacklevel=2,
            )
            url = "memory://"
        address = parse_url(url)
        options = dict(address.options)
        ttl, deadline = _seconds(address, "ttl"), _seconds(address, "deadline")
        named = options.pop("namespace", None)
        asked = policy or Policy()
        if asked.ttl is None and ttl is not None:
            asked = replace(asked, ttl=ttl)
        if asked.deadline == Policy().deadline and deadline is not None:
            asked = replace(asked, deadline=deadline)
        options = {name: text for name, text in options.items() if name not in _OWN_OPTIONS}
        # The driver's, too: what it asks by itself (scans, globals, what has expired) is part of calls that end by it.
        options["deadline"] = repr(milliseconds(asked.deadline, "deadline") / 1000)
        make = partial(driver_class(address.scheme).from_address, address._replace(options=options), observers)
        made = make()
        chosen = check_namespace(_first(namespace, named, "default"))
        return cls(made, asked, chosen, observers, make)

    def __repr__(self) -> str:
        return f"<SessionStore {type(self._driver).__name__} {self.namespace} ({self._state})>"

    @property
    def namespace(self) -> str:
        """The namespace of this store's sessions and globals."""
        return self._links[0].space.namespace

    @property
    def policy(self) -> Policy:
        """How this store's sessions live."""
        return self._links[0].policy

    @property
    def globals(self) -> Globals:
        """Values shared by all sessions of the namespace."""
        return self._globals

    @property
    def loop(self) -> asyncio.AbstractEventLoop | None:
        """The event loop this store belongs to; None while it is not open."""
        return self._links[0].loop

    def __await__(self) -> Generator[Any, None, SessionStore]:
        return self.connect().__await__()

    async def __aenter__(self) -> SessionStore:
        return await self.connect()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.aclose()

    async def connect(self) -> SessionStore:
        """Connect, for frameworks with start and stop hooks: `async with` and `await store` do the same.

        On an open store it does nothing; a second call meanwhile waits for the first. What failed may be tried again.

        Raises:
            Unavailable: the place cannot be reached or is unfit; the message names the address and the remedy.
            StoreClosed: it was closed, also meanwhile.
        """
        if self._state == "open":
            return self
        async with self._opening:
            if self._state == "new":
                await self._connect()
        if self._state != "open":
            raise StoreClosed("a store that was closed is not opened again: make another with SessionStore.open")
        return self

    async def _connect(self) -> None:
        driver = self._driver
        try:
            await driver.open()
            if self._state == "closed":
                raise StoreClosed("the store was closed while it was being opened")
        except BaseException:
            if self._remake is not None:
                with contextlib.suppress(Exception):
                    await driver.aclose()
                self._driver = self._remake()
            raise
        for link in self._links:
            link.driver, link.loop = driver, asyncio.get_running_loop()
        self._state = "open"
        self._expiry.start()

    async def aclose(self) -> None:
        """Give everything back; a second call does nothing. A driver handed in stays open.

        Handlers of expired sessions that run are waited for, at most as long as their `claim`, then cancelled: their
        sessions are told again, here or elsewhere. So is the one whose handler calls this, unless it was acknowledged
        before. What a loop over `expired()` has at hand is given back.
        """
        if self._state != "open":
            self._state = "closed"
            return
        self._state = "closed"
        async with contextlib.AsyncExitStack() as rest:
            # Also when who closes is cancelled, as by a framework that waits no longer for the handlers.
            if self._remake is not None:
                rest.push_async_callback(self._driver.aclose)
            rest.push_async_callback(self._globals.aclose)
            rest.callback(self._leave)
            await self._expiry.aclose()

    def _leave(self) -> None:
        for link in self._links:
            link.loop = None

    def session(self, session_id: SessionKey) -> Session:
        """A handle of one session; no I/O.

        Raises:
            InvalidSessionId: not `platform:key`.
        """
        return Session(self._links[0], id_text(session_id))

    def turn(
        self,
        session_id: SessionKey,
        *,
        exclusive: bool = True,
        lease: Duration | None = None,
        wait: Duration | None = None,
        message: object | None = None,
        ttl: Ttl = RESTART,
    ) -> Turn:
        """One exchange with a session, for `async with`: read whole, change as plain dicts, commit once or not at all.

        Args:
            exclusive: hold the session alone across all processes, first come first served. If False, a field that
                was changed by another meanwhile ends the commit in `Conflict`; other fields merge.
            lease: how long the right lasts if this process dies; it renews itself while the block runs.
            wait: how long to wait for the session.
            message: the platform's id of the message this turn is for; it is remembered in the same commit, and
                `turn.repeated` tells whether it was handled before.
            ttl: what its commits do with the session's life: RESTART, KEEP, a new duration, or None = never expires.

        Raises:
            Leased: on entering, when the wait ran out.
            Conflict, LeaseLost: on leaving; nothing was written.
        """
        return Turn(
            self._links[0],
            id_text(session_id),
            exclusive=exclusive,
            lease=lease,
            wait=wait,
            message=message,
            ttl=ttl,
        )

    async def run(
        self,
        session_id: SessionKey,
        handler: Callable[[Turn], Awaitable[T]],
        *,
        wait: Duration | None = None,
        message: object | None = None,
    ) -> T:
        """Run a handler on a shared turn, again each time another's change conflicts with its own.

        The handler may run several times: it must not send or do anything else that shows outside.

        Args:
            wait: for how long conflicts are tried again; None = the policy's `wait`.

        Raises:
            Conflict: still in conflict after that long.
        """
        seconds = milliseconds(self.policy.wait if wait is None else wait, "wait", zero=True) / 1000
        loop = asyncio.get_running_loop()
        ends, pause = loop.time() + seconds, 0.001
        while True:
            try:
                async with self.turn(session_id, exclusive=False, message=message) as turn:
                    outcome = await handler(turn)
            except Conflict:
                if loop.time() >= ends:
                    raise
                # Jitter keeps those in conflict from meeting again in step.
                await asyncio.sleep(random.uniform(0, pause))  # noqa: S311 - not a secret
                pause = min(pause * 2, 0.1)
            else:
                return outcome

    async def ids(self, prefix: str = "") -> AsyncIterator[str]:
        """Ids of the sessions that exist, page by page, in no order.

        One that exists throughout is given at least once; one that comes or goes meanwhile may be given or not.
        """
        cursor: str | None = None
        link = self._links[0]
        while True:
            link.check()
            page = await self._driver.scan(link.space, prefix, cursor=cursor)
            for session_id in page.ids:
                yield session_id
            cursor = page.cursor
            if cursor is None:
                return

    async def expired(self, *, ahead: int = 16, claim: Duration = 30.0) -> AsyncGenerator[ExpiredSession, None]:
        """Sessions that have expired, as they last were, each given to one of all who ask in the cluster.

        One is acknowledged when the next is asked for, or by its `acknowledge()`. What is not acknowledged, because
        the loop was left or the process died, is given again, to anyone. Only the end of sessions that a store changed
        which asks for it is kept: one that used this or has handlers, or `Policy(announce_expiry=True)`. It waits for
        a day. Sessions that were deleted or evicted are not told of.

        Args:
            ahead: how many are claimed at once.
            claim: how long one stays claimed if this process dies; until it is acknowledged it is renewed.

        Raises:
            StoreClosed: the store was closed meanwhile.
        """
        self._links[0].announce = True
        settings = _claiming(ahead, claim)
        async with contextlib.aclosing(self._expiry.each(ahead=settings[0], claim=settings[1])) as items:
            async for expired in items:
                yield expired

    def on_expire(self, handler: HandlerT, *, at_once: int = 64, claim: Duration = 30.0) -> HandlerT:
        """Have a function, coroutine function or not, called with each session that has expired; usable as a decorator.

        All handlers of a store are called one after the other for each session, one process for each in the whole
        cluster. It is acknowledged when they are done; if one raises, they are all called again after `claim`, here or
        elsewhere, so they must bear being called twice. See `expired` for what is told.

        Args:
            at_once: how many sessions are handled at a time; the last handler's counts for all.
            claim: how long one stays claimed if this process dies; while a handler runs it is renewed.
        """
        settings = _claiming(at_once, claim)
        self._expiry.add(handler, at_once=settings[0], claim=settings[1])
        if self._state == "open":
            self._expiry.start()
        return handler

    async def watch(self, prefix: str = "") -> AsyncIterator[SessionChange]:
        """Hints of changes from now on; the first one, with `id` None, says that watching has begun.

        A hint may come twice and one with `id` None means that some were missed: what counts is read from the session.
        """
        link = self._links[0]
        link.check()
        async for change in self._driver.watch(link.space, prefix):
            yield SessionChange(change.id, None if change.revision is None else Revision(*change.revision))


def _claiming(at_once: int, claim: Duration) -> tuple[int, int]:
    if at_once < 1:
        raise InvalidOption(f"at least one at a time, not {at_once}")
    return at_once, lease_milliseconds(claim)


def _first(*names: str | None) -> str:
    """The first that was given: an empty one is a mistake (an unset variable), never the default."""
    return next(name for name in names if name is not None)


_OWN_OPTIONS = frozenset({"deadline", "namespace", "ttl"})


def _seconds(address: Address, name: str) -> float | None:
    text = address.options.get(name)
    if text is None:
        return None
    try:
        return float(text)
    except ValueError:
        raise InvalidOption(f"{name}={text!r} of {address.scheme}:// is not a number of seconds") from None
