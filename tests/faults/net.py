"""Hosts as network namespaces behind a bridge that has a namespace to itself, and rules that cut them apart.

In the root namespace the bridge would not do: there, the rules of Docker and of `bridge-nf-call-iptables` silently eat
bridged packets.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

_HUB: Final = "hub"
_SUBNET: Final = "10.66.0"


class Rule(NamedTuple):
    """One rule of iptables on one host: what follows `iptables -A`."""

    host: str
    words: tuple[str, ...]


class Network:
    """Hosts by name, each with one address.

    Args:
        hosts: their names; at most 200.
    """

    def __init__(self, hosts: Sequence[str]) -> None:
        self.hosts = tuple(hosts)
        self._addresses = {host: f"{_SUBNET}.{number}" for number, host in enumerate(hosts, start=11)}

    def up(self) -> None:
        """Makes all namespaces and wires them."""
        _ip("netns", "add", _HUB)
        _ip("-n", _HUB, "link", "add", "name", "br0", "type", "bridge", "forward_delay", "0")
        _ip("-n", _HUB, "link", "set", "br0", "up")
        for host in self.hosts:
            _ip("netns", "add", host)
            _ip("-n", host, "link", "set", "lo", "up")
            _ip("-n", host, "link", "add", "name", "eth0", "type", "veth", "peer", "name", host, "netns", _HUB)
            _ip("-n", host, "address", "add", f"{self.address(host)}/24", "dev", "eth0")
            _ip("-n", host, "link", "set", "eth0", "up")
            _ip("-n", _HUB, "link", "set", host, "master", "br0", "up")

    def address(self, host: str) -> str:
        """A host's address."""
        return self._addresses[host]

    def command(self, host: str, *words: str) -> list[str]:
        """The command line that runs `words` on a host; its process id is that of the process it starts."""
        return ["nsenter", f"--net={self.path(host)}", *words]

    def path(self, host: str) -> str:
        """The file that stands for the host's namespace."""
        return f"/run/netns/{host}"

    def processes(self, host: str) -> list[int]:
        """The ids of all processes on a host."""
        listed = subprocess.run(["ip", "netns", "pids", host], capture_output=True, text=True, check=True)
        return [int(word) for word in listed.stdout.split() if not _ended(int(word))]

    def cut(self, one: str, other: str, *, both_ways: bool = True, reset: bool = False) -> list[Rule]:
        """The rules by which `one` hears nothing of `other`, and with `both_ways` the other nothing of it.

        Args:
            one: where the rules are.
            other: who is not heard.
            both_ways: also what `one` sends is held back.
            reset: TCP is told so at once, where otherwise packets vanish.
        """
        address = self.address(other)
        fate = ("-p", "tcp", "-j", "REJECT", "--reject-with", "tcp-reset") if reset else ("-j", "DROP")
        rules = [Rule(one, ("INPUT", "-s", address, *fate))]
        if both_ways:
            rules.append(Rule(one, ("OUTPUT", "-d", address, *fate)))
        return rules

    def lossy(self, host: str, share: float) -> list[Rule]:
        """The rule by which so many of the packets that come to a host are lost."""
        return [Rule(host, ("INPUT", "-m", "statistic", "--mode", "random", "--probability", f"{share}", "-j", "DROP"))]

    def add(self, rules: Iterable[Rule]) -> None:
        """Puts rules in force."""
        self._change("-A", rules)

    def remove(self, rules: Iterable[Rule]) -> None:
        """Takes the same rules back; those that others added stay."""
        self._change("-D", rules)

    def _change(self, how: str, rules: Iterable[Rule]) -> None:
        for host, words in rules:
            subprocess.run(self.command(host, "iptables", "-w", how, *words), capture_output=True, check=True)


def _ip(*words: str) -> None:
    run = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if run.returncode:
        raise RuntimeError(f"ip {' '.join(words)}: {run.stderr.strip()}")


def _ended(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True
    return state in "ZX"
