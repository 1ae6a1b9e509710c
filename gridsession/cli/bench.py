"""`gridsession bench`: how fast a place is from here, for its own operator."""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import Annotated

import typer

from gridsession import SessionStore, operations
from gridsession.cli._measuring import Figure, Median, Turn, change, measure, session, session_id
from gridsession.cli._places import AsJson, Url, run_until_interrupted
from gridsession.cli._tables import Output, span
from gridsession.moving._parallel import each

NAMESPACE = "bench"
"""One for all runs: a grid keeps the maps and the metrics of a namespace for good, also when nothing is in it."""
_WARMING_CALLERS = 64
_LIFE = 3_600
"""Seconds until what a killed measurement left is gone."""


def command(
    url: Url,
    callers: Annotated[list[int] | None, typer.Option(min=1, help="Turns at once; may be given again.")] = None,
    seconds: Annotated[float, typer.Option(min=0.1, help="How long each stretch lasts.")] = 2.0,
    rounds: Annotated[int, typer.Option(min=1, help="How often each case is measured; the median is told.")] = 3,
    warm_up: Annotated[float, typer.Option(min=0, help="Seconds before, for a JVM to get to speed.")] = 10.0,
    sessions: Annotated[int, typer.Option(min=1, help="How many sessions of about 1 KB the turns go to.")] = 1_000,
    as_json: AsJson = False,
) -> None:
    """Measures reads, updates and turns from this machine, in a namespace of its own: `bench`.

    The sessions are this run's own, and deleted afterwards; a namespace `bench` stays, empty. It puts as much load on
    the place as one process can. Cases take turns within each round. `load` reads a session whole; `update` merges two
    fields and restarts the ttl, one round trip; `turn` holds the session while it does, two round trips. CPU is that of
    this process for each of them: where one core is used up by it, more processes do more.
    """
    output = Output(as_json=as_json)
    asked = callers or [1, 16, 128]
    # Two that measure at once do not meet.
    name = partial(session_id, prefix=secrets.token_hex(4))

    async def work(store: SessionStore) -> None:
        try:
            output.say(f"{sessions:,} sessions in namespace {store.namespace} ...")
            await _fill(store, sessions, name)
            cases = _cases(store, name)
            lasts = warm_up + rounds * len(asked) * len(cases) * seconds
            output.say(f"measuring for {span(lasts)} ...")
            found = await _measured(cases, asked, seconds=seconds, rounds=rounds, warm=warm_up, among=sessions)
        finally:
            await _emptied(store, sessions, name)
        _tell(output, found, asked)

    run_until_interrupted(url, NAMESPACE, work)


def _cases(store: SessionStore, name: Callable[[int], str]) -> dict[str, Turn]:
    async def load(index: int, number: int) -> object:
        return (await store.session(name(index)).load()).get("step")

    async def update(index: int, number: int) -> object:
        return await store.session(name(index)).update(change(number))

    async def turn(index: int, number: int) -> object:
        async with store.turn(name(index)) as held:
            held.state.update(change(number))
        return None

    return {"load": load, "update": update, "turn": turn}


async def _measured(
    cases: dict[str, Turn], callers: list[int], *, seconds: float, rounds: int, warm: float, among: int
) -> dict[tuple[str, int], Median]:
    for turn in cases.values():
        if warm:
            await measure(turn, callers=_WARMING_CALLERS, seconds=warm / len(cases), sessions=among)
    found: dict[tuple[str, int], list[Figure]] = {}
    for _ in range(rounds):
        for number in callers:
            for name, turn in cases.items():
                figure = await measure(turn, callers=number, seconds=seconds, sessions=among)
                found.setdefault((name, number), []).append(figure)
    return {case: Median.of(stretches) for case, stretches in found.items()}


def _tell(output: Output, found: dict[tuple[str, int], Median], callers: list[int]) -> None:
    for (name, number), median in found.items():
        output.line(case=name, callers=number, **asdict(median))
    output.table(
        ["case", ">callers", ">a second", ">slowest", ">quickest", ">p50 ms", ">p99 ms", ">CPU us"],
        [[name, str(number), *map(str, asdict(median).values())] for (name, number), median in found.items()],
    )


async def _fill(store: SessionStore, sessions: int, name: Callable[[int], str]) -> None:
    async def make(index: int) -> None:
        made = (operations.set(field, value) for field, value in session(index).items())
        await store.session(name(index)).commit(*made, ttl=_LIFE)

    await each(range(sessions), make)


async def _emptied(store: SessionStore, sessions: int, name: Callable[[int], str]) -> None:
    async def end(index: int) -> None:
        await store.session(name(index)).delete()

    await each(range(sessions), end)
