"""The checker, tested: correct places pass, and each place that lost one property is caught by its invariant."""

from __future__ import annotations

import asyncio
import contextlib
from pathlib import Path

import pytest

from tests.faults import bad_places, pairs
from tests.faults._client import announce, keys_of, look, open_store, work
from tests.faults.checker import INVARIANTS, Report, check
from tests.faults.history import History
from tests.faults.places import Rough
from tests.faults.workloads import WORKLOADS, Run

_DEADLINE = 40.0
_BAD: list[type[Rough]] = [
    bad_places.Drops,
    bad_places.Doubles,
    bad_places.Reorders,
    bad_places.StaleReads,
    bad_places.ExtendsTtl,
    bad_places.ReusesRevisions,
    bad_places.LeasesWithoutFencing,
    bad_places.LeasesToAll,
    bad_places.ForgetsTombstones,
    bad_places.ForgetsOpIds,
    bad_places.CrossesTalk,
    bad_places.LosesElements,
    bad_places.ForgetsToTell,
    bad_places.TellsTwice,
    pairs.AcknowledgesWithoutBackup,
    pairs.DedupesWithoutShipping,
    pairs.MergesAndResurrects,
    pairs.IsolatedAnswers,
]


async def _run(kind: type[Rough], path: Path, names: tuple[str, ...], answers: int, *, cancel: float = 0.03) -> Report:
    """Run the workloads until so many calls were answered, look twice, and judge."""
    history = History(path)
    driver = kind(7, history)
    await driver.open()
    async with contextlib.AsyncExitStack() as stores:
        store = await stores.enter_async_context(open_store(driver=driver, deadline=3.0))
        # In memory, what was left is told of again after 5 s: long for a test, but for one of them.
        leave, quiet = (0.02, 7.0) if kind is Rough else (0.0, 2.0)
        # Of few leases some must be outlived, else nothing shows.
        away = 0.03 if len(names) > 1 else 0.25
        run = Run(store, history, 1, 7, period=1.0, cancel=cancel, leave=leave, quiet=quiet, away=away)
        announce(run, stores, None, driver)
        working = asyncio.ensure_future(work(run, [WORKLOADS[name] for name in names], None, _DEADLINE))
        while run.counts["ok"] < answers and not working.done():
            await asyncio.sleep(0.01)
        run.stopping.set()
        await working
        assert run.counts["ok"] >= answers
        for number in (1, 2):
            await look(run, keys_of([path]), number)
        history.note("stopped", run.counts)
    await driver.aclose()
    history.close()
    return check([path])


@pytest.mark.parametrize("kind", [Rough, pairs.Pair, pairs.IsolatedKeepsQuiet])
def test_a_correct_place_passes_with_all_workloads(kind: type[Rough], tmp_path: Path) -> None:
    report = asyncio.run(_run(kind, tmp_path / "history.jsonl", tuple(WORKLOADS), 2_500))

    assert [str(violation) for violation in report.violations] == []
    assert all(report.counts[f"{name} ok"] for name in WORKLOADS)


@pytest.mark.parametrize("kind", _BAD)
def test_a_bad_place_is_caught_by_the_invariant_it_breaks(kind: type[Rough], tmp_path: Path) -> None:
    report = asyncio.run(_run(kind, tmp_path / "history.jsonl", kind.shown_by, kind.answers, cancel=0.0))

    found = report.by_invariant
    assert all(found[name] for name in kind.caught_by), found
    assert found.keys() == INVARIANTS.keys()
