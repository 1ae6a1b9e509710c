"""Ports of loopback for members that somebody tries out."""

from __future__ import annotations

import contextlib
import random
import socket
from pathlib import Path
from typing import Final

_OUTGOING: Final = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST: Final = 20_000


def free_ports(count: int) -> tuple[int, ...]:
    """Ports that were free a moment ago, all different.

    From below those that the system gives to outgoing connections: a member that was killed finds its port free when it
    starts again, and who looks for it meanwhile cannot be given that port and so meet itself.

    Raises:
        OSError: there are not that many.
    """
    found: list[int] = []
    with contextlib.ExitStack() as held:
        for port in random.sample(range(_LOWEST, _first_outgoing()), 1_000):
            if len(found) == count:
                break
            tried = held.enter_context(socket.socket())
            with contextlib.suppress(OSError):
                tried.bind(("127.0.0.1", port))
                found.append(port)
    if len(found) < count:
        raise OSError(f"{count} free ports were asked for, and loopback has {len(found)} of 1000 that were tried")
    return tuple(found)


def _first_outgoing() -> int:
    """The first port that the system gives to outgoing connections (Linux' own 32768 where it does not say).

    macOS and Windows begin at 49152 (IANA's dynamic ports, RFC 6335 section 6); some Linux hosts are set lower than
    leaves room here, and there the default is as good as any.
    """
    try:
        first = int(_OUTGOING.read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 32_768
    return first if first >= _LOWEST + 1_000 else 32_768
