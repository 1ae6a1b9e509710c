"""The ports that members tried out on loopback are given."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest

from gridsession.node.ports import free_ports

OUTGOING = Path("/proc/sys/net/ipv4/ip_local_port_range")


def test_they_are_all_different_and_nobody_listens_on_them() -> None:
    ports = free_ports(50)
    assert len(set(ports)) == 50
    for port in ports:
        with socket.socket() as mine:
            mine.bind(("127.0.0.1", port))


@pytest.mark.skipif(not OUTGOING.exists(), reason="only Linux says which ports it gives to outgoing connections")
def test_no_outgoing_connection_is_ever_given_one() -> None:
    """Who looks for a member that was killed would else be given its port, which it then finds taken."""
    first, last = map(int, OUTGOING.read_text().split())
    if first < 21_000:
        pytest.skip("this host gives nearly all ports to outgoing connections")
    assert not [port for port in free_ports(50) if first <= port <= last]


def test_more_than_there_are_is_refused() -> None:
    with pytest.raises(OSError, match="2000 free ports were asked for"):
        free_ports(2_000)
