"""Session ids: injective, exact to the byte, and refused where they could not be."""

from __future__ import annotations

import itertools
import pickle
import random
import unicodedata
from collections.abc import Callable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gridsession._identity import MAX_ID_BYTES, SessionId, Space, check_key_text, check_namespace, id_text
from gridsession.errors import InvalidOption, InvalidSessionId

PLATFORMS = ("line", "telegram", "a", "0", "x.y", "x-y", "x_y", "a" * 64)
# Keys that systems which fold, trim, split or normalise take for one another.
LOOKALIKES = (
    *("U1", "u1", "U1 ", " U1", "U1\t", "U1\n", "\u00a0U1", "U1\u200b", "\ufeffU1", "U\u200d1", "U1\u00ad", "\u202eU1"),
    *(
        "é",
        "e\u0301",
        "ﬁ",
        "fi",
        "Å",
        "A\u030a",
        "\u212b",
        "ß",
        "ss",
        "ẞ",
        "ı",
        "i",
        "I",
        "İ",
        "i\u0307",
        "\u041a",
        "K",
        "\u212a",
    ),
    *(
        ":",
        "::",
        "a:b",
        "a:b:c",
        ":a",
        "a:",
        "a::b",
        "line:U1",
        "%3A",
        "a%3Ab",
        "a/b",
        "a\\b",
        "a|b",
        "a#b",
        "a;b",
        "a b",
    ),
    *(
        "1",
        "01",
        "1.0",
        "+1",
        "-1",
        "１",
        "1e0",
        "0x1",
        "None",
        "null",
        "''",
        '""',
        "{}",
        "*",
        "?",
        "[a]",
        "..",
        ".",
        "~",
    ),
    *(
        "😀",
        "😀\ufe0f",
        "👩‍👩‍👧",
        "👩👩👧",
        "ก",
        "กํา",
        "กำ",
        "가",
        "\u1100\u1161",
        "\U0010ffff",
        "\x01",
        "\x7f",
        "\x85",
        "\u2028",
    ),
)
_characters = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
_biased = st.lists(
    st.sampled_from((*LOOKALIKES, ":", "e", "\u0301", " ", "\u200b", "U", "u")), min_size=1, max_size=4
).map("".join)
_keys = st.one_of(st.sampled_from(LOOKALIKES), _biased, st.text(_characters, min_size=1, max_size=30))
_platforms = st.one_of(st.sampled_from(PLATFORMS), st.from_regex(r"[a-z0-9][a-z0-9_.-]{0,9}", fullmatch=True))
_folds = (
    str.lower,
    str.upper,
    str.casefold,
    str.strip,
    str.swapcase,
    *(lambda text, form=form: unicodedata.normalize(form, text) for form in ("NFC", "NFD", "NFKC", "NFKD")),
)


@given(_platforms, _keys)
def test_text_and_parts_are_inverses(platform: str, key: str) -> None:
    made = SessionId.parse(SessionId(platform, key))
    assert (made.platform, made.key) == (platform, key)
    again = SessionId.parse(made.text)
    assert again == made
    assert again.text == str(again) == f"{platform}:{key}"
    assert type(again) is SessionId


@given(
    st.text(st.sampled_from("aZ0_.-:é \0\x01\x7f\x80\n\ud800"), max_size=8)
    | st.builds("{}:{}".format, _platforms, _keys)
    | st.builds("a:{}{}".format, st.sampled_from("xé"), st.integers(2040, 2050).map(lambda length: "x" * length))
    | st.builds("{}:x".format, st.integers(62, 67).map(lambda length: "a" * length))
)
def test_the_quick_look_at_an_id_says_what_the_long_one_says(text: str) -> None:
    def said(look: Callable[[str], str]) -> str:
        try:
            return look(text)
        except InvalidSessionId as error:
            return str(error)

    assert said(id_text) == said(lambda text: SessionId.parse(text).text)


@given(_platforms, _keys, _platforms, _keys)
@example("line", "a:b", "line", "a")
@example("a", "b:c", "a", "b")
@example("line", "é", "line", "e\u0301")
def test_two_ids_have_one_text_only_if_they_are_one(platform: str, key: str, platform2: str, key2: str) -> None:
    one, other = SessionId.parse(SessionId(platform, key)), SessionId.parse(SessionId(platform2, key2))
    same = (platform, key) == (platform2, key2)
    assert (one.text == other.text) is same
    assert (check_key_text(one.text) == check_key_text(other.text)) is same
    assert (one == other) is same


def test_no_two_lookalikes_are_one_session() -> None:
    texts = {SessionId.parse(SessionId(platform, key)).text for platform in PLATFORMS for key in LOOKALIKES}
    assert len(texts) == len(PLATFORMS) * len(LOOKALIKES)
    assert len({text.encode() for text in texts}) == len(texts)


@given(_keys)
def test_nothing_is_folded_trimmed_or_normalised(key: str) -> None:
    text = SessionId.parse(f"line:{key}").text
    assert text == f"line:{key}"
    for fold in _folds:
        folded = fold(key)
        if folded and folded != key and "\0" not in folded:
            assert SessionId.parse(f"line:{folded}").text != text


def test_ten_thousand_joined_pairs_stay_apart() -> None:
    parts = ("a", "b", ":", "", "a:", ":b", "a:b", "::", "ab", " ")
    keys = {"".join(made) for made in itertools.product(parts, repeat=4)} - {""}
    assert len(
        {SessionId.parse(SessionId(platform, key)).text for platform in ("a", "b", "ab") for key in keys}
    ) == 3 * len(keys)


@pytest.mark.parametrize(
    "text",
    [
        "",
        ":",
        "U123",
        "line:",
        ":key",
        "Line:U1",
        "LINE:U1",
        "líne:U1",
        "-line:U1",
        ".line:U1",
        "li ne:U1",
        " line:U1",
        "line :U1",
        "ﬁ:U1",
        "a" * 65 + ":U1",
        "line:\0",
        "line:a\0b",
        "li\0ne:U1",
        "line:\ud800",
        "line:a\udfffb",
        "line\n:U1",
        "\nline:U1",
        "１:U1",
    ],
    ids=ascii,
)
def test_text_that_names_no_session(text: str) -> None:
    with pytest.raises(InvalidSessionId) as refusal:
        SessionId.parse(text)
    assert isinstance(refusal.value, ValueError)
    str(refusal.value).encode()


@pytest.mark.parametrize("thing", [None, 5, b"line:U1", ["line", "U1"], ("line", "U1"), object()], ids=repr)
def test_what_is_no_text_names_no_session(thing: object) -> None:
    with pytest.raises(InvalidSessionId):
        SessionId.parse(thing)  # type: ignore[arg-type]  # that is the test


@pytest.mark.parametrize(
    "parts", [("Line", "U1"), ("line", ""), ("", "U1"), ("a:b", "c"), ("line", 5), (5, "U1"), ("line", None)], ids=repr
)
def test_parts_are_checked_as_text_is(parts: tuple[str, str]) -> None:
    with pytest.raises(InvalidSessionId):
        SessionId.parse(SessionId(*parts))


@pytest.mark.parametrize("letter", ["x", "é", "ก", "😀"])
def test_the_longest_id_counts_bytes(letter: str) -> None:
    room = MAX_ID_BYTES - len("line:")
    size = len(letter.encode())
    longest = "line:" + letter * (room // size) + "x" * (room % size)
    assert len(check_key_text(SessionId.parse(longest).text)) == MAX_ID_BYTES
    with pytest.raises(InvalidSessionId, match="2049 bytes"):
        SessionId.parse(longest + "x")


def test_a_refusal_of_a_very_long_text_is_short() -> None:
    with pytest.raises(InvalidSessionId) as refusal:
        SessionId.parse("x" * 1_000_000)
    assert len(str(refusal.value)) < 500


def test_ids_are_hashable_ordered_and_cross_processes() -> None:
    one = SessionId.parse("line:U1")
    assert {one: 1}[SessionId("line", "U1")] == 1
    assert pickle.loads(pickle.dumps(one)) == one
    assert sorted([SessionId("line", "b"), SessionId("line", "a")]) == [("line", "a"), ("line", "b")]


@pytest.mark.parametrize("namespace", ["a", "A", "0", "shop-1", "shop_2", "a" * 64])
def test_names_of_maps(namespace: str) -> None:
    assert check_namespace(namespace) == namespace
    assert Space(namespace) == (namespace, "sessions")


@pytest.mark.parametrize(
    "namespace", ["", "-a", "_a", "a b", "a.b", "a:b", "a/b", "a*", "é", "a" * 65, "a\n", "１"], ids=ascii
)
def test_what_names_no_map(namespace: str) -> None:
    with pytest.raises(InvalidOption):
        check_namespace(namespace)


def test_no_two_of_a_million_pairs_share_a_text() -> None:
    """Parts drawn from what systems split at, fold, trim and normalise; the seed makes every run the same."""
    draw = random.Random(20_261_121)
    pieces = [*LOOKALIKES, ":", ":", "/", "\u200b", "\ufeff", " ", "e\u0301", "\u00e9", "a", "A", "U1", "1"]
    named: dict[bytes, SessionId] = {}
    for _ in range(1_000_000):
        made = SessionId(draw.choice(PLATFORMS), "".join(draw.choices(pieces, k=draw.randint(1, 3))))
        assert named.setdefault(made.text.encode(), made) == made
    assert len(named) > 100_000
    for text, made in draw.sample(sorted(named.items()), 20_000):
        assert SessionId.parse(text.decode()) == made
