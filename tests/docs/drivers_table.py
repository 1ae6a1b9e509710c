"""`python -m tests.docs.drivers_table`: the README's table of drivers, made of what each driver itself promises."""

from __future__ import annotations

import sys

from gridsession.drivers import Driver, driver_class
from gridsession.drivers.mapping import MappingDriver

_SHOWN = ("memory", "file", "lmdb", "redis", "mongodb", "hazelcast")
_REACH = {"process": "one process", "host": "one host", "cluster": "all clients"}


def rows() -> list[str]:
    """The table's lines of Markdown."""
    kinds: list[tuple[str, type[Driver]]] = [(f"`{scheme}://`", driver_class(scheme)) for scheme in _SHOWN]
    kinds.insert(-1, ("`MappingDriver(store)`", MappingDriver))
    lines = ["| driver | atomic among | acknowledged changes survive | gives room back within | hears of changes |"]
    lines.append("|---|---|---|---|---|")
    for name, kind in kinds:
        promise = kind.promise
        survives = "; ".join(promise.survives) or "nothing"
        within = "when the store does" if promise.expires_within is None else f"{promise.expires_within:g} s"
        heard = "pushed" if promise.pushes else "polled"
        lines.append(f"| {name} | {_REACH[promise.atomic.value]} | {survives} | {within} | {heard} |")
    return lines


if __name__ == "__main__":
    sys.stdout.write("\n".join([*rows(), ""]))
