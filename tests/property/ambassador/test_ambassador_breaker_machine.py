"""A breaker, and a group of endpoints with theirs, under any order of events and any lapse of time."""

from __future__ import annotations

from random import Random
from typing import NamedTuple

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from pillion.ambassador.breaker import Breaker
from pillion.ambassador.endpoints import Endpoint, EndpointGroup
from pillion.ambassador.snapshot import EndpointSpec
from pillion.settings.policies import Breaker as Settings
from pillion.settings.upstreams import Upstream

# Exact as floats, and around the times below; now and then the clock jumps by days.
lapses = st.sampled_from((0.25, 0.5, 1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 9.0, 1e6))
breakers = st.builds(
    Settings,
    consecutive=st.integers(0, 4),
    ratio=st.none() | st.sampled_from((0.25, 0.5, 1.0)),
    requests=st.integers(1, 6),
    window_s=st.just(5.0),
    open_s=st.sampled_from((1.0, 4.0)),
    open_max_s=st.sampled_from((2.0, 20.0)),
    trials=st.integers(1, 3),
    share=st.sampled_from((0.0, 0.5, 1.0)),
)
# For the group, so that much is open much of the time.
nervous = breakers.map(lambda policy: policy.replace(consecutive=1 + policy.consecutive // 4))


class Request(NamedTuple):
    """A request under way, and the epoch of the model in which it began; -1: it counts for nothing."""

    token: int
    epoch: int


class BreakerMachine(RuleBasedStateMachine):
    """The diagram, with every result remembered and every condition counted anew."""

    @initialize(policy=breakers)
    def start(self, policy: Settings) -> None:
        self.now = 100.0
        self.policy = policy
        self.spare = True
        self.heard: list[tuple[str, str]] = []
        self.breaker = Breaker(
            policy, lambda: self.spare, lambda _, old, new, why: self.heard.append((old, new))
        )
        self.under_way: list[Request] = []
        self.state = "closed"
        self.forced = False
        self.epoch = 0
        self.row = 0
        self.results: list[tuple[int, bool]] = []
        self.until = 0.0
        self.open_time_s = 0.0
        self.trials: list[int] = []  # epochs of those under way
        self.passed = 0
        self.expected: list[tuple[str, str]] = []

    def turn(self, state: str) -> None:
        self.expected.append((self.state, state))
        self.state = state
        self.epoch += 1
        self.row, self.passed = 0, 0
        self.results, self.trials = [], []

    def ask(self) -> bool:
        if self.state == "closed":
            return True
        if self.state == "open":
            if self.forced or self.now < self.until:
                return False
            self.turn("half-open")
            self.until = self.now + self.open_time_s
            return True
        if self.passed + len(self.trials) < self.policy.trials:
            return True
        if self.now < self.until:
            return False
        self.epoch += 1
        self.trials = []
        self.until = self.now + self.open_time_s
        return True

    def open_for(self, open_time_s: float) -> None:
        self.turn("open")
        self.open_time_s = open_time_s
        self.until = self.now + open_time_s

    @rule(lapse_s=lapses)
    def wait(self, lapse_s: float) -> None:
        self.now += lapse_s

    @rule(spare=st.booleans())
    def the_upstream_can_spare_it(self, spare: bool) -> None:
        self.spare = spare

    @rule()
    def admit(self) -> None:
        assert self.breaker.admits(self.now) == self.ask()

    @rule(count=st.integers(1, 3))
    def begin(self, count: int) -> None:
        for _ in range(count):
            admitted = self.ask()
            token = self.breaker.begin(self.now)
            assert (token >= 0) == admitted
            if self.state == "half-open" and admitted:
                self.trials.append(self.epoch)
                self.until = self.now + self.open_time_s
            self.under_way.append(Request(token, self.epoch if admitted else -1))

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 1 << 20), outcome=st.sampled_from(("good", "bad", "bad", "none")))
    def finish(self, which: int, outcome: str) -> None:
        request = self.under_way.pop(which % len(self.under_way))
        counts = request.epoch == self.epoch
        if outcome == "none":
            self.breaker.cancel(request.token, self.now)
            if counts and self.state == "half-open":
                self.trials.pop()
            return
        good = outcome == "good"
        if counts and not self.forced:
            if self.state == "half-open":
                self.trial_ended(good)
            elif self.state == "closed":
                self.ended(good)
        self.breaker.end(request.token, good, self.now)

    @rule(outcomes=st.text("bbbg", min_size=1, max_size=8))
    def one_after_the_other(self, outcomes: str) -> None:
        for outcome in outcomes:
            self.begin(1)
            self.finish(len(self.under_way) - 1, "good" if outcome == "g" else "bad")

    def trial_ended(self, good: bool) -> None:
        if not good:
            longest_s = max(self.policy.open_s, self.policy.open_max_s)
            self.open_for(min(2 * self.open_time_s, longest_s))
            return
        self.trials.pop()
        self.passed += 1
        if self.passed == self.policy.trials:
            self.turn("closed")

    def ended(self, good: bool) -> None:
        bucket = int(self.now / (self.policy.window_s / 10))
        self.results.append((bucket, good))
        self.row = 0 if good else self.row + 1
        if good:
            return
        recent = [one for at, one in self.results if at > bucket - 10]
        in_a_row = 0 < self.policy.consecutive <= self.row
        too_many = (
            self.policy.ratio is not None
            and len(recent) >= self.policy.requests
            and recent.count(False) >= self.policy.ratio * len(recent)
        )
        if (in_a_row or too_many) and self.spare:
            self.open_for(self.policy.open_s)

    @rule(state=st.sampled_from(("open", "closed", None, None)))
    def by_hand(self, state: str | None) -> None:
        self.breaker.force(state, self.now)
        if state is not None:
            self.forced = True
            self.turn(state)
        elif self.forced:
            self.forced = False
            self.turn("closed")

    @invariant()
    def both_agree(self) -> None:
        if not hasattr(self, "breaker"):
            return
        assert self.breaker.state == self.state
        assert self.breaker.forced == self.forced
        assert self.heard == self.expected


class GroupMachine(RuleBasedStateMachine):
    """Whatever happens: who is picked may be sent a request, and nobody is picked only if nobody may be."""

    @initialize(
        policy=nervous,
        balance=st.sampled_from(("least-request", "round-robin", "random", "hash")),
        zone_first=st.booleans(),
        slow_start_s=st.sampled_from((0.0, 5.0)),
        seed=st.integers(0, 1 << 16),
    )
    def start(
        self, policy: Settings, balance: str, zone_first: bool, slow_start_s: float, seed: int
    ) -> None:
        self.now = 100.0
        self.settings = Upstream(
            service="s",
            breaker=policy,
            balance=balance,
            zone_first=zone_first,
            slow_start_s=slow_start_s,
        )
        self.random = Random(seed)
        self.states: dict[Endpoint, str] = {}
        self.group = EndpointGroup(self.settings, "east", self.random, self.changed)
        self.under_way: list[tuple[Endpoint, int]] = []
        specs = [
            EndpointSpec("i", name, 80, zone=zone)
            for name, zone in zip("abcd", ("east", "west") * 2, strict=True)
        ]
        self.group.update(specs, self.settings, self.now)

    def changed(self, endpoint: Endpoint, old: str, new: str, why: str) -> None:
        assert self.states.get(endpoint, "closed") == old
        assert endpoint in self.group.endpoints
        self.states[endpoint] = new

    @rule(
        specs=st.lists(
            st.builds(
                EndpointSpec,
                id=st.just("i"),
                address=st.sampled_from("abcdefgh"),
                port=st.just(80),
                weight=st.sampled_from((0, 1, 1, 2, 9)),
                zone=st.sampled_from(("east", "west", "")),
                healthy=st.sampled_from((True, True, True, False)),
            ),
            max_size=8,
        )
    )
    def update(self, specs: list[EndpointSpec]) -> None:
        before = set(self.group.endpoints)
        gone = self.group.update(specs, self.settings, self.now)
        after = set(self.group.endpoints)
        assert set(gone) == before - after
        assert {one.spec.address for one in after} == {spec.address for spec in specs}

    @rule(
        policy=nervous, balance=st.sampled_from(("least-request", "round-robin", "random", "hash"))
    )
    def configure(self, policy: Settings, balance: str) -> None:
        self.settings = self.settings.replace(breaker=policy, balance=balance)
        specs = [one.spec for one in self.group.endpoints]
        assert self.group.update(specs, self.settings, self.now) == []

    @rule(lapse_s=lapses)
    def wait(self, lapse_s: float) -> None:
        self.now += lapse_s

    @rule(
        key=st.none() | st.integers(0, 1 << 32),
        tried=st.sets(st.integers(0, 9), max_size=3),
        begins=st.booleans(),
    )
    def pick(self, key: int | None, tried: set[int], begins: bool) -> None:
        members = self.group.endpoints
        before = [one for index, one in enumerate(members) if index in tried]
        weighty = [one for one in members if one.weight]
        healthy = [one for one in weighty if one.spec.healthy] or weighty
        # Asked without asking: to ask would make an open one half-open.
        admitting = [one for one in healthy if one.breaker.retry_after(self.now) == 0.0]
        fresh = [one for one in admitting if one not in before]
        assert self.group.retry_after(self.now) == 0.0 or not admitting
        found = self.group.pick(self.now, key, before)
        if found is None:
            assert admitting == []
            assert self.group.retry_after(self.now) > 0.0
            return
        assert found in admitting
        assert found.breaker.admits(self.now)
        assert found in fresh or not fresh
        if self.settings.zone_first:
            among = fresh or admitting
            ours = [one for one in among if one.spec.zone == "east"]
            assert found in ours or not ours
        if begins:
            found.active += 1
            self.under_way.append((found, found.breaker.begin(self.now)))

    @precondition(lambda self: self.under_way)
    @rule(which=st.integers(0, 1 << 20), outcome=st.sampled_from(("good", "bad", "bad", "none")))
    def finish(self, which: int, outcome: str) -> None:
        endpoint, token = self.under_way.pop(which % len(self.under_way))
        endpoint.active -= 1
        ejected = self.ejected()
        if outcome == "none":
            endpoint.breaker.cancel(token, self.now)
        else:
            endpoint.breaker.end(token, outcome == "good", self.now)
        # A failure ejects no more than the share, whoever else is out already.
        share = self.settings.breaker.share
        most = max(1, int(share * len(self.group.endpoints)))
        assert self.ejected() <= max(ejected, most)

    @rule(count=st.integers(1, 30))
    def an_outage(self, count: int) -> None:
        for _ in range(count):
            found = self.group.pick(self.now, self.random.getrandbits(32), [])
            if found is None:
                break
            found.breaker.end(found.breaker.begin(self.now), False, self.now)

    @precondition(lambda self: self.group.endpoints)
    @rule(which=st.integers(0, 1 << 20), state=st.sampled_from(("open", "closed", None, None)))
    def by_hand(self, which: int, state: str | None) -> None:
        members = self.group.endpoints
        members[which % len(members)].breaker.force(state, self.now)

    def ejected(self) -> int:
        return sum(one.breaker.state != "closed" for one in self.group.endpoints)

    @invariant()
    def what_was_heard_is_what_is(self) -> None:
        if hasattr(self, "group"):
            for endpoint in self.group.endpoints:
                assert self.states.get(endpoint, "closed") == endpoint.breaker.state


thorough = settings(
    max_examples=40,
    stateful_step_count=50,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
TestBreaker = BreakerMachine.TestCase
TestBreaker.settings = thorough
TestGroup = GroupMachine.TestCase
TestGroup.settings = settings(thorough, max_examples=40)
