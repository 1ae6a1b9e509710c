"""Settings are frozen, checked once, and durations are seconds or timedelta everywhere."""

from __future__ import annotations

import dataclasses
import datetime as dt
from typing import Any

import pytest

from gridsession import Policy
from gridsession.errors import InvalidOption
from gridsession.policy import milliseconds


@pytest.mark.parametrize(
    ("duration", "expected"),
    [
        (1, 1000),
        (1.5, 1500),
        (0.001, 1),
        (0.1, 100),
        (0.07, 70),
        (1.1, 1100),
        (0.0001, 1),
        (1.0001, 1001),
        (dt.timedelta(milliseconds=1), 1),
        (dt.timedelta(microseconds=1), 1),
        (dt.timedelta(days=2, seconds=1), 172_801_000),
        (3_155_760_000, 3_155_760_000_000),
    ],
)
def test_durations_are_whole_milliseconds_rounded_up(duration: Any, expected: int) -> None:
    assert milliseconds(duration, "ttl") == expected


@pytest.mark.parametrize(
    "duration",
    [
        0,
        -1,
        -0.001,
        float("nan"),
        float("inf"),
        "60",
        None,
        True,
        [1],
        dt.timedelta(0),
        dt.timedelta(days=-1),
        3_155_760_001,
        10**400,
    ],
)
def test_what_is_no_duration_is_refused_by_name(duration: Any) -> None:
    with pytest.raises(InvalidOption, match=r"^life "):
        milliseconds(duration, "life")


def test_zero_only_where_it_means_something() -> None:
    assert milliseconds(0, "wait", zero=True) == 0
    assert milliseconds(dt.timedelta(0), "wait", zero=True) == 0
    with pytest.raises(InvalidOption):
        milliseconds(-1, "wait", zero=True)


@pytest.mark.parametrize("name", ["ttl", "max_lifetime", "deadline", "lease"])
@pytest.mark.parametrize("value", [0, -1, "60", float("nan"), False])
def test_a_policy_is_checked_when_it_is_made(name: str, value: Any) -> None:
    with pytest.raises(InvalidOption, match=name):
        Policy(**{name: value})


@pytest.mark.parametrize(
    "settings",
    [
        {"wait": -1},
        {"touch_below": 0},
        {"touch_below": 1.01},
        {"keep_messages": 0},
        {"keep_messages": 10_001},
        {"deadline": 241},
        {"lease": 86_401},
        {"deadline": None},
        {"lease": None},
        {"wait": None},
    ],
)
def test_a_policy_that_makes_no_sense_is_refused(settings: dict[str, Any]) -> None:
    with pytest.raises(InvalidOption):
        Policy(**settings)


def test_a_policy_is_a_frozen_value() -> None:
    policy: Any = Policy(ttl=60, max_lifetime=dt.timedelta(days=1), wait=0)
    assert policy == Policy(ttl=60, max_lifetime=dt.timedelta(days=1), wait=0)
    assert "ttl=60" in repr(policy)
    with pytest.raises(dataclasses.FrozenInstanceError):
        policy.ttl = 61
    with pytest.raises(TypeError):
        Policy(60)  # type: ignore[misc]  # names only


def test_by_default_sessions_never_expire_and_reads_do_not_touch() -> None:
    policy = Policy()
    assert (policy.ttl, policy.max_lifetime, policy.touch_on_read) == (None, None, False)
