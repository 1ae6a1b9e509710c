"""The work every case does: one turn over a session of about 1 KB, among ten thousand of them."""

from __future__ import annotations

import random
from typing import Any

SESSIONS = 10_000
TTL = 1_800


def session_id(index: int) -> str:
    """An id as long as LINE's."""
    return f"line:U{index:032x}"


def session(index: int) -> dict[str, Any]:
    """Thirteen fields, about 1 KB encoded; the same for the same index."""
    source = random.Random(index)

    def words(length: int) -> str:
        return "".join(source.choice("abcdefghijklmnop qrstuvwxyz") for _ in range(length))

    return {
        "v": 1,
        "user_id": f"U{index:032x}",
        "channel": "line",
        "locale": "th-TH",
        "state": "order:confirm",
        "step": 3,
        "created": 1.7e9 + index,
        "last_seen": 1.7e9 + index + 5,
        "last_msg": words(48),
        "slots": {f"slot_{number}": words(12) for number in range(8)},
        "cart": [{"sku": words(8), "qty": number, "price": 99.5} for number in range(3)],
        "history": [words(40) for _ in range(8)],
        "flags": {"vip": False, "muted": False, "nps": 7},
    }


def change(number: int) -> dict[str, Any]:
    """What one turn merges: two fields."""
    return {"step": number & 1023, "last_msg": f"thank you, please send it to my home {number % 1_000_000:06d}"}
