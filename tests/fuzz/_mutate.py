"""A seeded mutator of bytes: what a flipped bit, a hostile length, a cut or a splice makes of them."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Final

from tests.fuzz._cases import Case, large, seeds

_NUMBERS: Final = (0, 1, 2, 3, 15, 16, 31, 32, 127, 128, 255, 256, 32_767, 32_768, 65_535, 65_536, 2**31 - 1, 2**31)
_LARGE_NUMBERS: Final = (2**32 - 1, 2**53, 2**53 + 1, 2**62, 2**63 - 1, 2**63, 2**64 - 1)
_TAGS: Final = b"\x80\x81\x90\x91\xa0\xa1\xc0\xc1\xc4\xc6\xc7\xc9\xd4\xd9\xda\xdb\xdc\xdd\xde\xdf\xff"
_WIDTHS: Final = (1, 2, 2, 4, 4, 8)
_LARGE_EVERY: Final = 2_000


class Mutator:
    """Gives one hostile case after another; the same seed gives the same ones.

    Most cases are a record and a command of different seeds of one id, one or both of them mutated: so a change of a
    command meets records it was not written for, and rules are reached behind the decoders.

    Attributes:
        seeds: what is mutated.
    """

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self.seeds = seeds()
        self._large = large()
        self._of_id: dict[str, list[Case]] = {}
        for case in self.seeds:
            self._of_id.setdefault(case.id, []).append(case)
        self._parts = [part for case in self.seeds for part in (case.record, case.command) if part]
        self._made = 0

    def case(self) -> Case:
        """The next one."""
        draw = self._random
        self._made += 1
        first = self.seeds[int(draw.random() * len(self.seeds))]
        record, command = first.record, first.command
        if self._made % _LARGE_EVERY == 0:
            record = self._large[int(draw.random() * len(self._large))]
        elif draw.random() < 0.4:
            others = self._of_id[first.id]
            record = others[int(draw.random() * len(others))].record
        which = draw.random()
        if which < 0.5 or (record is None and which < 0.9):
            command = self.mutated(command)
        if which > 0.4 and which < 0.9 and record is not None:
            record = self.mutated(record)
        return Case(record, command, first.now, first.id, first.limits)

    def mutated(self, original: bytes) -> bytes:
        """Bytes with one to three things done to them."""
        data = bytearray(original)
        draw = self._random.random
        for _ in range(1 + int(draw() * draw() * 2.5)):
            at = int(draw() * (len(data) + 1))
            self._ACTIONS[int(draw() * len(self._ACTIONS))](self, data, at)
        return bytes(data)

    def _flip(self, data: bytearray, at: int) -> None:
        if at < len(data):
            data[at] ^= 1 << int(self._random.random() * 8)

    def _set(self, data: bytearray, at: int) -> None:
        if at < len(data):
            data[at] = int(self._random.random() * 256)

    def _tag(self, data: bytearray, at: int) -> None:
        if at < len(data):
            data[at] = _TAGS[int(self._random.random() * len(_TAGS))]

    def _number(self, data: bytearray, at: int) -> None:
        width = self._pick(_WIDTHS)
        value = self._pick(_NUMBERS if width < 8 or self._random.random() < 0.5 else _LARGE_NUMBERS)
        self._write(data, at, width, value)

    def _step(self, data: bytearray, at: int) -> None:
        """A number that is a little more or less, as a length that is off by one."""
        width = self._pick(_WIDTHS)
        if at + width <= len(data):
            value = int.from_bytes(data[at : at + width], "big") + self._pick((-2, -1, 1, 2, 1))
            self._write(data, at, width, value)

    def _write(self, data: bytearray, at: int, width: int, value: int) -> None:
        if at + width <= len(data):
            data[at : at + width] = (value % (1 << 8 * width)).to_bytes(width, "big")

    def _cut(self, data: bytearray, at: int) -> None:
        del data[at:]

    def _remove(self, data: bytearray, at: int) -> None:
        del data[at : at + 1 + int(self._random.random() * 12)]

    def _insert(self, data: bytearray, at: int) -> None:
        data[at:at] = self._random.randbytes(1 + int(self._random.random() * 8))

    def _double(self, data: bytearray, at: int) -> None:
        """A part of it twice, as the same name or id twice."""
        data[at:at] = data[at : at + 1 + int(self._random.random() * 40)]

    def _splice(self, data: bytearray, at: int) -> None:
        other = self._parts[int(self._random.random() * len(self._parts))]
        start = int(self._random.random() * len(other))
        data[at:] = other[start:]

    def _pick(self, among: Sequence[int]) -> int:
        return among[int(self._random.random() * len(among))]

    _ACTIONS = (_flip, _flip, _set, _tag, _number, _number, _step, _step, _cut, _remove, _insert, _double, _splice)
