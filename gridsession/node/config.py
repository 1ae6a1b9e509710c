"""What a member is told: options and environment in, Hazelcast's YAML out."""

from __future__ import annotations

import ipaddress
import json
import math
import os
import re
import socket
import string
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from importlib import resources
from pathlib import Path
from typing import Any

from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession.errors import InvalidOption

DEFAULT_CLUSTER_NAME = "gridsession"
DEFAULT_PORT = 5701
MOST_BACKUPS = 6
"""Hazelcast's own limit."""

_CLUSTER_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._~-]{0,127}")
_MEMORY = re.compile(r"(\d+)([kmg])", re.IGNORECASE)
_LEAST_MEMORY = 64 << 20
_ADDRESS = re.compile(r"(?P<host>[A-Za-z0-9_.-]+|\[[0-9A-Fa-f:.%]+\]):(?P<port>\d{1,5})")
_ENVIRONMENT = "GRIDSESSION_"
_ELSEWHERE = "192.0.2.1"
"""An address that nobody has (RFC 5737): the way there is the way out."""


def usable_cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


@dataclass(frozen=True, slots=True, kw_only=True)
class NodeConfig:
    """How one member runs. Checked when made.

    Attributes:
        bind: address, or host name with one, to listen on; `0.0.0.0` is every interface.
        port: to listen on.
        join: `host:port` of other members; its own address may be among them.
        members_declared: how many members the whole grid has; the same on each. Its majority must be there to serve.
        cluster_name: members and clients must agree on it. The free edition knows no other credential.
        memory: Java heap, as in `192m` or `4g`.
        backups: synchronous copies of each session, at most half the declared members and 6; None: 0 for one member,
            1 up to four, 2 from five on.
        data_dir: where the JVM leaves its file if it crashes; None: a temporary folder.
        public_address: `host:port` that others reach it at; None: `bind` and `port`.
        http: `host:port` to answer health checks on; None: nothing listens for them.
        drain_timeout: seconds a member that is told to stop has to hand its partitions over, then it is killed.
        snapshot_every: seconds between two snapshots of the whole grid that this node writes; None: it writes none.
        snapshot_dir: this node's own directory for them; at a cold start the newest is restored from there.
        snapshot_keep: how many are kept.
        limits: what a record may grow to.
        cores: to size thread pools for.
        started_by: told to who asks the member.
    """

    bind: str = "127.0.0.1"
    port: int = DEFAULT_PORT
    join: tuple[str, ...] = ()
    members_declared: int = 1
    cluster_name: str = field(default=DEFAULT_CLUSTER_NAME, repr=False)
    memory: str = "192m"
    backups: int | None = None
    data_dir: Path | None = None
    public_address: str | None = None
    http: str | None = None
    drain_timeout: float = 90.0
    snapshot_every: float | None = None
    snapshot_dir: Path | None = None
    snapshot_keep: int = 3
    limits: Limits = DEFAULT_LIMITS
    cores: int = field(default_factory=usable_cores)
    started_by: str = "gridsession node"

    def __post_init__(self) -> None:
        _check(
            _is_any(self.bind) or not _is_unspecified(self.bind),
            f"bind is {self.bind!r}; write 0.0.0.0 for every interface, or one IPv6 address of this machine",
        )
        _check(1 <= self.port <= 65535, f"port is {self.port}; a port lies between 1 and 65535")
        for address in (*self.join, *(one for one in (self.public_address, self.http) if one)):
            found = _ADDRESS.fullmatch(address)
            _check(found is not None and int(found["port"]) <= 65535, f"address {address!r} is not HOST:PORT")
        _check(
            self.members_declared >= 1, f"members_declared is {self.members_declared}; a grid has at least one member"
        )
        _check(
            not self.join or self.members_declared > 1,
            "a member that joins others must be told how many members the whole grid has: --members-declared N",
        )
        _check(
            _CLUSTER_NAME.fullmatch(self.cluster_name) is not None,
            "the cluster name must be 1 to 128 letters, digits, '.', '_', '~', '-', starting with a letter or digit",
        )
        _check(
            self.heap_bytes >= _LEAST_MEMORY,
            f"memory is {self.memory!r}; write it as 192m or 4g, and give at least 64m",
        )
        _check(
            self.backups is None or 0 <= self.backups <= MOST_BACKUPS,
            f"backups is {self.backups}; Hazelcast keeps 0 to {MOST_BACKUPS}",
        )
        _check(
            self.backups is None or self.backups < self.majority,
            f"backups is {self.backups} for {self.members_declared} declared member(s); at most {self.majority - 1}: a "
            "change counts once that many copies confirmed it, and a bare majority must be able to make them",
        )
        _check(0 < self.drain_timeout <= 86_400, f"drain_timeout is {self.drain_timeout}; give 1 to 86400 seconds")
        _check(
            (self.snapshot_every is None) == (self.snapshot_dir is None),
            "snapshots need both --snapshot-every SECONDS and --snapshot-dir DIR",
        )
        every = self.snapshot_every
        _check(every is None or 1 <= every <= 604_800, f"snapshot_every is {every}; give 1 to 604800 seconds")
        _check(self.snapshot_keep >= 1, f"snapshot_keep is {self.snapshot_keep}; keep at least 1")
        _check(self.cores >= 1, f"cores is {self.cores}; it must be at least 1")
        _check(
            _is_loopback(self.bind) or self.cluster_name != DEFAULT_CLUSTER_NAME,
            f"refusing to listen on {self.bind} under the default cluster name {DEFAULT_CLUSTER_NAME!r}: whoever "
            "reaches the port and knows the name can read and change every session. Choose a name that is hard to "
            "guess (--cluster-name or GRIDSESSION_CLUSTER_NAME) and let only the workers and members reach the port.",
        )

    @classmethod
    def from_options(cls, environ: Mapping[str, str] = os.environ, **options: Any) -> NodeConfig:
        """The configuration of `options` that are not None, then of `GRIDSESSION_*` variables, then of defaults.

        A variable is named as the attribute (`GRIDSESSION_MEMBERS_DECLARED`), those of limits as `GRIDSESSION_MAX_`
        and the limit (`GRIDSESSION_MAX_RECORD_BYTES`); `join` is separated by commas.

        Raises:
            InvalidOption: a value that makes no sense.
        """
        known = {each.name for each in fields(cls)} - {"limits", "cores", "started_by"}
        chosen = {name: _from_text(name, text) for name in known if (text := _variable(environ, name)) is not None}
        limits = {
            each.name: _whole(f"max_{each.name}", text)
            for each in fields(Limits)
            if (text := _variable(environ, f"max_{each.name}")) is not None
        }
        if limits:
            chosen["limits"] = Limits(**limits)
        return cls(**chosen | {name: value for name, value in options.items() if value is not None})

    @property
    def heap_bytes(self) -> int:
        """The Java heap in bytes; 0 if `memory` makes no sense."""
        found = _MEMORY.fullmatch(self.memory)
        return int(found[1]) << {"k": 10, "m": 20, "g": 30}[found[2].lower()] if found else 0

    @property
    def sync_backups(self) -> int:
        """Synchronous copies of each session: no minority of three, four or five members holds all of them."""
        if self.backups is not None:
            return self.backups
        return 0 if self.members_declared == 1 else 1 if self.members_declared < 5 else 2

    @property
    def majority(self) -> int:
        """How many members must be there to serve."""
        return self.members_declared // 2 + 1

    @property
    def address(self) -> str:
        """`host:port` that members and clients reach it at."""
        return self.public_address or _host_port(self._own_host(), self.port)

    def yaml(self, *, for_each: bool = False) -> str:
        """The member's configuration for Hazelcast, from the annotated `member.yaml` of this package.

        Args:
            for_each: it is for each member of the grid: Hazelcast takes the interface that is among those to join.

        Raises:
            InvalidOption: the host to bind to has no address.
        """
        template = resources.files("gridsession.node").joinpath("member.yaml").read_text(encoding="utf-8")
        own = None if for_each else self.address
        members = list(dict.fromkeys(self.join if own is None else (own, *self.join)))
        every_interface = _is_any(self.bind)
        io_threads, operation_threads = _threads(self.cores)
        return _filled(
            template,
            cluster_name=json.dumps(self.cluster_name),
            public_address=None if own is None else json.dumps(own),
            port=self.port,
            members=json.dumps(members),
            prefer_ipv4=json.dumps(own is None or not own.startswith("[")),
            bind_any=json.dumps(every_interface),
            restrict_interfaces=json.dumps(not every_interface),
            interface=json.dumps("127.0.0.1" if every_interface else self._own_host()),
            members_declared=self.members_declared,
            # one member needs no majority, but Hazelcast takes no number below 2 even where it is off
            majority=max(2, self.majority),
            majority_needed=json.dumps(self.members_declared > 1),
            backups=self.sync_backups,
            drain_seconds=math.ceil(self.drain_timeout),
            io_threads=io_threads,
            operation_threads=operation_threads,
            started_by=json.dumps(self.started_by),
            **{f"max_{each.name}": getattr(self.limits, each.name) for each in fields(Limits)},
        )

    def _own_host(self) -> str:
        if _is_any(self.bind):
            return _address_towards(*(address.rpartition(":")[0] for address in self.join), _ELSEWHERE)
        try:
            return str(socket.getaddrinfo(self.bind, None, type=socket.SOCK_STREAM)[0][4][0])
        except OSError as error:
            raise InvalidOption(
                f"cannot bind to {self.bind!r}: it has no address ({error}). Give an address of this machine."
            ) from error


class _Template(string.Template):
    # `$` belongs to Hazelcast, which replaces `${...}` by system properties
    delimiter = "@"


def _filled(template: str, **values: object) -> str:
    """The template with these values; a line whose value is None is left out."""
    left_out = {f"@{name}" for name, value in values.items() if value is None}
    lines = (line for line in template.splitlines(keepends=True) if not left_out.intersection(line.split()))
    return _Template("".join(lines)).substitute(values)


def _check(holds: bool, fault: str) -> None:
    if not holds:
        raise InvalidOption(fault)


def _threads(cores: int) -> tuple[int, int]:
    """Threads for sockets and for partitions; on two cores one of each is fastest (measured)."""
    if cores <= 2:
        return 1, 1
    return (2, cores) if cores <= 8 else (3, cores)


def _host_port(host: str, port: int) -> str:
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _address_towards(*hosts: str) -> str:
    """This machine's address on the way to the first of `hosts` that can be told, whether that answers or not."""
    fault: OSError | None = None
    for host in hosts:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                # sends nothing: it only asks the system for a route
                probe.connect((host, 9))
                return str(probe.getsockname()[0])
            except OSError as error:
                # a member that was not started yet may have no name so far
                fault = fault or error
    raise InvalidOption(
        f"cannot tell which address of this machine others reach it at: no way to {hosts[0]} ({fault}). "
        "Bind to an address instead of 0.0.0.0, or give a --public-address."
    ) from fault


def _is_any(bind: str) -> bool:
    return bind == "0.0.0.0"  # noqa: S104  # asks whether it is, does not listen


def _is_unspecified(bind: str) -> bool:
    try:
        return ipaddress.ip_address(bind).is_unspecified
    except ValueError:
        return False


def _is_loopback(bind: str) -> bool:
    try:
        return ipaddress.ip_address(bind).is_loopback
    except ValueError:
        return bind == "localhost"


def _variable(environ: Mapping[str, str], name: str) -> str | None:
    text = environ.get(_ENVIRONMENT + name.upper())
    # Kubernetes plants GRIDSESSION_PORT=tcp://... beside every service of that name
    return None if not text or (name == "port" and text.startswith("tcp://")) else text


def _from_text(name: str, text: str) -> Any:
    if name in {"port", "members_declared", "backups", "snapshot_keep"}:
        return _whole(name, text)
    if name in {"drain_timeout", "snapshot_every"}:
        return _seconds(name, text)
    if name == "join":
        return split_addresses(text)
    return Path(text) if name in {"data_dir", "snapshot_dir"} else text


def split_addresses(text: str) -> tuple[str, ...]:
    """`a:1, b:2` as `("a:1", "b:2")`."""
    return tuple(part.strip() for part in text.split(",") if part.strip())


def _whole(name: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidOption(f"{_ENVIRONMENT}{name.upper()} is {text!r}; it must be a whole number") from None


def _seconds(name: str, text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise InvalidOption(f"{_ENVIRONMENT}{name.upper()} is {text!r}; it must be a number of seconds") from None
