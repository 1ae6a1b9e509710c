"""A slow road between one host and all others: `python -m tests.faults._switch SLOW OTHER...`.

Each host is given as NAMESPACE_FILE=ADDRESS and gets a TUN device, and a route by it to whom it talks slowly. This
process holds the devices: when it ends, devices and routes are gone, and packets go by the bridge again. (The kernel's
own netem is often not built.)
"""

from __future__ import annotations

import argparse
import ctypes
import fcntl
import heapq
import itertools
import os
import random
import select
import socket
import struct
import subprocess
import time
from typing import Final

_TUNSETIFF: Final = 0x400454CA
_TUN_WITHOUT_HEADER: Final = 0x1001
_CLONE_NEWNET: Final = 0x40000000
_MOST_WAITING: Final = 5_000


def main() -> None:
    """Open the devices, say `ready`, carry packets until killed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("hosts", nargs="+", metavar="NAMESPACE=ADDRESS", help="the slow one first")
    parser.add_argument("--delay", type=float, default=25.0, help="ms, each way")
    parser.add_argument("--jitter", type=float, default=10.0, help="ms, more or less")
    parser.add_argument("--loss", type=float, default=0.0, help="share of packets lost")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    hosts = dict(host.split("=") for host in options.hosts)
    slow, *others = hosts.values()
    devices = {}
    for namespace, address in hosts.items():
        towards = others if address == slow else [slow]
        devices[socket.inet_aton(address)] = _device(namespace, address, towards)
    print("ready", flush=True)
    _carry(devices, options.delay / 1e3, options.jitter / 1e3, options.loss, random.Random(options.seed))


def _device(namespace: str, address: str, towards: list[str]) -> int:
    with open(namespace) as entry:  # noqa: PTH123 - a descriptor is what is asked for
        if ctypes.CDLL(None, use_errno=True).setns(entry.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), f"cannot enter {namespace}")
    device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(device, _TUNSETIFF, struct.pack("16sH22x", b"slow", _TUN_WITHOUT_HEADER))
    commands = [["link", "set", "slow", "mtu", "1500", "up"]]
    commands += [["route", "add", f"{other}/32", "dev", "slow", "src", address] for other in towards]
    for command in commands:
        subprocess.run(["ip", *command], check=True)
    return device


def _carry(devices: dict[bytes, int], delay: float, jitter: float, loss: float, rng: random.Random) -> None:
    poll = select.poll()
    for device in devices.values():
        poll.register(device, select.POLLIN)
    waiting: list[tuple[float, int, int, bytes]] = []
    order = itertools.count()
    last: dict[tuple[bytes, bytes], float] = {}
    while True:
        now = time.monotonic()
        while waiting and waiting[0][0] <= now:
            _, _, device, packet = heapq.heappop(waiting)
            _write(device, packet)
        ready = poll.poll(max(0.0, waiting[0][0] - now) * 1e3 if waiting else None)
        for device, _ in ready:
            for packet in _read(device):
                source, target = packet[12:16], packet[16:20]
                if target not in devices or len(waiting) >= _MOST_WAITING or rng.random() < loss:
                    continue
                # One road, so nothing overtakes: reordering would be another fault than delay.
                due = max(
                    time.monotonic() + max(0.0, delay + rng.uniform(-jitter, jitter)), last.get((source, target), 0.0)
                )
                last[source, target] = due
                heapq.heappush(waiting, (due, next(order), devices[target], packet))


def _read(device: int) -> list[bytes]:
    packets: list[bytes] = []
    while len(packets) < 100:
        try:
            packet = os.read(device, 2048)
        except BlockingIOError:
            break
        if len(packet) >= 20 and packet[0] >> 4 == 4:
            packets.append(packet)
    return packets


def _write(device: int, packet: bytes) -> None:
    try:
        os.write(device, packet)
    except OSError:
        """The device's queue is full: the packet is lost, as on any road."""


if __name__ == "__main__":
    main()
