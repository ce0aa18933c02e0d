"""Configuration keys over the settings: as if they stood in the file, and all of them or none."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pillion.ambassador.overlay import PREFIX, overlaid
from pillion.ambassador.policy import Policy
from pillion.processes import agent_ambassador
from pillion.settings import SettingsError, parse

if TYPE_CHECKING:
    from pillion.settings.ambassador import Ambassador

TEXT = """
[ambassador]
proxy = { egress = "deny" }

[ambassador.upstreams.orders]
service = "orders"
breaker = "off"

[ambassador.upstreams.orders-next]
service = "orders-next"
timeout = "3s"

[[ambassador.routes]]
match = { path = "/v2/" }
to = [{ upstream = "orders", weight = 90 }, { upstream = "orders-next", weight = 10 }]
"""
SETTINGS = parse(TEXT)


def over(**values: object) -> Ambassador:
    return overlaid(
        SETTINGS, {f"ambassador/{key.replace('__', '/')}": v for key, v in values.items()}
    ).ambassador


def refused(values: dict[str, object]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        overlaid(SETTINGS, values)
    return [str(one) for one in caught.value.problems]


def test_nothing_over_the_settings_is_the_settings() -> None:
    assert overlaid(SETTINGS, {}) is SETTINGS


def test_a_setting_deep_down_and_the_rest_as_it_was() -> None:
    found = over(upstreams__orders__breaker__consecutive=3)
    assert found.upstreams["orders"].breaker.consecutive == 3
    assert found.upstreams["orders"].breaker.ratio is None
    before = SETTINGS.ambassador
    assert found.routes == before.routes
    assert found.upstreams["orders-next"] == before.upstreams["orders-next"]
    assert found.proxy == before.proxy


def test_beside_what_a_bare_value_said() -> None:
    timeout = (
        overlaid(SETTINGS, {"ambassador/upstreams/orders-next/timeout/try": "1s"})
        .ambassador.upstreams["orders-next"]
        .timeout
    )
    assert (timeout.total_s, timeout.try_s) == (3.0, 1.0)


def test_a_list_as_a_whole_an_entry_and_a_setting_of_an_entry() -> None:
    assert over(routes=[{"to": "orders"}]).routes[0].to[0].upstream == "orders"
    assert len(over(routes__1={"match": "/x", "to": "orders"}).routes) == 2
    found = over(routes__0__to__1__weight=50).routes[0]
    assert [one.weight for one in found.to] == [90, 50]
    assert found.match.path == "/v2/"
    assert over(routes=[]).routes == ()


def test_a_whole_table_is_merged_and_null_is_the_default_again() -> None:
    found = over(upstreams__orders={"balance": "round-robin", "breaker": None})
    assert found.upstreams["orders"].service == "orders"
    assert found.upstreams["orders"].balance == "round-robin"
    assert found.upstreams["orders"].breaker.consecutive == 5


def test_a_longer_key_stands_on_a_shorter_one() -> None:
    values = {
        "ambassador/routes/0/to/0/weight": 1,
        "ambassador/routes": [{"to": [{"upstream": "orders", "weight": 7}, "orders-next"]}],
    }
    before = str(values)
    found = overlaid(SETTINGS, values).ambassador
    assert [one.weight for one in found.routes[0].to] == [1, 1]
    assert str(values) == before, "the caller's values are not changed"


def test_a_new_upstream_has_no_port_of_its_own() -> None:
    found = over(upstreams__canary={"service": "canary"}, routes=[{"to": "canary"}])
    assert found.upstreams["canary"].listen is None


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"ambassador/upstreams/orders/breaker/consecutive": "many"}, "breaker.consecutive"),
        ({"ambassador/upstreams/orders/braker": 3}, "did you mean"),
        ({"ambassador/upstreams/orders/listen": "127.0.0.1:81"}, "listen: cannot be changed"),
        ({"ambassador/upstreams/orders": None}, "cannot be taken away"),
        ({"ambassador/upstreams": None}, "cannot be taken away"),
        ({"ambassador/upstreams": 3}, "upstreams"),
        ({"ambassador/upstreams/c": {"service": "c", "listen": "127.0.0.1:81"}}, "cannot be given"),
        ({"ambassador/upstreams/c": {"balance": "random"}}, "upstreams.c"),
        ({"ambassador/proxy/egress": "allow"}, "cannot be changed by the configuration"),
        ({"ambassador/workers": 4}, "cannot be changed by the configuration"),
        ({"ambassador/": 4}, "cannot be changed by the configuration"),
        ({"ambassador/routes/7/to": "orders"}, "no such place"),
        ({"ambassador/routes/x/to": "orders"}, "no such place"),
        ({"ambassador/routes/0": 5}, "routes[0]"),
        ({"ambassador/routes": [{"to": "nobody"}]}, "routes[0]"),
        ({"ambassador/routes": "all"}, "routes"),
        ({"ambassador/log/sample": 0.5}, "log.sample"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused_with_its_place(values: dict[str, object], words: str) -> None:
    problems = refused(values)
    assert any(words in one for one in problems), problems
    assert all(one.startswith("configuration: ") for one in problems)


def test_with_one_that_is_wrong_none_holds() -> None:
    values: dict[str, object] = {
        "ambassador/upstreams/orders/balance": "random",
        "ambassador/upstreams/orders/breaker/consecutive": -1,
        "ambassador/workers": 2,
    }
    policy = Policy(SETTINGS)
    assert not policy.change_overlay(values)
    assert policy.settings is SETTINGS
    assert policy.overlay == {}
    assert policy.problems


KEYS = st.sampled_from(
    ["upstreams", "orders", "routes", "to", "weight", "0", "1", "breaker", "http", "log", "x", ""]
)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3),
    max_leaves=6,
)


@given(
    st.dictionaries(
        st.lists(KEYS, min_size=1, max_size=5).map(lambda p: "ambassador/" + "/".join(p)),
        JSON,
        max_size=4,
    )
)
def test_whatever_is_written_there_it_holds_or_is_refused(values: dict[str, object]) -> None:
    try:
        found = overlaid(SETTINGS, values)
    except SettingsError:
        return
    assert {n: one.listen for n, one in found.ambassador.upstreams.items() if n in ("orders", "orders-next")} == {
        "orders": "127.0.0.1:0", "orders-next": "127.0.0.1:0",
    }  # fmt: skip
    assert found.ambassador.proxy == SETTINGS.ambassador.proxy


def test_the_agent_listens_for_the_keys_that_are_policy() -> None:
    assert agent_ambassador.PREFIX == PREFIX
