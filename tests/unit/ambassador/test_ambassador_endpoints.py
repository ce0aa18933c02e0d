"""Who there is, who may be sent a request, and who gets the next one."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from pillion.ambassador.endpoints import Endpoint, EndpointGroup
from pillion.ambassador.pool import Pool
from pillion.ambassador.snapshot import EndpointSpec
from pillion.settings.policies import Breaker as BreakerSettings
from pillion.settings.upstreams import Upstream

BREAKER = BreakerSettings(consecutive=1, ratio=None, open_s=10.0, open_max_s=60.0, share=1.0)
BALANCES = ("least-request", "round-robin", "random", "hash")
every_balance = pytest.mark.parametrize("balance", BALANCES)


def spec(name: str, weight: int = 1, zone: str = "", *, healthy: bool = True) -> EndpointSpec:
    return EndpointSpec(name, f"host-{name}", 80, weight=weight, zone=zone, healthy=healthy)


def name_of(endpoint: Endpoint | None) -> str:
    return "nobody" if endpoint is None else endpoint.spec.id


class World:
    """A group of endpoints, its clock and what was heard of breakers."""

    def __init__(
        self,
        *specs: EndpointSpec,
        zone: str = "",
        breaker: BreakerSettings = BREAKER,
        **settings: object,
    ) -> None:
        self.now = 1000.0
        self.heard: list[str] = []
        self.settings = Upstream(service="orders", breaker=breaker, **settings)  # type: ignore[arg-type]
        self.random = Random(11)
        self.group = EndpointGroup(self.settings, zone, self.random, self._changed)
        self.update(*specs)

    def _changed(self, endpoint: Endpoint, old: str, new: str, why: str) -> None:
        assert why
        self.heard.append(f"{endpoint.spec.id}: {old} -> {new}")

    def update(self, *specs: EndpointSpec, **changes: object) -> list[str]:
        self.settings = self.settings.replace(**changes)
        gone = self.group.update(specs, self.settings, self.now)
        return [endpoint.spec.id for endpoint in gone]

    def at(self, name: str) -> Endpoint:
        found = self.group.find(f"host-{name}:80")
        assert found is not None
        return found

    def pick(self, *tried: Endpoint) -> Endpoint | None:
        found = self.group.pick(self.now, self.random.getrandbits(32), list(tried))
        assert found is None or found.breaker.admits(self.now)
        return found

    def picks(self, count: int, *tried: Endpoint) -> Counter[str]:
        return Counter(name_of(self.pick(*tried)) for _ in range(count))

    def fail(self, *names: str) -> None:
        """A request to each of them that fails."""
        for name in names:
            breaker = self.at(name).breaker
            breaker.end(breaker.begin(self.now), False, self.now)


ABC = (spec("a"), spec("b"), spec("c"))


# Shares.


@every_balance
def test_all_that_are_alike_get_alike(balance: str) -> None:
    counted = World(*ABC, balance=balance).picks(3_000)
    assert all(counted[name] == pytest.approx(1_000, rel=0.3) for name in "abc")


@every_balance
def test_weights(balance: str) -> None:
    world = World(spec("a", 1), spec("b", 3), spec("c", 6), balance=balance)
    counted = world.picks(10_000)
    for name, fair in (("a", 1_000), ("b", 3_000), ("c", 6_000)):
        assert counted[name] == pytest.approx(fair, rel=0.3)


@every_balance
def test_a_weight_of_nothing_drains(balance: str) -> None:
    world = World(spec("a", 0), spec("b"), balance=balance)
    assert world.picks(100) == {"b": 100}
    world.update(spec("a", 0))
    assert world.picks(10) == {"nobody": 10}


@every_balance
def test_nobody_there(balance: str) -> None:
    world = World(balance=balance)
    assert world.picks(3) == {"nobody": 3}
    assert world.group.retry_after(world.now) == 10.0


@every_balance
def test_one_alone(balance: str) -> None:
    assert World(spec("a"), balance=balance).picks(10) == {"a": 10}


def test_the_less_busy_of_two() -> None:
    world = World(spec("a"), spec("b"))
    world.at("a").active = 1
    assert world.picks(100) == {"b": 100}


def test_of_many_the_busiest_gets_nothing() -> None:
    world = World(*(spec(str(number)) for number in range(20)))
    world.at("7").active = 5
    assert world.picks(2_000)["7"] == 0


def test_busy_is_what_is_in_flight_for_the_weight() -> None:
    world = World(spec("a", 1), spec("b", 4))
    world.at("a").active, world.at("b").active = 1, 3
    assert world.picks(100) == {"b": 100}
    world.at("b").active = 5
    assert world.picks(100) == {"a": 100}


def test_least_request_follows_who_is_slow() -> None:
    """The slow one gets less although nobody knows that it is slow."""
    world = World(*ABC)
    served: Counter[str] = Counter()
    busy: list[tuple[int, Endpoint]] = []
    for tick in range(3_000):
        while busy and busy[0][0] <= tick:
            busy.pop(0)[1].active -= 1
        endpoint = world.pick()
        assert endpoint is not None
        endpoint.active += 1
        served[endpoint.spec.id] += 1
        busy.append((tick + (50 if endpoint.spec.id == "a" else 2), endpoint))
        busy.sort(key=lambda one: one[0])
    assert served["a"] < 0.2 * served["b"]


def test_turns_are_exact() -> None:
    world = World(spec("a", 5), spec("b", 1), spec("c", 2), balance="round-robin")
    for _ in range(5):
        assert world.picks(8) == {"a": 5, "b": 1, "c": 2}


def test_a_snapshot_does_not_begin_the_round_anew() -> None:
    world = World(*ABC, balance="round-robin")
    counted: Counter[str] = Counter()
    for number in range(300):
        counted += world.picks(1)
        world.update(*ABC, spec("d", 0, zone=str(number)))
    assert all(98 <= counted[name] <= 102 for name in "abc")


# Hash.


def test_a_key_stays() -> None:
    world = World(*ABC, balance="hash")
    first = [world.group.pick(world.now, key, []) for key in range(100)]
    world.at("a").active = 100
    assert [world.group.pick(world.now, key, []) for key in range(100)] == first


def test_a_key_comes_back_when_its_endpoint_does() -> None:
    world = World(*(spec(str(number)) for number in range(10)), balance="hash")
    before = {key: world.group.pick(world.now, key, []) for key in range(1_000)}
    lost = world.at("3")
    world.fail("3")
    for key, endpoint in before.items():
        now_at = world.group.pick(world.now, key, [])
        assert (now_at is endpoint) == (endpoint is not lost)
    world.now += 10.0
    assert all(world.group.pick(world.now, key, []) is one for key, one in before.items())


def test_without_a_key_it_is_least_request() -> None:
    world = World(spec("a"), spec("b"), balance="hash")
    world.at("a").active = 3
    assert {world.group.pick(world.now, None, []) for _ in range(50)} == {world.at("b")}


def test_unhealthy_ones_hand_their_keys_to_many() -> None:
    specs = [spec(str(number)) for number in range(10)]
    world = World(*specs, balance="hash")
    before = {key: world.group.pick(world.now, key, []) for key in range(2_000)}
    world.update(spec("0", healthy=False), *specs[1:])
    lost = world.at("0")
    heirs = {
        name_of(world.group.pick(world.now, key, []))
        for key, endpoint in before.items()
        if endpoint is lost
    }
    assert "0" not in heirs
    assert len(heirs) >= 6


# Health, and panic.


@every_balance
def test_the_unhealthy_are_passed_over(balance: str) -> None:
    world = World(spec("a", healthy=False), spec("b"), spec("c"), balance=balance)
    assert set(world.picks(100)) == {"b", "c"}
    assert not world.group.panic


@every_balance
def test_when_all_are_unhealthy_all_are_used(balance: str) -> None:
    world = World(spec("a", healthy=False), spec("b", healthy=False), balance=balance)
    assert set(world.picks(100)) == {"a", "b"}
    assert world.group.panic
    world.update(spec("a"), spec("b", healthy=False))
    assert set(world.picks(100)) == {"a"}


def test_panic_does_not_close_a_circuit() -> None:
    world = World(spec("a", healthy=False), spec("b", healthy=False))
    world.fail("a", "b")
    assert world.picks(10) == {"nobody": 10}


def test_healthy_but_open_is_no_panic() -> None:
    world = World(spec("a"), spec("b", healthy=False))
    world.fail("a")
    assert world.picks(10) == {"nobody": 10}


# Breakers.


@every_balance
def test_an_open_one_is_passed_over_and_tried_again(balance: str) -> None:
    world = World(*ABC, balance=balance)
    world.fail("b")
    assert set(world.picks(200)) == {"a", "c"}
    world.now += 9.999
    assert "b" not in world.picks(200)
    world.now += 0.001
    assert "b" in world.picks(200)
    assert world.heard == ["b: closed -> open", "b: open -> half-open"]


def test_the_first_request_after_the_open_time_is_its_trial() -> None:
    world = World(*(spec(str(number)) for number in range(100)))
    world.fail("42")
    world.now += 10.0
    assert name_of(world.pick()) == "42"
    breaker = world.at("42").breaker
    token = breaker.begin(world.now)
    assert "42" not in world.picks(100)
    breaker.cancel(token, world.now)
    assert name_of(world.pick()) == "42"
    token = breaker.begin(world.now)
    assert "42" not in world.picks(100)
    breaker.end(token, True, world.now)
    assert "42" in world.picks(2_000)
    assert world.heard[-1] == "42: half-open -> closed"


def test_a_trial_is_not_the_second_try_of_the_same_request() -> None:
    world = World(spec("a"), spec("b"))
    world.fail("a")
    world.now += 10.0
    assert name_of(world.pick(world.at("a"))) == "b"


def test_trials_that_nothing_is_heard_of() -> None:
    world = World(spec("a"))
    world.fail("a")
    world.now += 10.0
    endpoint = world.pick()
    assert endpoint is not None
    endpoint.breaker.begin(world.now)
    assert world.group.retry_after(world.now) == 1.0
    assert world.pick() is None
    assert world.group.retry_after(world.now) == 1.0
    world.now += 10.0
    assert world.pick() is endpoint


def test_when_all_are_open_nobody_is_picked_and_it_is_said_how_long() -> None:
    world = World(*ABC)
    world.fail("a")
    world.now += 3.0
    world.fail("b", "c")
    assert world.pick() is None
    assert world.group.retry_after(world.now) == 7.0
    world.now += 7.0
    assert name_of(world.pick()) == "a"
    assert world.group.retry_after(world.now) == 0.0


@pytest.mark.parametrize(
    ("share", "count", "most"),
    [
        (0.5, 10, 5),
        (0.5, 1, 1),
        (0.0, 10, 1),
        (0.1, 3, 1),
        (0.29, 100, 29),
        (1.0, 4, 4),
        (0.7, 10, 7),
    ],
)
def test_no_more_than_a_share_is_ejected(share: float, count: int, most: int) -> None:
    names = [str(number) for number in range(count)]
    world = World(*(spec(name) for name in names), breaker=BREAKER.replace(share=share))
    for _ in range(3):
        world.fail(*names)
    assert len(world.heard) == most
    assert sum(not one.breaker.closed for one in world.group.endpoints) == most


def test_one_that_comes_back_makes_room_for_another() -> None:
    world = World(spec("a"), spec("b"), breaker=BREAKER.replace(share=0.5))
    world.fail("a", "b")
    assert world.heard == ["a: closed -> open"]
    world.now += 10.0
    world.at("a").breaker.end(world.at("a").breaker.begin(world.now), True, world.now)
    world.fail("b")
    assert world.heard[-1] == "b: closed -> open"


def test_those_that_are_out_count_after_a_snapshot_too() -> None:
    world = World(*ABC, breaker=BREAKER.replace(share=0.0))
    world.fail("a")
    world.update(*ABC, spec("d"))
    world.fail("b", "d")
    assert world.heard == ["a: closed -> open"]


def test_a_shorter_open_time_holds_for_those_that_are_out() -> None:
    world = World(spec("a"), spec("b"))
    world.fail("a", "b")
    world.update(spec("a"), spec("b"), breaker=BREAKER.replace(open_s=1.0, open_max_s=2.0))
    assert world.group.retry_after(world.now) == 2.0
    assert world.pick() is None
    world.now += 2.0
    assert world.pick() is not None


def test_one_that_goes_makes_room_for_another() -> None:
    world = World(*ABC, breaker=BREAKER.replace(share=0.0))
    world.fail("a", "b")
    assert world.heard == ["a: closed -> open"]
    assert world.update(spec("b"), spec("c")) == ["a"]
    world.fail("b")
    assert world.heard[-1] == "b: closed -> open"


def test_by_hand_all_may_be_opened_and_that_counts() -> None:
    world = World(*ABC)
    for endpoint in world.group.endpoints:
        endpoint.breaker.force("open", world.now)
    assert world.pick() is None
    assert world.group.retry_after(world.now) == 10.0
    world.now += 1e6
    assert world.pick() is None
    world.at("b").breaker.force(None, world.now)
    assert world.picks(10) == {"b": 10}


def test_what_becomes_of_one_that_is_gone_concerns_nobody() -> None:
    world = World(*ABC)
    gone = world.at("a")
    token = gone.breaker.begin(world.now)
    world.update(spec("b"), spec("c"))
    gone.breaker.end(token, False, world.now)
    assert gone.breaker.state == "open"
    assert world.heard == []
    gone.breaker.force(None, world.now)
    assert set(world.picks(100)) == {"b", "c"}
    world.fail("b", "c")
    assert world.pick() is None


# Tries.


@every_balance
def test_another_one_first(balance: str) -> None:
    world = World(*ABC, balance=balance)
    a, _, c = world.group.endpoints
    assert set(world.picks(100, a)) == {"b", "c"}
    assert world.picks(100, a, c) == {"b": 100}


@every_balance
def test_a_tried_one_rather_than_none(balance: str) -> None:
    world = World(*ABC, balance=balance)
    assert set(world.picks(100, *world.group.endpoints)) == {"a", "b", "c"}
    world.fail("a", "b")
    assert world.picks(10, world.at("c")) == {"c": 10}


def test_a_tried_one_that_is_gone() -> None:
    world = World(*ABC)
    gone = world.at("a")
    world.update(spec("b"))
    assert world.picks(10, gone) == {"b": 10}


# Zones.

ZONED = (spec("a", zone="east"), spec("b", zone="east"), spec("c", zone="west"), spec("d"))


@every_balance
def test_our_zone_first(balance: str) -> None:
    world = World(*ZONED, zone="east", zone_first=True, balance=balance)
    assert set(world.picks(100)) == {"a", "b"}


@pytest.mark.parametrize(("zone", "zone_first"), [("", True), ("east", False)])
def test_without_a_zone_or_the_wish_all_are_alike(zone: str, zone_first: bool) -> None:
    world = World(*ZONED, zone=zone, zone_first=zone_first)
    assert set(world.picks(200)) == {"a", "b", "c", "d"}


@every_balance
def test_the_others_when_ours_has_none(balance: str) -> None:
    world = World(*ZONED, zone="east", zone_first=True, balance=balance)
    world.fail("a", "b")
    assert set(world.picks(100)) == {"c", "d"}
    world.now += 10.0
    assert set(world.picks(100)) <= {"a", "b"}


def test_a_second_try_leaves_the_zone_rather_than_repeat() -> None:
    world = World(*ZONED, zone="east", zone_first=True)
    assert set(world.picks(100, world.at("a"), world.at("b"))) == {"c", "d"}


def test_a_zone_of_nobody_is_no_outage() -> None:
    world = World(*ZONED, zone="north", zone_first=True)
    assert set(world.picks(200)) == {"a", "b", "c", "d"}


def test_an_endpoint_moves_to_another_zone() -> None:
    for balance in BALANCES:
        world = World(*ZONED, zone="east", zone_first=True, balance=balance)
        world.picks(50)
        world.update(spec("a", zone="west"), spec("b", zone="west"), spec("c", zone="east"))
        assert world.picks(50) == {"c": 50}
        world.group.zone = "west"
        world.update(spec("a", zone="west"), spec("b", zone="west"), spec("c", zone="east"))
        assert set(world.picks(50)) == {"a", "b"}


# Slow start.


@pytest.mark.parametrize("balance", ["least-request", "round-robin", "random"])
def test_a_new_one_gets_its_share_little_by_little(balance: str) -> None:
    world = World(*ABC[:2], balance=balance, slow_start_s=100.0)
    assert world.picks(1_000)["b"] == pytest.approx(500, rel=0.2)  # who was there at first is warm
    world.update(*ABC)
    shares = []
    for age_s in (0.0, 25.0, 50.0, 75.0, 100.0):
        world.now = 1000.0 + age_s
        counted = world.picks(6_000)
        shares.append(counted["c"] / ((counted["a"] + counted["b"]) / 2))
    assert shares == sorted(shares)
    assert shares[0] < 0.25
    assert shares[2] == pytest.approx(0.5, abs=0.2)
    assert shares[4] == pytest.approx(1.0, abs=0.15)


@pytest.mark.parametrize("how", ["healthy again", "closed again"])
def test_one_that_comes_back_starts_slowly_too(how: str) -> None:
    world = World(spec("a"), spec("b"), slow_start_s=100.0, balance="random")
    world.picks(10)
    if how == "healthy again":
        world.update(spec("a"), spec("b", healthy=False))
        world.update(spec("a"), spec("b"))
    else:
        world.fail("b")
        world.now += 10.0
        assert name_of(world.pick()) == "b"
        world.at("b").breaker.end(world.at("b").breaker.begin(world.now), True, world.now)
    assert world.picks(1_000)["b"] < 200
    world.now += 100.0
    assert world.picks(1_000)["b"] > 400


@pytest.mark.parametrize("balance", ["least-request", "round-robin", "random"])
def test_all_of_them_cold_is_as_good_as_all_warm(balance: str) -> None:
    world = World(spec("x"), balance=balance, slow_start_s=100.0)
    world.update(*ABC)
    counted = world.picks(3_000)
    assert all(counted[name] == pytest.approx(1_000, rel=0.2) for name in "abc")


# Snapshots.


def test_what_stays_keeps_its_state() -> None:
    world = World(*ABC)
    a = world.at("a")
    a.active, a.requests, a.failures, a.pool = 3, 10, 2, Pool(4.0, 64, 0)
    world.fail("a")
    before = a.pool
    assert world.update(spec("a", 7), spec("d")) == ["b", "c"]
    assert world.at("a") is a
    assert (a.active, a.requests, a.failures, a.weight) == (3, 10, 2, 7)
    assert a.pool is before
    assert a.breaker.state == "open"
    assert world.group.find("host-a:80") is a
    assert world.group.find("host-b:80") is None


def test_another_way_of_talking_is_another_endpoint() -> None:
    """Its connections would be of the wrong kind."""
    world = World(spec("a"))
    a = world.at("a")
    plain = spec("a")
    secure = EndpointSpec(plain.id, plain.address, plain.port, tls=True)
    assert world.update(secure) == ["a"]
    assert world.at("a") is not a
    named = EndpointSpec(plain.id, plain.address, plain.port, tls=True, host="orders.example")
    assert world.update(named) == ["a"]


def test_one_address_told_twice_is_one_endpoint() -> None:
    world = World(spec("a", 2), spec("a", 3), spec("b"))
    assert [(one.spec.id, one.weight) for one in world.group.endpoints] == [("a", 2), ("b", 1)]


def test_an_update_that_changes_nothing_does_nothing() -> None:
    world = World(*ABC)
    before = world.group.endpoints
    assert world.update(*ABC) == []
    assert world.group.endpoints is before


def test_other_breaker_settings_hold_for_all() -> None:
    world = World(*ABC)
    world.fail("a")
    world.update(*ABC, breaker=BREAKER.replace(consecutive=2))
    assert world.at("a").breaker.state == "open"
    world.fail("b")
    assert world.at("b").breaker.state == "closed"
    world.fail("b")
    assert world.at("b").breaker.state == "open"
    world.update(*ABC, breaker=BreakerSettings(consecutive=0, ratio=None))
    assert set(world.picks(100)) == {"a", "b", "c"}


def test_another_balance_holds_at_once() -> None:
    world = World(spec("a", 2), spec("b", 1))
    for balance in BALANCES * 2:
        world.update(spec("a", 2), spec("b", 1), balance=balance)
        assert set(world.picks(60)) == {"a", "b"}


# Ten thousand.


@every_balance
def test_ten_thousand_endpoints(balance: str) -> None:
    names = [str(number) for number in range(10_000)]
    world = World(*(spec(name) for name in names), balance=balance)
    counted = world.picks(2_000)
    assert len(counted) > 1_500
    world.fail(*names[:-1])
    assert world.picks(20) == {"9999": 20}
    assert world.picks(5, world.at("9999")) == {"9999": 5}
    world.fail("9999")
    assert world.pick() is None
    world.now += 10.0
    for _ in range(200):
        endpoint = world.pick()
        assert endpoint is not None
        endpoint.breaker.begin(world.now)
    assert sum(one.breaker.state == "half-open" for one in world.group.endpoints) >= 200


def test_only_those_become_half_open_that_are_sent_a_trial() -> None:
    names = [str(number) for number in range(1_000)]
    world = World(*(spec(name) for name in names))
    world.fail(*names)
    world.now += 10.0
    tried: list[Endpoint] = []
    for number in range(1, 20):
        endpoint = world.pick(*tried[-5:])
        assert endpoint is not None
        assert endpoint not in tried
        endpoint.breaker.begin(world.now)
        tried.append(endpoint)
        half_open = sum(one.breaker.state == "half-open" for one in world.group.endpoints)
        assert half_open == number


def test_a_trial_that_was_tried_hides_no_other() -> None:
    world = World(*ABC)
    world.fail("a", "b", "c")
    world.now += 10.0
    first = world.pick()
    assert first is not None
    # It was picked and not begun; the same request asks for another.
    second = world.pick(first)
    assert second is not None
    assert second is not first
    third = world.pick(first, second)
    assert {name_of(one) for one in (first, second, third)} == {"a", "b", "c"}


def test_trials_given_back_by_the_thousand_leave_nothing_behind() -> None:
    world = World(*ABC)
    world.fail("a")
    world.now += 10.0
    breaker = world.at("a").breaker
    for _ in range(10_000):
        endpoint = world.pick()
        assert endpoint is not None
        token = breaker.begin(world.now)
        assert name_of(world.pick()) != "a"
        breaker.cancel(token, world.now)
        world.now += 0.001
    assert breaker.state == "half-open"


class CountedRandom(Random):
    """Counts what is drawn."""

    drawn = 0

    def random(self) -> float:
        self.drawn += 1
        return super().random()


def test_a_choice_among_ten_thousand_is_one_of_two() -> None:
    """Nine tenths of them are out, and yet nothing is drawn in vain."""
    world = World()
    random = CountedRandom(3)
    world.group = EndpointGroup(world.settings, "", random, world._changed)
    names = [str(number) for number in range(10_000)]
    world.update(*(spec(name) for name in names))
    world.fail(*names[:9_000])
    random.drawn = 0
    for _ in range(100):
        assert world.group.pick(world.now, None, []) is not None
    assert random.drawn == 200
