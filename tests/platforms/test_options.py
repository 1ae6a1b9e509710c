"""Options: what they do on every platform, which values are refused, and that no two parts ever make the same key."""

from itertools import product

import pytest

from gridsession import SessionId
from gridsession.errors import InvalidOption
from gridsession.platforms import session_ids

# A body of one event of one user on each platform.
BODIES = {
    "console": {"message": {"text": "hi"}},
    "facebook": {"object": "page", "entry": [{"id": "P1", "messaging": [{"sender": {"id": "A1"}}]}]},
    "line": {"destination": "B1", "events": [{"source": {"type": "user", "userId": "A1"}}]},
    "messenger": {"object": "page", "entry": [{"id": "P1", "messaging": [{"sender": {"id": "A1"}}]}]},
    "slack": {"type": "message", "team": "T1", "channel": "C1", "user": "A1"},
    "telegram": {"update_id": 1, "message": {"chat": {"id": 5}, "from": {"id": 5}}},
    "viber": {"event": "message", "sender": {"id": "A1"}},
    "whatsapp": {"SmsStatus": "received", "From": "whatsapp:+1", "To": "whatsapp:+2"},
    "whatsapp-cloud": {
        "object": "whatsapp_business_account",
        "entry": [
            {
                "changes": [
                    {
                        "value": {
                            "messaging_product": "whatsapp",
                            "metadata": {"phone_number_id": "N1"},
                            "contacts": [{"wa_id": "1"}],
                            "messages": [{"from": "1"}],
                        }
                    }
                ]
            }
        ],
    },
}
PLATFORMS = sorted(BODIES)


def only(platform, **options):
    (session_id,) = session_ids(platform, BODIES[platform], **options)
    return session_id


@pytest.mark.parametrize("mode", ["strict", "bottender"])
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_prefix_stands_before_the_key(platform, mode):
    plain, prefixed = only(platform, mode=mode), only(platform, mode=mode, session_key_prefix="1650000001:")
    head = "" if platform == "whatsapp-cloud" else f"{platform}:"
    assert prefixed == f"{head}1650000001:{plain.removeprefix(head)}"


@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_given_tenant_stands_between_prefix_and_key(platform):
    head = "" if platform == "whatsapp-cloud" else f"{platform}:"
    key = only(platform).removeprefix(head)
    assert only(platform, tenant="shop", session_key_prefix="p/") == f"{head}p/shop:{key}"
    assert only(platform, tenant="a:b%") == f"{head}a%3Ab%25:{key}"
    for none in (None, False, ""):
        assert only(platform, tenant=none) == head + key


@pytest.mark.parametrize("platform", ["console", "telegram", "viber"])
def test_a_tenant_that_no_body_names_must_be_given(platform):
    with pytest.raises(InvalidOption, match="tenant as text"):
        only(platform, tenant=True)


@pytest.mark.parametrize("platform", [name for name in PLATFORMS if name not in ("console", "telegram", "viber")])
def test_a_tenant_is_read_from_the_body(platform):
    assert only(platform, tenant=True) != only(platform)


@pytest.mark.parametrize("platform", PLATFORMS)
@pytest.mark.parametrize("scope", ["chat", "user", "user_in_chat", "thread"])
def test_every_scope_gives_an_id_on_every_platform(platform, scope):
    options = {"session_key_prefix": "whatsapp-cloud:"} if platform == "whatsapp-cloud" else {}
    assert SessionId.parse(only(platform, scope=scope, **options)).platform == platform


@pytest.mark.parametrize("platform", ["line", "slack"])
def test_no_two_pairs_of_user_and_chat_share_a_key(platform):
    parts = ["a", "b", "a:b", ":", "a:", ":b", "::", "%3A", "a%3Ab", "%", "%25", "a%"]
    bodies = {
        "line": lambda user, chat: {"events": [{"source": {"type": "group", "userId": user, "groupId": chat}}]},
        "slack": lambda user, chat: {"type": "message", "user": user, "channel": chat},
    }
    for tenants in ([False], parts):
        ids = {
            session_ids(platform, bodies[platform](user, chat), scope="user_in_chat", tenant=tenant)[0]
            for user, chat, tenant in product(parts, parts, tenants)
        }
        assert len(ids) == len(parts) ** 2 * len(tenants)
        assert None not in ids


@pytest.mark.parametrize(
    ("option", "value"),
    [
        *(("session_key_prefix", wrong) for wrong in (None, 1, ["a"], "a\0", "\ud800", "p" * 513)),
        *(("tenant", wrong) for wrong in (1.5, ["a"], "a\0", "p" * 513)),
        *(("scope", wrong) for wrong in (None, "", "Chat", "group", ["chat"], 7)),
        *(("rules", wrong) for wrong in ("", "1", "1.5.0", 1.5, ["1.5"])),
    ],
)
@pytest.mark.parametrize("platform", PLATFORMS)
def test_a_wrong_option_is_refused_by_name(platform, option, value):
    with pytest.raises(InvalidOption, match=option):
        only(platform, **{option: value})


@pytest.mark.parametrize(("platform", "option"), [("line", "include_bot_messages"), ("slack", "mock_platform")])
def test_an_option_of_another_platform_is_refused(platform, option):
    with pytest.raises(InvalidOption, match=rf"{option} .*not of platform {platform}"):
        only(platform, **{option: True})


@pytest.mark.parametrize("value", [None, 2, "yes"])
def test_whether_bots_count_is_true_or_false(value):
    with pytest.raises(InvalidOption, match="include_bot_messages"):
        only("slack", include_bot_messages=value)


@pytest.mark.parametrize("options", [{"mode": "bottender"}, {"rules": "1.5"}])
@pytest.mark.parametrize("strict_only", [{"scope": "user"}, {"tenant": "shop"}])
def test_bottender_knows_neither_scope_nor_tenant(options, strict_only):
    with pytest.raises(InvalidOption, match="mode 'strict'"):
        only("slack", **options, **strict_only)
    assert only("slack", scope="chat", tenant=False, **options) == "slack:C1"


@pytest.mark.parametrize(
    ("platform", "rules"),
    [("viber", "toolbot"), ("whatsapp", "1.0"), ("facebook", "0.15"), ("whatsapp-cloud", "1.5"), ("line", "opengram")],
)
def test_rules_of_a_version_without_the_platform_are_refused(platform, rules):
    with pytest.raises(InvalidOption, match="rules"):
        only(platform, rules=rules)
