"""What tells copies apart: agreement, a silent difference, and one that Hazelcast will mend by itself."""

from __future__ import annotations

import pytest

from tests.faults.copies import compare, read

OWNER = "question 1\ngridsession.sessions.bot 7 0 90 4,4,0,0,0,0 has user:1=aa=900 user:2=bb=900\n"
BACKUP = "question 1\ngridsession.sessions.bot 7 1 90 4,4,0,0,0,0 has user:1=aa=900 user:2=bb=900\n"


def test_equal_copies_are_compared_and_nothing_is_said() -> None:
    assert compare([*read("m0", OWNER), *read("m1", BACKUP)]) == (1, [])


def test_a_copy_that_differs_at_the_same_version_is_told_with_its_keys() -> None:
    other = BACKUP.replace("has user:1=aa=900 user:2=bb=900", "has user:2=cc=900 user:3=dd=61")
    compared, (difference,) = compare([*read("m0", OWNER), *read("m1", other)])
    assert compared == 1
    for part in (
        "partition 7",
        "m1",
        "m0",
        "version 4",
        "missing 1 (user:1)",
        "too many 1 (user:3)",
        "other 1 (user:2)",
    ):
        assert part in difference


@pytest.mark.parametrize(
    ("mine", "instead"),
    [(" 4,4,0", " 3,4,0"), (" has ", " lacks "), (" 7 1 90 ", " 7 1 91 "), (" 7 1 ", " 8 1 "), (".bot ", ".shop ")],
    ids=["behind", "known to lack something", "another place", "another partition", "another map"],
)
def test_what_will_be_mended_or_is_no_copy_of_the_same_is_not_compared(mine: str, instead: str) -> None:
    other = BACKUP.replace("=aa", "=ff").replace(mine, instead)
    assert other != BACKUP.replace("=aa", "=ff")
    assert compare([*read("m0", OWNER), *read("m1", other)]) == (0, [])


def test_what_only_one_of_them_swept_yet_is_no_difference() -> None:
    both, first, second = " user:1=aa=900 user:2=bb=60", " user:1=aa=900", " user:2=bb=60"
    for mine, other in ((both, first), (first, both), (second, ""), ("", second)):
        owner, backup = (
            each.replace(" user:1=aa=900 user:2=bb=900", held) for each, held in ((OWNER, mine), (BACKUP, other))
        )
        assert compare([*read("m0", owner), *read("m1", backup)]) == (1, [])


def test_without_one_owner_nothing_is_compared() -> None:
    differs = BACKUP.replace("=aa", "=ff")
    assert compare(read("m1", differs)) == (0, [])
    assert compare([*read("m0", OWNER), *read("m2", OWNER), *read("m1", differs)]) == (0, [])
