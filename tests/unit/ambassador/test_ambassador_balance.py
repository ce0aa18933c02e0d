"""The tables by which one of many is chosen."""

from __future__ import annotations

from collections import Counter
from itertools import pairwise
from random import Random

import pytest

from pillion.ambassador.balance import Ring, Shares, Turns, hash_key, ramp
from pillion.ambassador.breaker import Breaker
from pillion.ambassador.endpoint import Endpoint
from pillion.ambassador.snapshot import EndpointSpec
from pillion.settings.policies import NO_BREAKER

READY = 1
KEYS = [hash_key(b"user-%d" % number) for number in range(4_000)]


def endpoints(*weights: int) -> list[Endpoint]:
    made = []
    for number, weight in enumerate(weights):
        spec = EndpointSpec(
            f"i{number}", f"10.1.{number // 250}.{number % 250}", 8080, weight=weight
        )
        breaker = Breaker(NO_BREAKER, lambda: True, lambda *_: None)
        endpoint = Endpoint(spec, spec.key, breaker, 0.0, number)
        endpoint.place = READY
        made.append(endpoint)
    return made


# Shares.


@pytest.mark.parametrize("weights", [[1], [1, 1], [1, 2, 3, 4], [1, 65_535], [7, 1, 1, 1, 90]])
def test_a_draw_has_the_probability_of_its_weight(weights: list[int]) -> None:
    shares = Shares(weights)
    # Evenly spaced instead of random: the shares are exact then.
    count = 200_000
    drawn = Counter(shares.draw((number + 0.5) / count) for number in range(count))
    for index, weight in enumerate(weights):
        assert drawn[index] / count == pytest.approx(weight / sum(weights), abs=1e-4)


# Turns.


def turns(
    members: list[Endpoint], count: int, slow_s: float = 0.0, start: float = 0.0
) -> list[str]:
    order = Turns(start)
    for endpoint in members:
        order.add(endpoint)
    found = [order.next(READY, 0.0, slow_s) for _ in range(count)]
    return [endpoint.spec.id for endpoint in found if endpoint is not None]


@pytest.mark.parametrize("weights", [(1,), (1, 1, 1), (5, 1, 1), (3, 2), (7, 11, 13), (1, 100)])
def test_every_cycle_gives_each_exactly_its_weight(weights: tuple[int, ...]) -> None:
    cycle = sum(weights)
    order = turns(endpoints(*weights), 5 * cycle)
    for start in range(0, 5 * cycle, cycle):
        counted = Counter(order[start : start + cycle])
        assert [counted[f"i{number}"] for number in range(len(weights))] == list(weights)


def test_turns_are_spread_over_the_cycle() -> None:
    order = turns(endpoints(5, 1, 1), 70)
    of_small = [index for index, one in enumerate(order) if one == "i1"]
    assert {later - earlier for earlier, later in pairwise(of_small)} == {7}
    # Never all five of the heavy one in a row.
    assert "i0 i0 i0 i0 i0" not in " ".join(order)


def test_alike_they_take_turns() -> None:
    order = turns(endpoints(1, 1, 1), 9)
    assert sorted(order[:3]) == ["i0", "i1", "i2"]
    assert order == order[:3] * 3


def test_two_workers_do_not_begin_with_the_same_one() -> None:
    firsts = Counter(turns(endpoints(1, 1, 1, 1), 1, start=step / 20)[0] for step in range(20))
    assert len(firsts) == 4
    assert max(firsts.values()) <= 10


def test_one_that_was_out_catches_nothing_up() -> None:
    members = endpoints(1, 1, 1)
    order = Turns(0.0)
    for endpoint in members:
        order.add(endpoint)
    members[1].place = 0
    for _ in range(100):
        found = order.next(READY, 0.0, 0.0)
        assert found is not None
        assert found is not members[1]
    members[1].place = READY
    order.add(members[1])
    counted = Counter(order.next(READY, 0.0, 0.0) for _ in range(30))
    assert all(9 <= counted[endpoint] <= 11 for endpoint in members)


def test_nobody_in_means_nobody() -> None:
    members = endpoints(1, 1)
    for endpoint in members:
        endpoint.place = 0
    assert turns(members, 3) == []


def test_a_cold_one_has_fewer_turns() -> None:
    members = endpoints(1, 1)
    members[0].born_s = -100.0
    members[1].born_s = -25.0
    counted = Counter(turns(members, 1_000, slow_s=100.0))
    assert counted["i1"] / counted["i0"] == pytest.approx(0.25, rel=0.05)


def test_slow_start_is_a_straight_line_from_a_tenth() -> None:
    at = [ramp(now, 100.0, 20.0) for now in (99.0, 100.0, 101.0, 105.0, 110.0, 119.0, 120.0, 1e9)]
    assert at == pytest.approx([0.1, 0.1, 0.1, 0.25, 0.5, 0.95, 1.0, 1.0])
    assert ramp(5.0, 5.0, 0.0) == 1.0


# Ring.


def owners(ring: Ring) -> list[str]:
    found = [ring.owner(key) for key in KEYS]
    return [endpoint.key for endpoint in found if endpoint is not None]


@pytest.mark.parametrize("count", [2, 3, 10, 40])
def test_one_that_goes_moves_its_own_keys_alone(count: int) -> None:
    members = endpoints(*[1] * count)
    before = owners(Ring(members))
    for gone in (members[0], members[-1]):
        after = owners(Ring([one for one in members if one is not gone]))
        moved = [key for key, new in zip(before, after, strict=True) if key != new]
        assert set(moved) == {gone.key}
        assert len(moved) == before.count(gone.key)
        assert len(moved) <= 1.3 * len(KEYS) / count
        # And they go to many, not to one neighbour.
        heirs = {new for old, new in zip(before, after, strict=True) if old == gone.key}
        assert len(heirs) >= (count - 1) * 0.6


def test_the_order_of_the_endpoints_says_nothing() -> None:
    members = endpoints(1, 2, 3, 4)
    assert owners(Ring(members)) == owners(Ring(members[::-1]))


def test_the_circle_is_the_same_in_every_process() -> None:
    # Two workers must agree, and so must a worker and the one that replaces it.
    found = [Ring(endpoints(1, 1, 1, 1)).owner(key) for key in KEYS[:24]]
    assert (
        "".join(one.spec.id[1:] for one in found if one is not None) == "211111210221232213330322"
    )


@pytest.mark.parametrize("weights", [(1, 1, 1), (1, 2, 3), (1,) * 20, (16, 16, 1), (100, 50)])
def test_keys_are_shared_by_weight(weights: tuple[int, ...]) -> None:
    members = endpoints(*weights)
    counted = Counter(owners(Ring(members)))
    for endpoint in members:
        fair = endpoint.weight / sum(weights)
        assert counted[endpoint.key] / len(KEYS) == pytest.approx(fair, rel=0.35)


def test_who_has_no_weight_owns_nothing() -> None:
    members = endpoints(0, 1)
    assert set(owners(Ring(members))) == {members[1].key}
    assert Ring(endpoints(0)).owner(5) is None
    assert Ring([]).owner(5) is None


def test_keys_of_any_size() -> None:
    ring = Ring(endpoints(1, 1))
    for key in (0, 1, 1 << 32, (1 << 64) - 1, 1 << 200, -5):
        assert ring.owner(key) is not None


def test_without_some_it_is_the_circle_without_them() -> None:
    members = endpoints(*[1] * 10)
    left = members[:7]
    whole, small = Ring(members), Ring(left)
    tried = members[7:]
    for key in KEYS[:1_000]:
        assert whole.owner_in(key, 1 << READY, tried, 0.0) is small.owner(key)
    for endpoint in members:
        endpoint.place = 0
    assert whole.owner_in(5, 1 << READY, [], 0.0) is None


def test_random_keys_that_differ_little_are_spread() -> None:
    ring = Ring(endpoints(*[1] * 10))
    random = Random(5)
    start = random.getrandbits(32)
    found = [ring.owner(start + number) for number in range(1_000)]
    assert len(set(found)) == 10
