"""One life of the official client: started, bound to deadlines, and taken down without a trace.

The client keeps connections, membership, partition table and heartbeat. What it does not do is done here by replacing
two of its private functions: it never bounds authentication, so a member that accepts a connection and stays mute would
stop it for ever; and what is left half open when a start is given up would leak. And a third is watched: that a
connection ended is told to listeners only after the next one is made.
"""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from hazelcast.config import Config, ReconnectMode
from hazelcast.errors import AuthenticationError, ClientNotAllowedInClusterError, TargetDisconnectedError

from gridsession._logs import logger
from gridsession.drivers.hazelcast._seam import new_client
from gridsession.drivers.hazelcast._tap import FIRST_ID, fits, tap
from gridsession.drivers.hazelcast._wire import Keys
from gridsession.errors import ConnectFailed

_START_STEP: Final = 3.0
"""Longest wait (s) for one member to connect and authenticate, so that a mute one does not stop the others' turn."""

TAP: Final = "tap"
INVOCATION: Final = "invocation"
PATHS: Final = (TAP, INVOCATION)

_Config: Any = Config  # the client's constructors have no type hints
_log = logger("hazelcast")


@dataclass(frozen=True, slots=True)
class Settings:
    """How to reach a cluster.

    Attributes:
        addresses: `host:port` of some members.
        connect_timeout: seconds until a start is given up.
        backup_timeout: seconds the client waits for backups to confirm an answer.
        path: how commands travel: `tap`, or `invocation`, the client's general code.
    """

    addresses: tuple[str, ...]
    cluster_name: str = field(repr=False)
    connect_timeout: float = 10.0
    backup_timeout: float = 1.0
    path: str = TAP

    def config(self) -> Config:
        """The client's configuration."""
        config: Config = _Config()
        config.cluster_members = list(self.addresses)
        config.cluster_name = self.cluster_name
        config.reconnect_mode = ReconnectMode.ASYNC
        config.redo_operation = False
        config.fail_on_indeterminate_operation_state = True
        config.operation_backup_timeout = self.backup_timeout
        config.heartbeat_interval = 1.0
        config.heartbeat_timeout = 5.0
        config.connection_timeout = _START_STEP
        config.retry_initial_backoff = 0.1
        config.retry_max_backoff = 1.0
        config.retry_jitter = 0.5
        config.statistics_enabled = False
        return config


class Link:
    """One client. `start` it once, `close` it once; afterwards nothing of it is left.

    Attributes:
        keys: keys made for this cluster's number of partitions.
        introduced: maps this cluster was told of, see `_call.introduce`.
        commands: the correlation id of the last command.
        tapped: whether connections get a fast lane.
    """

    def __init__(self, settings: Settings, on_gap: Callable[[], None], on_members: Callable[[], None]) -> None:
        self._settings = settings
        self._on_gap = on_gap
        self._on_members = on_members
        self._client: Any = new_client(settings.config())
        self.service: Any = self._client._invocation_service
        self.listeners: Any = self._client._listener_service
        self._connections: Any = self._client._connection_manager
        self._partitions: Any = self._client._internal_partition_service
        self._opened: set[Any] = set()
        self._faults: dict[str, str] = {}
        self._table: object = None
        self._routes: dict[int, Any] = {}
        self.keys = Keys(1)
        self.introduced: set[str] = set()
        self.loop = asyncio.get_running_loop()
        self.commands = FIRST_ID
        self.tapped = settings.path == TAP and fits()
        if settings.path == TAP and not self.tapped:
            _log.warning(
                "client.untapped", effect="commands take the client's general code: more CPU, the same answers"
            )
        self._on_connection_close = self._connections.on_connection_close
        self._connections.on_connection_close = self._connection_closed
        self._connections._get_or_connect_to_address = self._connect_to_address
        self._connections._get_or_connect_to_member = self._connect_to_member

    async def start(self, due: float) -> None:
        """Connect.

        Args:
            due: when to give up, by the loop's clock.

        Raises:
            ConnectFailed: no member let us in by then; the message says what each address did.
        """
        try:
            async with asyncio.timeout_at(due):
                await self._client._start()
        except TimeoutError:
            await self.close()
            raise self.failed() from None
        except asyncio.CancelledError:
            await self.close()
            raise
        except Exception as error:  # noqa: BLE001 - the client raises what it likes; each means no connection
            await self.close()
            raise self.failed(error) from None
        self.keys = Keys(self._partitions.partition_count)
        self._connections.add_listener(self._on_opened, self._on_closed)
        self._client.cluster_service.add_listener(self._on_member, self._on_member)

    async def close(self) -> None:
        """Take the client down with its tasks and connections, also half open ones."""
        client = self._client
        for connection in self._opened:
            if connection._proto is not None:
                # The client would warn of a connection "closed by server" that we close ourselves.
                connection._proto.connection_lost = _expected
        try:
            async with asyncio.timeout(2.0):
                await client.shutdown()
        except Exception as error:  # noqa: BLE001 - it is dropped anyway
            _log.warning("client.shutdown_failed", error=type(error).__name__)
        finally:
            # Calls under way end in an error, also if it did not come so far.
            self.service.shutdown()
            for connection in list(self._opened):
                _abandon(connection)
            for task in (
                self._connections._heartbeat_manager._heartbeat_task,
                self._connections._connect_all_members_task,
                self.service._clean_resources_task,
            ):
                if task is not None:
                    task.cancel()
        # Transports close, and tasks end, in the next turns of the loop: the caller may stop it right after.
        for _ in range(3):
            await asyncio.sleep(0)

    @property
    def running(self) -> bool:
        """Whether the client still lives; it gives up for good when a cluster refuses it."""
        return bool(self._client.lifecycle_service.is_running())

    @property
    def connected(self) -> bool:
        """Whether a member is connected."""
        return bool(self._connections.active_connections)

    def members(self) -> list[Any]:
        """The members as last heard of."""
        found: list[Any] = self._client.cluster_service.get_members()
        return found

    def connection_count(self) -> int:
        """How many members are connected."""
        return len(self._connections.active_connections)

    def partition_count(self) -> int:
        """How many partitions the cluster has."""
        count: int = self._partitions.partition_count
        return count

    def owner(self, partition: int) -> uuid.UUID | None:
        """The member that owns a partition; None before the cluster has assigned them, as a first request makes it."""
        found: uuid.UUID | None = self._partitions.get_partition_owner(partition)
        return found

    def connection(self, partition: int) -> Any:
        """The connection to a partition's owner; None if it is not connected. Any other while there is no owner."""
        table = self._partitions._partition_table
        if table is not self._table:
            self._table = table
            self._routes.clear()
        known = self._routes.get(partition)
        if known is not None and known.live:
            return known
        owner = self._partitions.get_partition_owner(partition)
        if owner is None:
            return self.any_connection()
        found = self._connections.active_connections.get(owner)
        if found is not None:
            self._routes[partition] = found
        return found

    def any_connection(self) -> Any:
        """A connection to any member, or None."""
        return next(iter(self._connections.active_connections.values()), None)

    # --- in place of the client's own ---------------------------------------------------------------------------

    async def _connect_to_address(self, address: Any) -> Any:
        for connection in list(self._connections.active_connections.values()):
            if connection.remote_address == address:
                return connection
        return await self._connect(await self._connections._translate(address))

    async def _connect_to_member(self, member: Any) -> Any:
        connection = self._connections.active_connections.get(member.uuid)
        if connection is not None:
            return connection
        return await self._connect(await self._connections._translate_member_address(member))

    async def _connect(self, address: Any) -> Any:
        where = f"{address.host}:{address.port}"
        connection = self._connections._create_connection(address)
        self._opened.add(connection)
        if self.tapped:
            tap(connection, self.service._pending)
        done = None
        fault = "cannot be reached"
        try:
            async with asyncio.timeout(_START_STEP):
                # Waited for from outside: inside, the client takes a cancellation for a refusal, and tries on for ever.
                await asyncio.wait({connection._create_task})
                try:
                    if connection._create_task.cancelled():
                        raise ConnectionAbortedError("given up while it was made")
                    connection._create_task.result()
                except Exception:
                    fault = "nobody listens there"
                    raise
                fault = "accepts connections and stays mute: not a member, or a stuck one"
                done = await self._connections._on_auth(self._connections._authenticate(connection), connection)
                self._faults.pop(where, None)
                return done
        except asyncio.CancelledError:
            # Broken off from outside: what an earlier attempt met says more.
            self._faults.setdefault(where, fault)
            raise
        except Exception as error:
            self._faults[where] = _fault_of(error, fault)
            raise
        finally:
            if done is not connection:
                if self._connections.active_connections.get(connection.remote_uuid) is connection:
                    await connection.close_connection("given up while it was set up", None)
                _abandon(connection)
            self._opened = {one for one in self._opened if one.live}

    def failed(self, error: BaseException | None = None) -> ConnectFailed:
        """What to say while no member is connected."""
        addresses = ",".join(self._settings.addresses)
        faults = "; ".join(f"{where}: {fault}" for where, fault in sorted(self._faults.items()))
        if not faults:
            faults = f"{addresses}: no answer" if error is None else f"{addresses}: {type(error).__name__}"
        if any("cluster name" in fault for fault in self._faults.values()):
            remedy = "check the cluster name of the URL"
        else:
            remedy = "check that members run (`gridsession node`) and that the URL names their client addresses"
        return ConnectFailed(f"no member of the cluster can be reached: {faults}; {remedy}", address=addresses)

    # --- what the client tells ----------------------------------------------------------------------------------

    async def _on_opened(self, connection: Any) -> None:
        # The client registers listeners on the new connection under this lock, before us: after it events flow.
        async with self.listeners._registration_lock:
            pass
        self._on_gap()
        self._on_members()

    async def _connection_closed(self, connection: Any, unsafe: bool = False) -> None:
        if all(other is connection for other in self._connections.active_connections.values()):
            # What comes next may be another cluster, started anew.
            self.introduced.clear()
        # The client would find them with its next look, after up to 100 ms.
        for call in list(self.service._pending.values()):
            if call.sent_connection is connection:
                self.service._notify_error(call, TargetDisconnectedError(connection.close_reason))
        await self._on_connection_close(connection, unsafe=unsafe)

    def _on_closed(self, connection: Any) -> None:
        self._on_gap()
        self._on_members()

    def _on_member(self, member: Any) -> None:
        self._on_members()


def _fault_of(error: BaseException, default: str) -> str:
    if isinstance(error, (AuthenticationError, ClientNotAllowedInClusterError)):
        return "the member refused us: it belongs to a cluster of another cluster name"
    return default


def _expected(error: BaseException | None) -> None:
    """The end of a connection that we end."""


def _abandon(connection: Any) -> None:
    """End a connection that nobody will use, without waiting for the other side."""
    connection.live = False
    if connection._proto is not None:
        connection._proto.connection_lost = _expected
    for task in (connection._create_task, connection._connect_task, connection._close_task):
        if task is not None and not task.done():
            task.cancel()
            # Nobody asks any more how it ended; asyncio would complain of that.
            task.add_done_callback(lambda ended: ended.cancelled() or ended.exception())
    if connection._proto is not None and connection._proto._transport is not None:
        connection._proto._transport.abort()
