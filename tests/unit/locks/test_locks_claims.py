"""Who holds, waits, gives up and has lost: dialogues between claims, boards and a store, in virtual time."""

from __future__ import annotations

import pytest

from lock_world import SUBJECT, TTL_S, Agent, World
from pillion.errors import RefusedError
from pillion.locks.claims import (
    MOST_CLAIMS,
    MOST_WAITERS,
    STORE_GRACE_S,
    Confirm,
    End,
    Grant,
    Renew,
    State,
)


def ends(agent: Agent) -> list[End]:
    return [end for _, end in agent.finished]


def test_a_free_lock_is_held_at_once() -> None:
    agent = Agent(World(), 1)
    claim = agent.take()
    assert claim.state is State.HELD
    assert agent.granted == [claim]
    assert claim.token == 1
    assert claim.until_s == agent.world.now_s + TTL_S


def test_it_is_not_held_before_the_store_says_so() -> None:
    agent = Agent(World(), 1)
    claim = agent.claim()
    assert agent.settle() == []
    agent.write(claim)
    assert agent.settle() == [], "the board has not come so far"
    agent.hear()
    assert agent.settle() == [Grant(claim)]
    assert agent.settle() == [], "once"


def test_the_next_has_it_when_the_first_releases() -> None:
    world = World()
    one, two = Agent(world, 1), Agent(world, 2)
    first, second = one.take(), two.take()
    assert second.state is State.WAITING
    world.delete(first.key)
    one.claims.finish(first, End.RELEASED)
    one.settle()
    two.hear()
    assert two.settle() == [Grant(second)]
    assert second.token > first.token


def test_the_order_is_that_of_asking_over_all_agents() -> None:
    world = World()
    agents = [Agent(world, number) for number in range(4)]
    claims = [agents[n % 4].take(wait_s=600) for n in range(12)]
    order = []
    for _ in claims:
        for agent in agents:
            agent.hear()
            agent.settle()
            agent.confirm()
        (holder,) = [claim for agent in agents for claim in agent.held()]
        order.append(holder)
        next(a for a in agents if holder in a.held()).claims.finish(holder, End.RELEASED)
        for agent in agents:
            agent.settle()
    assert order == claims
    assert [c.token for c in order] == sorted(c.token for c in order)


def test_a_wait_ends_with_its_time_and_leaves_nothing() -> None:
    world = World()
    one, two = Agent(world, 1), Agent(world, 2)
    one.take()
    second = two.take(wait_s=3)
    assert two.claims.next_due_s() == world.now_s + 3
    world.now_s += 3
    two.settle()
    assert ends(two) == [End.TIMED_OUT]
    assert second.key not in world.keys
    assert len(two.claims) == 0
    assert two.claims.next_due_s() is None


def test_no_wait_at_all_still_gets_a_free_lock() -> None:
    world = World()
    one, two = Agent(world, 1), Agent(world, 2)
    assert one.take(wait_s=0).state is State.HELD
    assert two.take(wait_s=0).end is End.TIMED_OUT


def test_a_store_that_does_not_answer_is_no_busy_lock() -> None:
    agent = Agent(World(), 1)
    claim = agent.claim(wait_s=1)
    agent.world.now_s += 1 + STORE_GRACE_S
    agent.settle()
    assert ends(agent) == [End.FAILED]
    # The write comes through after all: nothing of it stays.
    agent.write(claim)
    assert agent.world.keys == {}
    agent.hear()
    assert agent.settle() == []


def test_a_waiters_lease_is_kept_alive_while_it_waits() -> None:
    world = World()
    one, two = Agent(world, 1), Agent(world, 2)
    first, second = one.take(), two.take(wait_s=600)
    for _ in range(30):
        world.now_s += TTL_S / 3
        world.keep_alive(first)
        one.claims.renewed(first, world.now_s)
        assert two.settle() == [Renew(second)]
        world.expire()
    assert world.queue() == [first.key, second.key]


def test_a_lease_that_has_aged_in_the_queue_is_renewed_before_it_is_given() -> None:
    world = World()
    one, two = Agent(world, 1), Agent(world, 2)
    first, second = one.take(), two.take()
    world.now_s += TTL_S / 3.5
    one.claims.finish(first, End.RELEASED)
    one.settle()
    two.hear()
    assert two.settle() == [Confirm(second)]
    assert two.claims.count(State.CONFIRMING) == 1
    two.confirm()
    assert second.state is State.HELD
    assert second.until_s == world.now_s + TTL_S


def test_what_ended_while_it_was_confirmed_is_not_given() -> None:
    world = World()
    one, two = Agent(world, 1), Agent(world, 2)
    first, second = one.take(), two.take()
    world.now_s += TTL_S / 3.5
    one.claims.finish(first, End.RELEASED)
    one.settle()
    two.hear()
    two.settle()
    two.claims.finish(second, End.ABANDONED)
    two.settle()
    assert not two.claims.confirmed(second, world.now_s)
    assert world.queue() == []


def test_a_lease_that_is_not_renewed_ends() -> None:
    agent = Agent(World(), 1)
    claim = agent.take()
    agent.world.now_s += TTL_S - 0.001
    assert agent.settle() == []
    assert agent.claims.renewed(claim, agent.world.now_s)
    agent.world.now_s += TTL_S
    agent.settle()
    assert ends(agent) == [End.EXPIRED]
    assert not agent.claims.renewed(claim, agent.world.now_s)
    assert agent.world.queue() == []


def test_a_clock_that_jumps_ahead_ends_what_is_over() -> None:
    agent = Agent(World(), 1)
    agent.take()
    agent.world.now_s += 1e6
    agent.settle()
    assert ends(agent) == [End.EXPIRED]


@pytest.mark.parametrize("is_first", [True, False])
def test_a_key_that_goes_takes_the_claim_with_it(is_first: bool) -> None:
    world = World()
    other, agent = Agent(world, 1), Agent(world, 2)
    if not is_first:
        other.take()
    claim = agent.take()
    world.delete(claim.key)
    agent.hear()
    agent.settle()
    assert ends(agent) == [End.GONE]


def test_an_agent_that_takes_over_keeps_the_token_and_the_old_one_lets_go() -> None:
    world = World()
    old = Agent(world, 1)
    claim = old.take()
    new = Agent(world, 1)
    new.life = type(new.life)(9, 9)
    entry = world.keys[claim.key].entry
    adopted = new.claim()
    adopted.id = claim.id
    new.claims = type(new.claims)(new.board)
    adopted.state = State.HELD
    adopted.token, adopted.until_s = entry.created, world.now_s + TTL_S
    adopted.revision = world.put(adopted)
    new.claims.adopt(adopted)
    new.hear()
    old.hear()
    old.settle()
    assert ends(old) == [End.HANDED_OVER]
    assert world.queue() == [claim.key], "the old one has kept its hands off"
    assert new.settle() == []
    assert adopted.token == claim.token
    # Its own expiry, with the revision that it knew, does nothing either.
    world.delete(claim.key, claim.token)
    assert world.queue() == [claim.key]


def test_a_value_that_is_written_anew_keeps_its_place() -> None:
    world = World()
    one, two = Agent(world, 1), Agent(world, 2)
    first = one.take()
    second = two.take()
    world.put(first)
    for agent in (one, two):
        agent.hear()
        agent.settle()
    assert first.state is State.HELD
    assert first.revision > second.token > first.token
    assert second.state is State.WAITING


def test_a_lease_is_found_by_who_shows_it_alone() -> None:
    world = World()
    agent = Agent(world, 1)
    first, second = agent.take(), agent.take()
    assert agent.claims.find(SUBJECT, first.record.lease) is first
    assert agent.claims.find(SUBJECT, second.record.lease) is None, "it waits"
    assert agent.claims.find("locks/y", first.record.lease) is None
    assert agent.claims.find(SUBJECT, "") is None


def test_waiters_are_bounded() -> None:
    agent = Agent(World(), 1)
    for _ in range(MOST_WAITERS + 1):
        agent.claim()
    with pytest.raises(RefusedError) as caught:
        agent.claim()
    assert caught.value.status == 503
    for number in range(MOST_CLAIMS - MOST_WAITERS - 1):
        agent.claim(subject=f"locks/{number}")
    with pytest.raises(RefusedError):
        agent.claim(subject="locks/one-more")


def test_a_board_that_begins_anew_loses_what_is_not_there() -> None:
    world = World()
    agent = Agent(world, 1)
    claim = agent.take()
    agent.board.reset(world.revision + 5, [])
    agent.settle()
    assert ends(agent) == [End.GONE]
    assert claim.end is End.GONE


def test_a_board_without_a_store_decides_nothing() -> None:
    agent = Agent(World(), 1)
    claim = agent.take()
    agent.board.forget()
    assert agent.settle() == []
    assert claim.state is State.HELD
