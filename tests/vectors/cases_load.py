"""Load: what is shown of a session, and the touch on the way."""

from dataclasses import replace

from table import CREATED, EMPTY, NOTHING, NOW, Table, both, gone, lease, life, live, ring, v, waiter

from gridsession._codec import encode
from gridsession._commands import Field, Load, NotRemembered, Touch, Want
from gridsession._record import LIST, META, PROPS, RECENT, STATE, join_elements
from gridsession._reply import Life, Status

TABLE = Table()
add = TABLE.add

letters = [encode(letter) for letter in "abcde"]
R = live(
    {"step": "address", "n": 5, "f": 2.5, "cart": list("abcde"), "none": None},
    {"locale": "th-TH"},
    {"seen": join_elements(RECENT, letters), "gate": b"\x05" + NOW.to_bytes(8, "big")},
)
LIFE = life(R, NOW + 50_000)

add("load of nothing is absent", None, Load(), status=Status.ABSENT)
add("load of a tombstone is absent and shows its epoch", gone(), Load(), status=Status.ABSENT)
add("load shows state and props and never meta", R, Load(), life=LIFE, bags=both(R))
add("load of a session without fields shows two empty bags", live(), Load(), life=LIFE, bags=(EMPTY, EMPTY, None))
add("load wanting nothing shows neither times nor fields", R, Load(Want.NOTHING))
add("load wanting the revision shows times and no fields", R, Load(Want.REVISION), life=LIFE)
add("load wanting what changed shows no fields, for nothing changed", R, Load(Want.CHANGED), life=LIFE)
add("load wanting the whole gives the bytes, meta among them", R, Load(Want.WHOLE), life=LIFE, results=(R.encode(),))
add(
    "the whole leaves out lease, queue and ring, and nothing else",
    replace(
        R, max_lifetime=90_000, last_token=41, lease=lease("a"), queue=(waiter("b"),), ring=(ring(1), ring(2, NOW - 1))
    ),
    Load(Want.WHOLE, confirm=True),
    life=Life(CREATED, 60_000, 90_000, NOW + 50_000),
    results=(replace(R, max_lifetime=90_000, last_token=41).encode(),),
)
add(
    "the whole shows a touch made on the way",
    R,
    Load(Want.WHOLE, touch=Touch(60_000, 70_000)),
    after=replace(R, touched=NOW, ttl=70_000),
    life=Life(CREATED, 70_000, None, NOW + 70_000),
    results=(replace(R, touched=NOW, ttl=70_000).encode(),),
)
add(
    "the whole of a session that has expired is nothing",
    R,
    Load(Want.WHOLE),
    now=NOW + 50_000,
    status=Status.ABSENT,
    revision=0,
    present=False,
)
add("the whole of a tombstone is nothing", gone(), Load(Want.WHOLE), status=Status.ABSENT)
add("confirm changes nothing in the rules", R, Load(confirm=True), life=LIFE, bags=both(R))
add("load before its deadline", R, Load(not_after=NOW + 1), life=LIFE, bags=both(R))
add("load at its deadline is too late", R, Load(not_after=NOW), status=Status.TOO_LATE)
add("load a day after its deadline is too late", R, Load(not_after=NOW - 86_400_000), status=Status.TOO_LATE)
add("load of nothing, too late", None, Load(not_after=NOW), status=Status.TOO_LATE)
add("load with a deadline at the horizon", R, Load(not_after=NOW + 300_000), life=LIFE, bags=both(R))
add("load with a deadline beyond the horizon", R, Load(not_after=NOW + 300_001), status=Status.MALFORMED)
add(
    "a session without ttl never expires",
    replace(R, ttl=None),
    Load(Want.REVISION),
    life=Life(CREATED, None, None, None),
)
add(
    "max_lifetime ends the session before the ttl would",
    replace(R, max_lifetime=45_000),
    Load(Want.REVISION),
    life=Life(CREATED, 60_000, 45_000, NOW + 5_000),
)
add(
    "max_lifetime alone ends the session",
    replace(R, ttl=None, max_lifetime=45_000),
    Load(Want.REVISION),
    life=Life(CREATED, None, 45_000, NOW + 5_000),
)


# names
def names(*fields: Field, want: Want = Want.RECORD) -> Load:
    return Load(want, names=fields)


add(
    "one name shows that field and its bag alone",
    R,
    names(Field(STATE, "step")),
    life=LIFE,
    bags=({"step": v("address")}, None, None),
)
add("a name that is not there shows an empty bag", R, names(Field(PROPS, "no")), life=LIFE, bags=(None, EMPTY, None))
add("no names at all show no bag", R, names(), life=LIFE, bags=NOTHING)
add(
    "fields come in the order asked for",
    R,
    names(Field(STATE, "n"), Field(PROPS, "locale"), Field(STATE, "step")),
    life=LIFE,
    bags=({"n": v(5), "step": v("address")}, {"locale": v("th-TH")}, None),
)
add(
    "names are shown even when nothing else is wanted",
    R,
    names(Field(STATE, "n"), want=Want.NOTHING),
    bags=({"n": v(5)}, None, None),
)
add(
    "a name of meta is shown when asked for by name",
    R,
    names(Field(META, "gate")),
    life=LIFE,
    bags=(None, None, {"gate": R.bags[2]["gate"]}),
)
add("names of an absent session show nothing", None, names(Field(STATE, "n")), status=Status.ABSENT)
for tail, kept in (
    (-1, "abcde"),
    (0, ""),
    (1, "e"),
    (2, "de"),
    (4, "bcde"),
    (5, "abcde"),
    (6, "abcde"),
    (2**31 - 1, "abcde"),
):
    add(
        f"tail {tail} of a list of five",
        R,
        names(Field(STATE, "cart", tail)),
        life=LIFE,
        bags=({"cart": v(list(kept))}, None, None),
    )
add(
    "tail of a recent set",
    R,
    names(Field(META, "seen", 2)),
    life=LIFE,
    bags=(None, None, {"seen": join_elements(RECENT, letters[3:])}),
)
add(
    "tail of a text is the text",
    R,
    names(Field(STATE, "step", 0)),
    life=LIFE,
    bags=({"step": v("address")}, None, None),
)
add("tail of an int is the int", R, names(Field(STATE, "n", 0)), life=LIFE, bags=({"n": v(5)}, None, None))
add("tail of an empty list", live({"l": []}), names(Field(STATE, "l", 3)), life=LIFE, bags=({"l": v([])}, None, None))
add(
    "the same name twice: the last tail counts, the first place stays",
    R,
    names(Field(STATE, "cart", 1), Field(STATE, "n"), Field(STATE, "cart", 2)),
    life=LIFE,
    bags=({"cart": join_elements(LIST, letters[3:]), "n": v(5)}, None, None),
)


# seen
def seen(name: str, value: object, want: Want = Want.NOTHING) -> Load:
    return Load(want, seen=NotRemembered(name, encode(value)))


add("seen says that a value is remembered", R, seen("seen", "c"), seen=True)
add("seen says that a value is not remembered", R, seen("seen", "z"))
add("seen of a set that does not exist", R, seen("other", "c"))
add("seen of a gate is not seen", R, seen("gate", "c"))
add("seen of nothing", None, seen("seen", "c"), status=Status.ABSENT)
add("seen comes with the record", R, seen("seen", "a", Want.RECORD), seen=True, life=LIFE, bags=both(R))


# touch
def touch(if_less_than: int, ttl: int = -1, want: Want = Want.REVISION) -> Load:
    return Load(want, touch=Touch(if_less_than, ttl))


touched = replace(R, touched=NOW)
add("touch with more left than asked about does nothing", R, touch(50_000), life=LIFE)
add("touch with less left restarts the ttl", R, touch(50_001), after=touched, life=life(touched, NOW + 60_000))
add("touch below zero left never happens", R, touch(0), life=LIFE)
add("touch keeps the revision and needs no lease", R, touch(2**62, want=Want.NOTHING), after=touched)
longer = replace(R, touched=NOW, ttl=90_000)
add(
    "touch with a new ttl sets it though much is left",
    R,
    touch(0, 90_000),
    after=longer,
    life=life(longer, NOW + 90_000),
)
never = replace(R, touched=NOW, ttl=None)
add("touch with ttl 0 makes the session last", R, touch(0, 0), after=never, life=life(never, None))
add("touch with the same ttl and enough left does nothing", R, touch(1_000, 60_000), life=LIFE)
lasting = replace(R, ttl=None)
add("touch of a session that never expires does nothing", lasting, touch(2**62), life=life(lasting, None))
timed = replace(lasting, touched=NOW, ttl=1)
add("touch gives a lasting session a ttl", lasting, touch(0, 1), after=timed, life=life(timed, NOW + 1))
add("touch of nothing is absent", None, touch(2**62), status=Status.ABSENT)
add(
    "touch of an expired session does not raise it",
    R,
    touch(2**62),
    now=NOW + 50_000,
    status=Status.ABSENT,
    revision=0,
    present=False,
)
last = replace(R, touched=NOW + 49_999)
add("touch in the last millisecond", R, touch(2), now=NOW + 49_999, after=last, life=life(last, NOW + 109_999))
capped = replace(R, max_lifetime=100_000)
add(
    "touch cannot pass max_lifetime",
    capped,
    touch(2**62),
    after=replace(capped, touched=NOW),
    life=Life(CREATED, 60_000, 100_000, NOW + 60_000),
)
add(
    "touch with a long ttl ends at max_lifetime all the same",
    capped,
    touch(0, 3_155_760_000_000),
    after=replace(capped, touched=NOW, ttl=3_155_760_000_000),
    life=Life(CREATED, 3_155_760_000_000, 100_000, NOW + 60_000),
)
add(
    "touch shows the record when it is wanted",
    R,
    touch(2**62, want=Want.RECORD),
    after=touched,
    life=life(touched, NOW + 60_000),
    bags=both(R),
)

ending = replace(R, ttl=None, max_lifetime=45_000)
add(
    "touch of a session that only max_lifetime ends writes nothing",
    ending,
    touch(2**62),
    life=life(ending, NOW + 5_000),
)
near = replace(R, max_lifetime=45_000)
add(
    "touch of a session that max_lifetime ends before its ttl writes nothing",
    near,
    touch(2**62),
    life=life(near, NOW + 5_000),
)

# names in many scripts
odd = {"ชื่อ": "สมชาย", "é": 1, "e\u0301": 2, "😀": "👩\u200d👩\u200d👧", "a\0b": 3, " ": 4, "N" * 128: 5, "ı": 6, "I": 7}
S = live(odd)
add("names in any script come back byte for byte", S, Load(), life=life(S, NOW + 50_000), bags=both(S))
add(
    "composed and decomposed names are two fields",
    S,
    names(Field(STATE, "e\u0301")),
    life=life(S, NOW + 50_000),
    bags=({"e\u0301": v(2)}, None, None),
)
add(
    "a name of characters beyond the basic plane",
    S,
    names(Field(STATE, "😀")),
    life=life(S, NOW + 50_000),
    bags=({"😀": S.bags[0]["😀"]}, None, None),
)
