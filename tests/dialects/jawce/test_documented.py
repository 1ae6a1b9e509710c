"""What JAWCE and pywce document of a session manager, on each of the four defaults and on plain memory."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from enum import StrEnum

import pytest

from gridsession.dialects.jawce import DEFAULT_PROP_KEY, ISessionManager, SessionManager
from gridsession.errors import InvalidInput, InvalidSessionId, InvalidValue
from tests.dialects.jawce.conftest import Place
from tests.dialects.jawce.waiting import eventually


class Keys(StrEnum):
    """Keys as an application may have them."""

    STAGE = "pywce_current_stage"
    PROPS = "pywce_prop_key"


def test_the_prop_key_is_pywces(manager: SessionManager, user: str) -> None:
    assert manager.session(user).prop_key == manager.DEFAULT_PROP_KEY == DEFAULT_PROP_KEY == "pywce_prop_key"


def test_a_session_is_a_manager_and_the_same_one_however_often_it_is_asked_for(
    manager: SessionManager, user: str
) -> None:
    view = manager.session(user)
    assert isinstance(view, ISessionManager)
    assert isinstance(view, type(manager))
    assert view is manager.session(user) is manager.session(session_id=user) is view.session(user)
    assert view.bound_to == user
    assert manager.bound_to is None
    assert view.session(user + "1") is manager.session(user + "1") is not view


def test_saved_is_read(manager: SessionManager, user: str) -> None:
    manager.session(user).save(session_id=user, key="name", data="Tino")
    assert manager.session(user).get(session_id=user, key="name") == "Tino"


def test_saving_needs_no_session_before_it(manager: SessionManager, user: str) -> None:
    manager.save(user, "name", "Tino")
    assert manager.get(user, "name") == "Tino"


def test_several_values_are_saved_and_fetched_with_the_props_under_their_key(
    manager: SessionManager, user: str
) -> None:
    manager.save_all(user, {"stage": "MENU", "cart": [1, {"tea": 2}]})
    assert manager.fetch_all(user) == {"stage": "MENU", "cart": [1, {"tea": 2}], DEFAULT_PROP_KEY: {}}
    manager.save_prop(user, "vip", data=True)
    assert manager.fetch_all(user, is_global=False)[DEFAULT_PROP_KEY] == {"vip": True}
    manager.save_all(user, {})
    assert manager.fetch_all(user)["stage"] == "MENU"


def test_users_are_distinct(manager: SessionManager, user: str) -> None:
    first, second = manager.session(user), manager.session(user + "0")
    first.save(user, "key", "4")
    second.save(user + "0", "key", "5")
    assert (manager.get(user, "key", str), manager.get(user + "0", "key", str)) == ("4", "5")


def test_what_all_users_share_is_read_by_all(manager: SessionManager, user: str) -> None:
    manager.session(user).save_global("rate", 36.5)
    assert manager.get_global("rate") == manager.session(user + "1").get_global("rate") == 36.5
    assert manager.get_global("rate", str) == "36.5"
    assert manager.get_global("rate", lambda rate: rate * 2) == 73
    assert manager.fetch_all(user, True)["rate"] == 36.5
    assert manager.get(user, "rate") is None
    manager.evict_global("rate")
    manager.evict_global("rate")
    assert manager.get_global("rate") is None


def test_all_that_is_shared_can_be_removed_and_users_keep_their_own(manager: SessionManager, user: str) -> None:
    manager.save(user, "key", "own")
    manager.save_global("one", 1)
    manager.save_global("two", 2)
    manager.clear_global()
    assert manager.fetch_all(user, is_global=True) == {}
    assert manager.get(user, "key") == "own"


def test_props_are_a_bag_of_their_own(manager: SessionManager, user: str) -> None:
    manager.save_prop(user, "name", "Tino")
    assert manager.get_user_props(user) == {"name": "Tino"}
    assert manager.get_from_props(user, "name") == "Tino"
    assert manager.get(user, "name") is None
    assert manager.get(user, DEFAULT_PROP_KEY) == {"name": "Tino"}
    assert manager.get_from_props(user, "age") is None


def test_a_prop_is_removed_once(manager: SessionManager, user: str) -> None:
    manager.save_prop(user, "name", "Tino")
    assert manager.evict_prop(user, "name") is True
    assert manager.evict_prop(user, "name") is False
    assert manager.get_from_props(user, "name") is None
    assert manager.get_user_props(user) == {}


def test_under_the_prop_key_a_dict_replaces_the_props_and_all_else_is_refused(
    manager: SessionManager, user: str
) -> None:
    manager.save_prop(user, "old", 1)
    manager.save(user, Keys.PROPS, {"new": 2})
    assert manager.get_user_props(user) == {"new": 2}
    manager.save_all(user, {"stage": "MENU", DEFAULT_PROP_KEY: {"newer": 3}})
    assert manager.fetch_all(user) == {"stage": "MENU", DEFAULT_PROP_KEY: {"newer": 3}}
    for wrong in ("secret", None, [("a", 1)]):
        with pytest.raises(InvalidValue, match=r"\$\.pywce_prop_key holds the props: save a dict there") as caught:
            manager.save(user, DEFAULT_PROP_KEY, wrong)
        assert "secret" not in str(caught.value)
    manager.evict(user, DEFAULT_PROP_KEY)
    assert manager.fetch_all(user) == {"stage": "MENU", DEFAULT_PROP_KEY: {}}


def test_evicted_is_gone_and_nothing_else(manager: SessionManager, user: str) -> None:
    manager.save_all(user, {"a": 1, "b": 2, "c": 3})
    manager.evict(user, "a")
    assert manager.get(user, "a") is None
    assert manager.key_in_session(user, "a") is False
    manager.evict_all(user, ["b", "never there"])
    assert manager.fetch_all(user) == {"c": 3, DEFAULT_PROP_KEY: {}}
    manager.save_prop(user, "vip", data=True)
    manager.evict_all(user, ["c", DEFAULT_PROP_KEY])
    assert manager.fetch_all(user) == {DEFAULT_PROP_KEY: {}}


def test_clear_empties_everything_and_the_session_goes_on(manager: SessionManager, user: str) -> None:
    manager.save_all(user, {"a": 1, "b": 2})
    manager.save_prop(user, "name", "Tino")
    manager.clear(user)
    assert manager.fetch_all(user) == {}
    assert manager.get(user, "a") is manager.get_from_props(user, "name") is None
    assert manager.get_user_props(user) == {}
    assert manager.evict_prop(user, "name") is False
    manager.save_prop(user, "name", "Tino again")
    assert manager.get_from_props(user, "name") == "Tino again"
    manager.save(user, "a", 3)
    assert manager.fetch_all(user) == {"a": 3, DEFAULT_PROP_KEY: {"name": "Tino again"}}


def test_clear_keeps_what_is_retained_and_the_props(manager: SessionManager, user: str) -> None:
    manager.save_all(user, {f"k{number}": f"v{number}" for number in range(6)})
    manager.save_prop(user, "name", "Tino")
    manager.clear(user, retain_keys=["k4", "k5", "never there"])
    assert manager.fetch_all(user) == {"k4": "v4", "k5": "v5", DEFAULT_PROP_KEY: {"name": "Tino"}}


@pytest.mark.parametrize("nothing", [[], (), None])
def test_an_empty_retain_list_wipes_everything(
    manager: SessionManager, user: str, nothing: list[str] | tuple[str, ...] | None
) -> None:
    manager.save(user, "a", 1)
    manager.save_prop(user, "name", "Tino")
    manager.clear(user, nothing)
    assert manager.fetch_all(user) == {}


def test_one_text_is_no_list_of_keys(manager: SessionManager, user: str) -> None:
    manager.save(user, "stage", "MENU")
    with pytest.raises(InvalidInput, match=r"clear takes several keys: write \['stage'\]"):
        manager.clear(user, "stage")
    with pytest.raises(InvalidInput, match="evict_all takes several keys"):
        manager.evict_all(user, "stage")
    with pytest.raises(InvalidInput, match="clear takes several keys"):
        manager.clear(user, "")
    assert manager.get(user, "stage") == "MENU"


def test_an_unknown_session_is_empty_everywhere(manager: SessionManager, user: str) -> None:
    assert manager.get(user, "key") is manager.get(user, "key", int) is manager.get_from_props(user, "key") is None
    assert manager.fetch_all(user) == manager.get_user_props(user) == {}
    assert manager.key_in_session(user, "key") is manager.key_in_session(user, "key", False) is False
    assert manager.evict_prop(user, "key") is False
    manager.evict(user, "key")
    manager.evict_all(user, [])
    assert manager.fetch_all(user) == {}
    manager.clear(user)
    assert manager.fetch_all(user) == {}


def test_a_key_is_looked_for_in_the_session_and_among_the_globals(manager: SessionManager, user: str) -> None:
    manager.save(user, "own", 1)
    manager.save_global("shared", 1)
    assert manager.key_in_session(user, "own", True)
    assert manager.key_in_session(user, "shared", True)
    assert manager.key_in_session(user, "shared")
    assert manager.key_in_session(user, "own", False)
    assert not manager.key_in_session(user, "shared", check_global=False)
    assert manager.key_in_session(user, DEFAULT_PROP_KEY)


def test_a_stored_none_is_a_value(manager: SessionManager, user: str) -> None:
    manager.save(user, "answer", None)
    manager.save_prop(user, "answer", None)
    manager.save_global("no answer", None)
    assert manager.get(user, "answer", int) is manager.get_from_props(user, "answer", int) is None
    assert manager.key_in_session(user, "answer", check_global=False)
    assert manager.key_in_session(user + "1", "no answer")
    assert manager.fetch_all(user) == {"answer": None, DEFAULT_PROP_KEY: {"answer": None}}
    assert manager.evict_prop(user, "answer") is True


@pytest.mark.parametrize("falsy", [0, "", False, [], {}])
def test_falsy_values_are_values(manager: SessionManager, user: str, falsy: object) -> None:
    manager.save(user, "value", falsy)
    assert manager.get(user, "value") == falsy
    assert manager.key_in_session(user, "value", False)


def test_what_is_handed_out_is_a_copy(manager: SessionManager, user: str) -> None:
    given = {"tea": 1}
    manager.save(user, "cart", given)
    manager.save_prop(user, "address", {"street": "First"})
    manager.save_global("opening", {"mon": 8})
    given["tea"] = 99
    manager.get(user, "cart")["tea"] = 99
    manager.fetch_all(user).clear()
    manager.fetch_all(user)["cart"].clear()
    manager.get_user_props(user)["address"]["street"] = "Second"
    manager.get_global("opening").clear()
    manager.fetch_all(user, True).clear()
    assert manager.get(user, "cart") == {"tea": 1}
    assert manager.get_user_props(user) == {"address": {"street": "First"}}
    assert manager.get_global("opening") == {"mon": 8}


def test_keys_may_come_from_an_enum(manager: SessionManager, user: str) -> None:
    manager.save(user, Keys.STAGE, "MENU")
    assert manager.get(user, "pywce_current_stage") == manager.get(user, Keys.STAGE) == "MENU"
    manager.clear(user, [Keys.STAGE])
    assert manager.key_in_session(user, Keys.STAGE, False)


@pytest.mark.parametrize("odd", ["a:b:c", "whatsapp-cloud:1", "x/../y", "Ünï cödé", "120363040@g.us"])
def test_ids_are_whole_keys(manager: SessionManager, user: str, odd: str) -> None:
    manager.save(user + odd, "id", odd)
    assert manager.get(user + odd, "id") == odd
    assert manager.fetch_all((user + odd).partition(":")[0]) == ({} if ":" in odd else manager.fetch_all(user + odd))


@pytest.mark.parametrize("wrong", ["", None, 263770000000, "nul\0"])
def test_what_names_no_session_is_refused_and_is_never_the_globals(manager: SessionManager, wrong: object) -> None:
    with pytest.raises(InvalidSessionId):
        manager.save(wrong, "key", 1)  # type: ignore[call-overload]  # what is tested
    with pytest.raises(InvalidSessionId) as caught:
        manager.session(wrong)  # type: ignore[arg-type]  # same
    assert "263770000000" not in str(caught.value)
    if not isinstance(wrong, str):
        assert f"WhatsApp number as text, not {type(wrong).__name__}" in str(caught.value)
    assert manager.get_global("key") is None


def test_what_cannot_be_stored_is_refused_with_its_place_and_without_its_value(
    manager: SessionManager, user: str
) -> None:
    with pytest.raises(InvalidValue, match=r"\$\.cart\[1\]\.made_by is a function"):
        manager.save_all(user, {"name": "Tino", "cart": [1, {"made_by": eventually}]})
    with pytest.raises(InvalidValue, match="name is text, not int"):
        manager.save(user, 5, "data")  # type: ignore[call-overload]  # what is tested
    assert manager.fetch_all(user) == {}


def test_a_message_is_new_once_and_still_known_after_a_clear(manager: SessionManager, user: str) -> None:
    assert manager.remember(user, "wamid.1") is True
    assert manager.remember(user, "wamid.1", keep=100) is False
    manager.clear(user)
    assert manager.remember(user, "wamid.1") is False
    assert manager.remember(user, "wamid.2", keep=1) is True
    assert manager.remember(user, "wamid.1", keep=1) is True
    assert manager.fetch_all(user) == {}


def test_a_gate_opens_once_per_interval(manager: SessionManager, user: str) -> None:
    assert manager.allow(user, "debounce", every=600) is True
    assert manager.allow(user, "debounce", every=600) is False
    assert manager.allow(user, "other", every=600) is True
    assert manager.allow(user + "1", "debounce", every=600) is True


def test_savers_of_different_keys_never_undo_each_other(manager: SessionManager, user: str) -> None:
    """Each in a thread of its own, all beginning together."""
    together = threading.Barrier(8)

    def save(number: int) -> None:
        together.wait()
        for count in range(5):
            manager.save(user, f"key{number}-{count}", count)
            manager.session(user).save_prop(f"prop{number}", count)

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(save, range(8)))
    found = manager.fetch_all(user)
    assert found.pop(DEFAULT_PROP_KEY) == {f"prop{number}": 4 for number in range(8)}
    assert found == {f"key{number}-{count}": count for number in range(8) for count in range(5)}


def test_two_managers_of_one_place_share_it(place: Place, manager: SessionManager, user: str) -> None:
    """In memory each is alone, so there one is made and handed around."""
    with place.make() as other:
        manager.save(user, "key", 1)
        assert (other.get(user, "key") == 1) is place.shared
        other.save_prop(user, "name", "Tino")
        assert manager.get_user_props(user) == ({"name": "Tino"} if place.shared else {})
        manager.save_global(f"shared {user}", "value")
        if place.shared:
            eventually(lambda: other.get_global(f"shared {user}") == "value", "the other reads the global")
