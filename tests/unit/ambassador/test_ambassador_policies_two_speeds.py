"""Compiled or interpreted, the policies decide the same: long random lives, told as transcripts, are compared word by word."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from two_policies import INSTALLED, NAMES, SOURCE

from pillion.ambassador.snapshot import EndpointSpec
from pillion.settings.policies import Breaker as Settings
from pillion.settings.upstreams import Upstream

if TYPE_CHECKING:
    from types import SimpleNamespace

OUTCOMES = ("good", "good", "bad", "bad", "none")


def life_of_a_group(policies: SimpleNamespace, balance: str) -> list[str]:
    """Endpoints that come, go, fail and recover."""
    random = Random(17)
    told: list[str] = []
    breaker = Settings(consecutive=2, ratio=0.5, requests=4, open_s=2.0, trials=2, share=0.6)
    settings = Upstream(
        service="s", breaker=breaker, balance=balance, zone_first=True, slow_start_s=3.0
    )
    group = policies.endpoints.EndpointGroup(
        settings,
        "east",
        Random(3),
        lambda endpoint, old, new, why: told.append(f"{endpoint.key} {old} {new} {why}"),
    )
    now = 50.0
    under_way = []
    for step in range(3_000):
        now += random.random() * 0.2
        if step % 200 == 0:
            specs = [
                EndpointSpec(
                    str(number),
                    f"10.0.0.{number}",
                    80,
                    weight=random.choice((0, 1, 1, 3, 40)),
                    zone=random.choice(("east", "west")),
                    healthy=random.random() < 0.8,
                )
                for number in random.sample(range(12), 8)
            ]
            told.extend(one.key for one in group.update(specs, settings, now))
        key = random.choice((None, random.getrandbits(32)))
        tried = random.sample(group.endpoints, random.choice((0, 0, 1, 3)))
        found = group.pick(now, key, tried)
        told.append(f"{step} {found and found.key} {group.retry_after(now)!r}")
        if found is not None:
            found.active += 1
            under_way.append((found, found.breaker.begin(now)))
        if len(under_way) > random.randrange(10):
            endpoint, token = under_way.pop(random.randrange(len(under_way)))
            endpoint.active -= 1
            outcome = random.choice(OUTCOMES)
            if outcome == "none":
                endpoint.breaker.cancel(token, now)
            else:
                endpoint.breaker.end(token, outcome == "good", now)
        if step % 97 == 0 and group.endpoints:
            hand = random.choice(("open", "closed", None))
            group.endpoints[0].breaker.force(hand, now)
    return told


def life_of_the_rest(policies: SimpleNamespace) -> list[str]:
    """Budgets, buckets and places."""
    random = Random(23)
    told: list[str] = []
    budget = policies.budget.Budget(0.2, 1)
    bucket = policies.rate.Bucket(20.0, 5, 50.0)
    buckets = policies.rate.Buckets(1.5, 2, most=10)
    gate = policies.concurrency.Gate(3, 5)
    tickets = []
    now = 50.0
    for step in range(5_000):
        now += random.random() * 0.1
        budget.request(now)
        told.append(f"{budget.take(now)} {bucket.take(now)!r} {buckets.take(step % 13, now)!r}")
        choice = random.randrange(4)
        if choice < 2:
            if not gate.enter():
                ticket = gate.wait(lambda step=step: told.append(f"in {step}"))
                told.append(str(ticket is None))
                if ticket is not None:
                    tickets.append(ticket)
        elif choice == 2 and gate.active:
            gate.leave()
        elif tickets:
            gate.cancel(tickets.pop(random.randrange(len(tickets))))
        told.append(f"{gate.active} {gate.waiting} {gate.queued} {gate.refused} {gate.cancelled}")
    return told


@pytest.mark.parametrize("balance", ["least-request", "round-robin", "random", "hash"])
def test_a_group_lives_the_same_life(balance: str) -> None:
    told = life_of_a_group(INSTALLED, balance)
    assert told == life_of_a_group(SOURCE, balance)
    # And it was no quiet one.
    assert sum(" open " in line for line in told) > 20
    assert sum(" half-open " in line for line in told) > 20


def test_the_rest_lives_the_same_life() -> None:
    told = life_of_the_rest(INSTALLED)
    assert told == life_of_the_rest(SOURCE)
    assert len(set(told)) > 3_000


@pytest.mark.parametrize("name", NAMES)
def test_the_source_is_interpreted(name: str) -> None:
    assert str(getattr(SOURCE, name).__file__).endswith(".py")
