"""One lost lease is a death, most of them at once are an ill store: the list is kept until something certain is known."""

from __future__ import annotations

from pillion.discovery import leases as module
from pillion.discovery.instance import ServiceInstance
from pillion.discovery.leases import Leases


def one(key: str) -> ServiceInstance:
    return ServiceInstance(id=key, service="orders", address="10.0.0.1")


def lose(leases: Leases, keys: str, total: int, now_s: float = 0.0) -> None:
    """Each of `keys` is lost, of `total` that were alive before the first."""
    for lost, key in enumerate(keys, 1):
        leases.lost(one(key), total - lost, now_s)


def test_a_minority_is_believed() -> None:
    leases = Leases()
    lose(leases, "abcde", 10)
    assert leases.kept("orders") == {}


def test_a_single_instance_is_no_crowd() -> None:
    leases = Leases()
    lose(leases, "a", 1)
    assert leases.kept("orders") == {}


def test_a_majority_is_kept_with_those_lost_before_it() -> None:
    leases = Leases()
    lose(leases, "abcdef", 10)
    assert set(leases.kept("orders")) == set("abcdef")
    assert leases.keeping == 1
    leases.lost(one("g"), 3, 1.0)
    assert set(leases.kept("orders")) == set("abcdefg")


def test_losses_far_apart_are_no_crowd() -> None:
    leases = Leases(window_s=10.0)
    for n, key in enumerate("abcdefgh"):
        leases.lost(one(key), 9 - n, n * 11.0)
    assert leases.kept("orders") == {}


def test_those_that_come_back_are_not_kept_any_more() -> None:
    leases = Leases(window_s=10.0, keep_s=100.0)
    lose(leases, "abc", 4)
    leases.found("orders", "a", 2, 1.0)
    assert set(leases.kept("orders")) == set("bc")
    # As many alive as lost: the rest has the window's time to come back as well.
    assert leases.next_s == 11.0
    assert leases.tick(10.9) == []
    assert leases.tick(11.0) == ["orders"]
    assert leases.kept("orders") == {}


def test_a_recovery_that_does_not_hold() -> None:
    leases = Leases(window_s=10.0, keep_s=100.0)
    lose(leases, "abc", 4)
    leases.found("orders", "a", 2, 1.0)
    leases.lost(one("a"), 1, 5.0)
    assert leases.next_s == 100.0
    assert leases.tick(11.0) == []
    assert set(leases.kept("orders")) == set("abc")


def test_what_is_certain_goes_at_once() -> None:
    leases = Leases()
    lose(leases, "abc", 3)
    leases.gone("orders", "a", 0, 1.0)
    assert set(leases.kept("orders")) == set("bc")
    leases.gone("orders", "b", 0, 1.0)
    leases.gone("orders", "c", 0, 1.0)
    assert leases.kept("orders") == {}
    assert leases.next_s is None


def test_it_is_kept_for_a_bounded_time() -> None:
    leases = Leases(keep_s=100.0)
    lose(leases, "abc", 3, 7.0)
    assert leases.next_s == 107.0
    assert leases.tick(107.0) == ["orders"]
    assert leases.next_s is None


def test_time_forgets_what_is_quiet() -> None:
    leases = Leases(window_s=10.0)
    lose(leases, "a", 10, 3.0)
    assert leases.next_s == 13.0
    assert leases.tick(13.0) == []
    assert leases.next_s is None


def test_services_are_apart() -> None:
    leases = Leases()
    lose(leases, "abc", 3)
    other = ServiceInstance(id="x", service="shop", address="10.0.0.2")
    leases.lost(other, 5, 0.0)
    assert leases.kept("shop") == {}


def test_losses_are_bounded() -> None:
    leases = Leases()
    for n in range(module.MOST_LOST + 3):
        leases.lost(one(f"i{n}"), module.MOST_LOST * 2, 0.0)
    assert leases.forgotten == 3
