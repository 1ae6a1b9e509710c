"""Values planted through every verb, driver and kind of error: in no log at DEBUG, no repr, no error, no traceback."""

from __future__ import annotations

import contextlib
import logging
import traceback
from collections.abc import Callable
from typing import Any

import pytest

from gridsession import Policy, operations
from gridsession._logs import logger
from gridsession.errors import GridSessionError, InvalidValue
from gridsession.testing.local_grid import LocalGrid
from tests.canaries import WATCH, Watch
from tests.hostile.conftest import Place

CANARY = "canary-7d1f0c55"
ID = "test:sensitive-4711"


def _text(error: BaseException) -> str:
    return "".join(traceback.format_exception(error)) + repr(error) + repr(vars(error))


async def test_no_verb_error_or_repr_tells_what_is_stored(place: Place, caplog: pytest.LogCaptureFixture) -> None:
    said: list[str] = []
    with caplog.at_level(logging.DEBUG):
        async with place.open(lambda event: said.append(repr(event))) as store:
            session = store.session(ID)
            await _every_verb(session, said)
            async with store.turn(ID) as turn:
                said.append(repr(turn))
            await _every_fault(store, said)
            said += map(repr, (store, session, session.props, await session.load(), store.globals))
    told = "\n".join((*said, caplog.text, *(str(vars(record)) for record in caplog.records)))
    assert CANARY not in told, told[max(told.find(CANARY) - 300, 0) :][:500]
    assert ID.partition(":")[2] not in caplog.text


async def _every_verb(session: Any, said: list[str]) -> None:
    await session.update(text=CANARY, listed=[CANARY], nested={"a": {"b": CANARY}}, secret=CANARY.encode())
    await session.set("text", CANARY)
    await session.props.set("locale", CANARY)
    await session.append("listed", CANARY, keep=3)
    await session.setdefault("later", CANARY)
    await session.compare_and_set("later", CANARY, CANARY + "!")
    await session.remember(CANARY)
    await session.pop("listed")
    said.append(repr(session.props))
    said += map(repr, (operations.set("text", CANARY), operations.append("listed", CANARY)))


async def _every_fault(store: Any, said: list[str]) -> None:
    session = store.session(ID)
    await store.globals.set("g", 1)
    faults: tuple[Callable[[], Any], ...] = (
        lambda: session.increment("text"),
        lambda: session.append("text", CANARY),
        lambda: session.get("text", type=int),
        lambda: session.set("text", CANARY * 60_000),
        lambda: session.set("text", {"a": [CANARY, object()]}),
        lambda: session.set("text", CANARY + "\ud800"),
        lambda: session.update(**{f"{index}": CANARY for index in range(300)}),
        lambda: session.set("text", [[CANARY]] * 70_000),
    )
    met = 0
    for fault in faults:
        try:
            await fault()
        except GridSessionError as error:
            met += 1
            said.append(_text(error))
    assert met >= 7


def test_the_watch_sees_a_value_in_a_log_an_error_and_a_traceback_and_an_id_in_a_log() -> None:
    watch = Watch()
    for say, expected in (
        (lambda: watch.logged(f"saved {CANARY}"), "a stored value is in a log"),
        (lambda: watch.failed(f"{CANARY} is no number"), "a stored value is in an error"),
        (lambda: watch.logged(f"turn of {ID}"), "an id is in a log"),
    ):
        watch.stored({"a": [CANARY]})
        watch.asked(ID)
        say()
        (found,) = watch.findings()
        assert found.startswith(expected)
        assert watch.findings() == []


async def test_the_watch_is_on_in_every_test(make_place: Callable[[str], Place]) -> None:
    """Said at DEBUG by a logger that nobody listens to, and in an error that nobody prints."""
    async with make_place("memory").open() as store:
        await store.session(ID).set("text", CANARY)
        logger("hostile").debug("saved", value=CANARY, session=ID)
        with contextlib.suppress(ValueError):
            try:
                raise ValueError(CANARY)
            except ValueError:
                logger("hostile").exception("failed")
                raise
        InvalidValue(f"{CANARY} is no number")
        found = WATCH.findings()
    assert {line.partition(": ")[0] for line in found} == {
        "a stored value is in a log",
        "a stored value is in an error",
        "an id is in a log",
    }


@pytest.mark.grid
async def test_members_logs_tell_no_value_also_of_what_fails_there(
    make_place: Callable[[str], Place], grid: LocalGrid
) -> None:
    """Strangers' values and records that cannot be read, met by commands and scans; the watch reads members' logs."""
    from gridsession._identity import Space
    from gridsession.drivers.hazelcast import _wire
    from tests.grid.driving import stranger

    place = make_place("grid")
    async with place.open() as store, stranger(grid) as other:
        await store.session(ID).set("text", CANARY)
        theirs = await other.get_map(_wire.records_map(Space(place.namespace)))
        await theirs.set("test:foreign-value-1", CANARY)
        await theirs.set("test:foreign-value-2", CANARY.encode() * 3)
        await theirs.set("test:foreign-value-3", {"a": CANARY}.__str__())
        for number in (1, 2, 3):
            with pytest.raises(GridSessionError) as refused:
                await store.session(f"test:foreign-value-{number}").set("text", CANARY)
            assert CANARY not in _text(refused.value)
        assert [key async for key in store.ids()] == [ID]
        WATCH.stored(CANARY)


def test_policies_tell_their_own_numbers_only() -> None:
    assert CANARY not in repr(Policy())
