"""What a value's bytes may ask for, told from their headers alone before msgpack allocates anything.

A few bytes can stand for many objects: an empty map takes one byte and becomes 72. So the walk counts what each header
will cost as Python objects and refuses a value that would take more than 32 times its bytes and 1 MiB.
"""

from __future__ import annotations

from typing import Final

from gridsession.errors import CodecError

MAX_DEPTH: Final = 32
MAX_ITEMS: Final = 65_536
"""Most items of one value, those within tuples and sets included."""

_TIMES: Final = 32
_SPARE: Final = 1 << 20

# Bytes of memory, a little above what Python 3.11 to 3.13 take (measured): an item's place in its container, a number,
# text or bytes beside their content, a list, an empty map, what a map with content takes more and for each of its keys
# and values, an extension, an element of a set.
_PLACE, _NUMBER, _TEXT, _LIST, _MAP, _FILLED, _SIDE, _EXTENSION, _ELEMENT = 8, 32, 56, 64, 64, 120, 20, 144, 80

_NUMBERS: Final = {0xCA: 4, 0xCB: 8, 0xCC: 1, 0xCD: 2, 0xCE: 4, 0xCF: 8, 0xD0: 1, 0xD1: 2, 0xD2: 4, 0xD3: 8}
_SIZED: Final = {0xC4: 1, 0xC5: 2, 0xC6: 4, 0xD9: 1, 0xDA: 2, 0xDB: 4}
_MANY: Final = {0xDC: (2, 1), 0xDD: (4, 1), 0xDE: (2, 2), 0xDF: (4, 2)}
_EXTENDED: Final = {0xC7: 1, 0xC8: 2, 0xC9: 4}
_FIXED_EXTENDED: Final = {0xD4: 1, 0xD5: 2, 0xD6: 4, 0xD7: 8, 0xD8: 16}
_TIMESTAMP: Final = 0xFF


def _plain() -> tuple[list[int], list[int]]:
    """Of each first byte, how many follow it where nothing else tells (-1: something does), and its memory."""
    follow = [-1 if 0x7F < first < 0xE0 else 0 for first in range(256)]
    memory = [_PLACE] * 256
    for first in (0xC0, 0xC2, 0xC3):
        follow[first] = 0
    for first, width in _NUMBERS.items():
        follow[first], memory[first] = width, _PLACE + _NUMBER
    for first in range(0xA0, 0xC0):
        follow[first], memory[first] = first - 0xA0, _PLACE + _TEXT + first - 0xA0
    return follow, memory


_FOLLOW, _MEMORY = _plain()


def check(data: bytes, lists: frozenset[int], sets: frozenset[int]) -> None:
    """Walk the headers of one value.

    Args:
        lists: types of extensions whose payload is a list in turn.
        sets: those of them that become sets.

    Raises:
        CodecError: too deep, too many items, too much memory, lengths that do not add up, or msgpack's own timestamp.
    """
    _Walk(data, lists, sets).run()


class _Walk:
    __slots__ = ("_at", "_data", "_lists", "_memory", "_open", "_per_element", "_sets")

    def __init__(self, data: bytes, lists: frozenset[int], sets: frozenset[int]) -> None:
        self._data = data
        self._lists = lists
        self._sets = sets
        self._at = 0
        self._memory = 0
        self._per_element = 0
        # How many items are left to walk at each level.
        self._open = [1]

    def run(self) -> None:
        """To the last byte."""
        data, size, left = self._data, len(self._data), self._open
        most, items = _TIMES * size + _SPARE, 0
        while left:
            if not left[-1]:
                left.pop()
                continue
            items += self._plain_run(left, MAX_ITEMS - items)
            if items > MAX_ITEMS:
                raise CodecError(f"more than {MAX_ITEMS} items in one value")
            if left[-1]:
                left[-1] -= 1
                if self._at >= size:
                    raise CodecError("value ends too early")
                items += 1
                self._at += 1
                self._memory += _PLACE
                self._header(data[self._at - 1])
            if self._memory > most:
                raise CodecError(f"value would take more memory than {_TIMES} times its bytes")
        if self._at != size:
            raise CodecError("value does not end where its bytes end")

    def _plain_run(self, left: list[int], most: int) -> int:
        """As many items in a row as need no more than a look at a table; most of a value are such."""
        data, size, at, memory = self._data, len(self._data), self._at, self._memory
        count, limit = 0, min(left[-1], most + 1)
        while count < limit and at < size:
            first = data[at]
            follow = _FOLLOW[first]
            if follow < 0:
                break
            at += 1 + follow
            memory += _MEMORY[first]
            count += 1
        left[-1] -= count
        self._at, self._memory = at, memory
        return count

    def _header(self, first: int) -> None:
        if first <= 0x8F:
            self._container((first & 0x0F) * 2, is_map=True)
        elif first <= 0x9F:
            self._container(first & 0x0F, is_map=False)
        elif first in _SIZED:
            self._content(self._number(_SIZED[first]))
        elif first in _MANY:
            width, factor = _MANY[first]
            self._container(self._number(width) * factor, is_map=factor == 2)
        elif first in _EXTENDED:
            self._extension(self._number(_EXTENDED[first]))
        elif first in _FIXED_EXTENDED:
            self._extension(_FIXED_EXTENDED[first])
        else:
            raise CodecError("byte 0xc1 is never used")

    def _number(self, width: int) -> int:
        number = int.from_bytes(self._data[self._at : self._at + width], "big")
        self._at += width
        return number

    def _content(self, length: int) -> None:
        self._at += length
        self._memory += _TEXT + length

    def _container(self, children: int, *, is_map: bool) -> None:
        self._memory += _MAP if is_map else _LIST
        if not children:
            return
        if children > len(self._data) - self._at:
            raise CodecError("value claims more items than it has bytes")
        if len(self._open) > MAX_DEPTH:
            raise CodecError(f"value is nested deeper than {MAX_DEPTH} levels")
        self._memory += _FILLED + children * _SIDE if is_map else children * self._per_element
        self._per_element = 0
        self._open.append(children)

    def _extension(self, length: int) -> None:
        code = self._number(1)
        if code == _TIMESTAMP:
            raise CodecError("a timestamp of msgpack's own is not ours")
        self._memory += _EXTENSION
        self._per_element = _ELEMENT if code in self._sets else 0
        if code in self._lists:
            # Its payload comes next, as one more item of this level: a tuple is no deeper than a list.
            self._open[-1] += 1
        else:
            self._content(length)
