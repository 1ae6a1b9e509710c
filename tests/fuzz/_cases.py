"""Where the mutations begin: the cases of `tests/vectors`, and a few records as large as they may be."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, NamedTuple

from gridsession._fields import META, PROPS, STATE, Fields, encode_field
from gridsession._limits import DEFAULT_LIMITS, Limits
from gridsession._record import Lease, Record, Remembered, Waiter

VECTORS: Final = Path(__file__).resolve().parents[1] / "vectors"
NOW: Final = 1_700_000_000_000
ID: Final = "line:U1"


class Case(NamedTuple):
    """A command for what is stored under an id, at a moment (ms since 1970), and the limits of the place."""

    record: bytes | None
    command: bytes
    now: int
    id: str
    limits: Limits

    @property
    def size(self) -> int:
        """Bytes that somebody else made."""
        return len(self.command) + len(self.record or b"")

    def document(self) -> dict[str, object]:
        """As JSON, to be given to `--replay`."""
        record = None if self.record is None else self.record.hex()
        limits = {name: getattr(self.limits, name) for name in Limits.__dataclass_fields__}
        return {"record": record, "command": self.command.hex(), "now": self.now, "id": self.id, "limits": limits}

    @classmethod
    def read(cls, document: dict[str, object]) -> Case:
        """Of such JSON."""
        record = document["record"]
        limits = document["limits"]
        assert isinstance(limits, dict)
        return cls(
            None if record is None else bytes.fromhex(str(record)),
            bytes.fromhex(str(document["command"])),
            int(str(document["now"])),
            str(document["id"]),
            Limits(**limits),
        )


def seeds() -> list[Case]:
    """All of them, each once."""
    found: dict[Case, None] = {}
    for path in sorted(VECTORS.glob("*.json")):
        for one in json.loads(path.read_text())["cases"]:
            if isinstance(one.get("command"), str):
                limits = Limits(**{name: one["limits"].get(name, getattr(DEFAULT_LIMITS, name)) for name in _LIMITS})
                record = None if one["record"] is None else bytes.fromhex(one["record"])
                found[Case(record, bytes.fromhex(one["command"]), one["now"], one["session_id"], limits)] = None
    assert found, f"no cases in {VECTORS}"
    return list(found)


_LIMITS: Final = tuple(Limits.__dataclass_fields__)


def large() -> list[bytes]:
    """Records at their limits: bytes, fields, remembered ids, and who waits."""
    wide: Fields = {f"field{index}": encode_field(index) for index in range(200)}
    heavy: Fields = {f"text{index}": encode_field("x" * 4_000) for index in range(50)}
    listed: Fields = {"list": encode_field([{"n": index} for index in range(4_000)])}
    ring = tuple(
        Remembered(index.to_bytes(16, "big"), NOW + 10_000, 0, 1, index + 1, b"\0\x01\x02") for index in range(4_096)
    )
    queue = tuple(Waiter(f"worker-{index}", index.to_bytes(16, "big"), NOW + 9_000) for index in range(256))
    live = Record(ID, 1, True, 5, NOW - 9_000, NOW - 1_000, ttl=60_000)

    def of(**more: object) -> bytes:
        return _replaced(live, more).encode()

    return [
        of(bags=_bags(wide)),
        of(bags=_bags(heavy)),
        of(bags=_bags(listed)),
        of(ring=ring),
        of(last_token=7, lease=Lease("holder", bytes(16), 7, NOW + 5_000), queue=queue),
    ]


def _bags(fields: Fields) -> tuple[Fields, Fields, Fields]:
    made: list[Fields] = [{}, {}, {}]
    made[STATE] = fields
    made[PROPS] = {"locale": encode_field("th-TH")}
    made[META] = {}
    return made[0], made[1], made[2]


def _replaced(record: Record, more: dict[str, object]) -> Record:
    from dataclasses import replace

    return replace(record, **more)  # type: ignore[arg-type]  # names and types are given above
