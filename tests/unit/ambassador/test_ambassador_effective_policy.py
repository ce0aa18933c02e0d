"""The policy in force: the last that held, through changes of the file, of the configuration and of the registry."""

from __future__ import annotations

from pillion.ambassador.policy import Policy
from pillion.settings import parse

ORDERS = '[ambassador.upstreams.orders]\nservice = "orders"\n'
THREE = {"ambassador/upstreams/orders/breaker/consecutive": 3}
BAD = {"ambassador/upstreams/orders/breaker/consecutive": "x"}


def consecutive(policy: Policy) -> int:
    return policy.settings.ambassador.upstreams["orders"].breaker.consecutive


def test_a_bad_change_leaves_the_last_good_one() -> None:
    policy = Policy(parse(ORDERS))
    assert policy.change_overlay(THREE)
    assert consecutive(policy) == 3
    assert not policy.change_overlay(BAD)
    assert consecutive(policy) == 3
    assert policy.overlay == THREE
    assert policy.problems
    assert policy.change_overlay({})
    assert consecutive(policy) == 5
    assert not policy.problems


def test_a_reload_keeps_what_the_configuration_says() -> None:
    policy = Policy(parse(ORDERS))
    policy.change_overlay(THREE)
    policy.change_file(parse(ORDERS + 'balance = "random"\n'))
    assert consecutive(policy) == 3
    assert policy.settings.ambassador.upstreams["orders"].balance == "random"


def test_a_reload_may_make_good_what_did_not_fit() -> None:
    policy = Policy(parse(ORDERS))
    values = {"ambassador/routes": [{"to": "next", "listener": "orders"}]}
    assert not policy.change_overlay(values)
    policy.change_file(parse(ORDERS + '[ambassador.upstreams.next]\nservice = "next"\n'))
    assert policy.overlay == values
    assert not policy.problems


def test_a_reload_under_which_nothing_of_it_holds_stands_alone() -> None:
    policy = Policy(parse(ORDERS))
    policy.change_overlay(THREE)
    other = parse('[ambassador.upstreams.other]\nservice = "other"\n')
    policy.change_file(other)
    assert policy.settings is other
    assert policy.overlay == {}
    assert policy.problems


def test_the_next_agent_begins_with_what_held() -> None:
    policy = Policy(parse(ORDERS))
    policy.begin_with(THREE)
    assert consecutive(policy) == 3
    assert not policy.change_overlay(BAD)
    assert consecutive(policy) == 3
    policy.begin_with(BAD)
    assert consecutive(policy) == 3


def test_the_proxy_offers_services_by_their_names() -> None:
    policy = Policy(parse(ORDERS + "[ambassador.proxy]\n"))
    assert policy.change_services(["orders", "stock", "app", "proxy", "inbound"])
    assert set(policy.upstreams) == {"orders", "stock"}
    assert (policy.upstreams["stock"].service, policy.upstreams["stock"].listen) == ("stock", None)
    encoded = policy.encoded["upstreams"]
    assert isinstance(encoded, dict)
    assert set(encoded) == {"orders", "stock"}
    assert not policy.change_services(["stock"])
    assert policy.change_services([])


def test_without_a_proxy_nobody_asks_for_them() -> None:
    policy = Policy(parse(ORDERS))
    assert not policy.change_services(["stock"])
    assert set(policy.upstreams) == {"orders"}
