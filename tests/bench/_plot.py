"""The table as a picture: an SVG that reads on light and on dark, made by hand."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from html import escape
from typing import Final

from tests.bench._cases import CASES, LOOP
from tests.bench._report import Row

# Of middle lightness: at least 3:1 against white and against GitHub's dark background alike. Shapes differ as well.
INK: Final = "#7d8590"
MARKS: Final = (("#2f81f7", "circle"), ("#c9731b", "square"), ("#8b6fd8", "diamond"))
"""Of the first, second and third number of callers."""

_LEFT, _RIGHT, _TOP, _ROW, _WIDTH, _BOTTOM = 375, 30, 56, 24, 880, 64
_CAPTION: Final = "turns a second, as multiples of one Lua script through redis-py; logarithmic"
_FONT: Final = 'font-family="system-ui, sans-serif" font-size="13"'


@dataclass(frozen=True, slots=True)
class _Scale:
    """Ratios to pixels, logarithmic: half as quick stands as far from 1 as twice as quick."""

    low: int
    high: int

    @classmethod
    def of(cls, ratios: Sequence[float]) -> _Scale:
        return cls(math.floor(math.log10(min(ratios))), math.ceil(math.log10(max(*ratios, 1.01))))

    def x(self, ratio: float) -> float:
        share = (math.log10(ratio) - self.low) / (self.high - self.low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def ticks(self) -> list[float]:
        return [10.0**power for power in range(self.low, self.high + 1)]


def plot(found: Iterable[Row]) -> str | None:
    """Turns a second of each case as a multiple of redis-py's Lua script; None if no ratio is there."""
    drawn = [row for row in found if row.redis_ratio and row.case != LOOP]
    drawn = [row for row in drawn if row.setting == drawn[0].setting]
    if not drawn:
        return None
    callers = sorted({row.callers or 0 for row in drawn})[: len(MARKS)]
    names = list(dict.fromkeys(row.case for row in drawn))
    scale = _Scale.of([row.redis_ratio or 1.0 for row in drawn])
    height = _TOP + _ROW * len(names) + _BOTTOM
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height}" width="{_WIDTH}" role="img">',
        f"<title>{_CAPTION}</title>",
        *_legend(callers),
        *_axis(scale, height),
    ]
    for place, name in enumerate(names):
        y = _TOP + _ROW * place + _ROW / 2
        parts.append(_text(_LEFT - 12, y + 4, CASES[name].title.replace("`", ""), "end"))
        parts.append(_line(_LEFT, y, _WIDTH - _RIGHT, y, 0.25))
        own = [row for row in drawn if row.case == name and row.callers in callers]
        parts += [_mark(scale.x(row.redis_ratio or 1.0), y, callers.index(row.callers or 0)) for row in own]
    return "\n".join((*parts, "</svg>", ""))


def _legend(callers: Sequence[int]) -> Iterable[str]:
    for place, number in enumerate(callers):
        x = _LEFT + place * 130
        yield _mark(x + 6, 18, place)
        yield _text(x + 18, 22, f"{number} caller{'s' if number > 1 else ''}", "start")


def _axis(scale: _Scale, height: int) -> Iterable[str]:
    for tick in scale.ticks():
        x = scale.x(tick)
        yield _line(x, _TOP - 8, x, height - _BOTTOM + 4, 1.0 if tick == 1.0 else 0.35)
        yield _text(x, height - _BOTTOM + 22, f"{tick:g}x", "middle")
    yield _text((_LEFT + _WIDTH - _RIGHT) / 2, height - 12, _CAPTION, "middle")


def _text(x: float, y: float, words: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="{INK}" {_FONT}>{escape(words)}</text>'


def _line(x1: float, y1: float, x2: float, y2: float, strength: float) -> str:
    ends = f'x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"'
    return f'<line {ends} stroke="{INK}" stroke-opacity="{strength}"/>'


def _mark(x: float, y: float, which: int) -> str:
    colour, shape = MARKS[which]
    if shape == "circle":
        return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'
    turned = f' transform="rotate(45 {x:.1f} {y:.1f})"' if shape == "diamond" else ""
    return f'<rect x="{x - 4.5:.1f}" y="{y - 4.5:.1f}" width="9" height="9" fill="{colour}"{turned}/>'
