"""The Hazelcast driver: commands run in the members, as entry processors."""

from __future__ import annotations

import warnings
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any, ClassVar

with warnings.catch_warnings():
    # The client imports asyncore, whose threaded half we never use; Python 3.11 warns of it.
    warnings.filterwarnings("ignore", message="The asyncore module", category=DeprecationWarning)
    import hazelcast  # noqa: F401

from gridsession._commands import AckExpired, Command
from gridsession._identity import Space
from gridsession._reply import Reply
from gridsession.drivers import Address, Change, Driver, Due, Mirror, Page, Promise, Reach
from gridsession.drivers.hazelcast._client import Client
from gridsession.drivers.hazelcast._due import DueAsker
from gridsession.drivers.hazelcast._execute import Executor
from gridsession.drivers.hazelcast._grants import Grants
from gridsession.drivers.hazelcast._link import PATHS, Settings
from gridsession.drivers.hazelcast._mirror import GlobalsMirror
from gridsession.drivers.hazelcast._scan import scan
from gridsession.drivers.hazelcast._stored import namespaces, stored
from gridsession.drivers.hazelcast._watch import Watches
from gridsession.errors import InvalidOption, StoreClosed, UsageError
from gridsession.hooks import Hooks
from gridsession.node.config import DEFAULT_CLUSTER_NAME

__all__ = ["HazelcastDriver"]


class HazelcastDriver(Driver):
    """Sessions in a grid of members: `hazelcast://host:port,host:port/cluster-name`.

    Every command is one entry processor run on the session's owner and copied to its backups before it is answered.
    An answer that too few backups confirmed does not count: it is asked for again under the same op id, and if that
    stays so until the deadline ends in `OutcomeUnknown`. A plain load may be stale for the seconds until a partition
    of the network is noticed, unless it asks to be confirmed. Backups confirm to the client itself, so a process must
    be able to reach every member at the address that members know it by.

    Options of the URL: `deadline` seconds a call may take (10; a store's policy decides for its commands);
    `max_in_flight` commands under way at once (128); `connect_timeout` seconds to connect (10); `path` how commands
    travel on the official client's connections: `tap` past its general code (where the installed client allows it,
    else as the other), or `invocation` through it. Answers and errors are the same.
    """

    promise: ClassVar[Promise] = Promise(
        atomic=Reach.CLUSTER,
        survives=("the death of the process", "the death of one member", "a partition of the network"),
        expires_within=300.0,
        own_clock=False,
        pushes=True,
        tells_within=2.0,
    )

    def __init__(self, settings: Settings, hooks: Hooks, *, deadline: float = 10.0, max_in_flight: int = 128) -> None:
        self._settings = settings
        self._hooks = hooks
        self._deadline = deadline
        self._max_in_flight = max_in_flight
        self._client: Client | None = None
        self._executor: Executor | None = None
        self._watches: Watches | None = None
        self._due: DueAsker | None = None
        self._grants: Grants | None = None
        self._owner = ""

    @classmethod
    def from_address(cls, address: Address, hooks: Hooks) -> HazelcastDriver:
        """A driver for a URL's parts, not yet connected.

        Raises:
            InvalidOption: no address, a port that is none, or an unknown or impossible option.
        """
        address.only("deadline", "max_in_flight", "connect_timeout", "path")
        hosts, _, cluster = address.location.partition("/")
        if "/" in cluster or "@" in hosts:
            raise InvalidOption("write the URL as hazelcast://host:port,host:port/cluster, without user or password")
        deadline = _positive(address, "deadline", 10.0)
        settings = Settings(
            addresses=tuple(_host_and_port(host) for host in hosts.split(",")),
            cluster_name=cluster or DEFAULT_CLUSTER_NAME,
            connect_timeout=_positive(address, "connect_timeout", 10.0),
            path=_path(address),
        )
        in_flight = address.option("max_in_flight", int, 128)
        if in_flight < 1:
            raise InvalidOption(f"option max_in_flight={in_flight} must be at least 1")
        return cls(settings, hooks, deadline=deadline, max_in_flight=in_flight)

    async def open(self) -> None:
        """Connect and probe every member; on a driver that is open, nothing. After a failure it may be tried again.

        Raises:
            ConnectFailed: no member let us in within the connect timeout.
            MemberUnfit: a member lacks our jar or does not fit the others.
        """
        if self._client is not None:
            if self._client.closed or self._executor is None:
                raise UsageError("the driver was closed, or is being opened; make another one")
            return
        client = self._client = Client(self._settings, self._hooks, self._max_in_flight)
        try:
            await client.open()
        except BaseException:
            self._client = None
            raise
        self._executor = Executor(client, self._hooks, self._deadline, self._max_in_flight)
        self._watches = Watches(client)
        self._grants = Grants(client)
        self._owner = f"{super().owner}:{self._grants.topic}"

    def now(self) -> int:
        """The cluster's time, ms since 1970, by this process's monotonic clock and what members last answered."""
        return self._opened().clock.now()

    def execute(
        self, space: Space, session_id: str, command: Command, *, deadline: float | None = None
    ) -> Coroutine[Any, Any, Reply]:
        """Apply one command to the record of one id; as `Driver.execute`.

        Raises:
            CodecError: what came back is not ours; nothing of it was read.
        """
        if self._executor is None:
            raise StoreClosed("the store is not open: `await store.open()` or `async with` it first")
        return self._executor.execute(space, session_id, command, deadline)

    async def scan(self, space: Space, prefix: str = "", *, cursor: str | None = None, limit: int = 500) -> Page:
        """One page of ids that exist, partition by partition.

        Raises:
            InvalidOption: a cursor that is not of this driver.
            Unavailable: no answer by the deadline.
        """
        return await scan(self._executing(), space, prefix, cursor, limit, self._deadline)

    async def stored(self, space: Space, session_id: str) -> bytes | None:
        """The bytes that the owner holds under an id; the entry is not used by it. As `Driver.stored`."""
        return await stored(self._opened(), space, session_id, self._deadline)

    async def namespaces(self) -> frozenset[str]:
        """The namespaces that a client of this cluster ever used; as `Driver.namespaces`."""
        return await namespaces(self._opened(), self._deadline)

    async def due(self, space: Space, *, limit: int = 256) -> Due:
        """Expired sessions, told by the members that own them; each tells an id to one who asks, then not for 5 s.

        As `Driver.due`; each member tells at most its share of `limit`, rounded up.
        """
        client = self._opened()
        if self._due is None:
            self._due = DueAsker(client)
        return await self._due.due(space, limit, self._deadline)

    async def watch(self, space: Space, prefix: str = "", *, session_id: str | None = None) -> AsyncIterator[Change]:
        """Hints of changes, pushed by the members; as `Driver.watch`."""
        self._opened()
        if self._watches is None:
            raise StoreClosed("the store is not open")
        subscription = self._watches.subscribe(space, prefix, session_id)
        try:
            while True:
                yield await subscription.next()
        finally:
            subscription.close()

    @property
    def owner(self) -> str:
        """`host:pid:xx`; members tell this process's waiters on the topic `xx`."""
        return self._owner or super().owner

    def expect_grant(self, request_id: bytes, wake: Callable[[], None]) -> bool:
        """Hints pushed by the members, from this process's first wait on; as `Driver.expect_grant`.

        While there are members whose jar gives no hints, waiters ask by themselves.
        """
        if self._grants is None:
            return False
        return self._grants.expect(request_id, wake) and self._opened().lacking(AckExpired.code) is None

    def forget_grant(self, request_id: bytes) -> None:
        """As `Driver.forget_grant`."""
        if self._grants is not None:
            self._grants.forget(request_id)

    async def mirror(self, space: Space) -> Mirror | None:
        """A local copy of a namespace's globals, pushed by the members; None for sessions.

        Raises:
            Unavailable: the globals could not be read by the deadline.
        """
        if space.kind != "globals":
            return None
        mirror = GlobalsMirror(self._executing(), space, self._deadline)
        await mirror.open()
        return mirror

    async def aclose(self) -> None:
        """Give connections back; calls under way end in an error."""
        if self._client is not None and not self._client.closed:
            await self._client.close()

    def _executing(self) -> Executor:
        self._opened()
        if self._executor is None:
            raise StoreClosed("the store is not open yet")
        return self._executor

    def _opened(self) -> Client:
        if self._client is None or self._client.closed:
            raise StoreClosed("the store is closed, or was never opened")
        return self._client


def _host_and_port(text: str) -> str:
    host, colon, port = text.rpartition(":") if not text.endswith("]") else (text, "", "")
    if not colon:
        host, port = text, "5701"
    if not host or not port.isdigit() or not 0 < int(port) < 65536:
        raise InvalidOption(f"{text!r} is not host:port; write the URL as hazelcast://host:5701,host:5701/cluster-name")
    return f"{host}:{port}"


def _path(address: Address) -> str:
    path: str = address.option("path", str, PATHS[0])
    if path not in PATHS:
        raise InvalidOption(f"option path={path} must be one of: {', '.join(PATHS)}")
    return path


def _positive(address: Address, name: str, default: float) -> float:
    value: float = address.option(name, float, default)
    if not 0 < value < float("inf"):
        raise InvalidOption(f"option {name}={value} must be more than 0 seconds")
    return value
