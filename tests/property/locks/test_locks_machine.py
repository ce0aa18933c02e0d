"""Any number of agents, in any order of doing, hearing and dying: one holder, growing tokens, and no wake-up lost."""

from __future__ import annotations

from typing import Any

from hypothesis import settings, strategies
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from lock_world import SUBJECT, TTL_S, Agent, World
from pillion.locks.claims import Claim, End, State

NUMBERS = strategies.integers(0, 2)


class Locking(RuleBasedStateMachine):
    """The model: a store that keeps its word, and agents whose boards lag as they like."""

    @initialize()
    def begin(self) -> None:
        self.world = World()
        self.agents = [Agent(self.world, number) for number in range(3)]
        self.unwritten: list[tuple[Agent, Claim]] = []
        self.tokens: list[int] = []
        self.lives = 3

    @rule(number=NUMBERS, wait_s=strategies.sampled_from([0.0, 5.0, 100.0]))
    def ask(self, number: int, wait_s: float) -> None:
        agent = self.agents[number]
        self.unwritten.append((agent, agent.claim(wait_s)))

    @rule(data=strategies.data())
    def write(self, data: Any) -> None:
        if self.unwritten:
            place = data.draw(strategies.integers(0, len(self.unwritten) - 1))
            agent, claim = self.unwritten.pop(place)
            agent.write(claim)

    @rule(number=NUMBERS, steps=strategies.integers(1, 3))
    def hear(self, number: int, steps: int) -> None:
        self.agents[number].hear(steps)

    @rule(number=NUMBERS)
    def settle(self, number: int) -> None:
        self._settle(self.agents[number])

    @rule(number=NUMBERS)
    def confirm(self, number: int) -> None:
        agent = self.agents[number]
        before = len(agent.granted)
        agent.confirm()
        self.tokens += [claim.token for claim in agent.granted[before:]]

    @rule(number=NUMBERS)
    def release(self, number: int) -> None:
        agent = self.agents[number]
        for claim in agent.held():
            self.world.delete(claim.key, claim.revision)
            agent.claims.finish(claim, End.RELEASED)

    @rule(number=NUMBERS)
    def renew(self, number: int) -> None:
        agent = self.agents[number]
        for claim in agent.held():
            if self.world.keep_alive(claim):
                agent.claims.renewed(claim, self.world.now_s)

    @rule(number=NUMBERS)
    def abandon(self, number: int) -> None:
        agent = self.agents[number]
        for claim in agent.claims:
            if claim.state is not State.HELD:
                agent.claims.finish(claim, End.ABANDONED)
                break

    @rule(number=NUMBERS)
    def die(self, number: int) -> None:
        """An instance dies, and its leases with it; another takes its place."""
        dead = self.agents[number]
        # Those of claims that nobody waits for any more as well: a lease ends with its session.
        for key in self.world.queue():
            if key.startswith(f"{SUBJECT}/{dead.life.pid}-"):
                self.world.delete(key)
        self.unwritten = [(agent, claim) for agent, claim in self.unwritten if agent is not dead]
        self.lives += 1
        self.agents[number] = Agent(self.world, self.lives)

    @rule(operator=strategies.booleans())
    def force(self, operator: bool) -> None:
        queue = self.world.queue()
        if operator and queue:
            self.world.delete(queue[0])

    @rule(seconds=strategies.sampled_from([0.5, 3.0, TTL_S / 2, TTL_S]))
    def pass_time(self, seconds: float) -> None:
        self.world.now_s += seconds
        # An agent gives a lease up no later than the store does, if its timers come in time.
        for agent in self.agents:
            self._settle(agent)
        self.world.expire()

    def _settle(self, agent: Agent) -> None:
        before = len(agent.granted)
        agent.settle()
        self.tokens += [claim.token for claim in agent.granted[before:]]

    @invariant()
    def one_holder_at_most(self) -> None:
        if not hasattr(self, "world"):
            return
        holders = [
            claim for agent in self.agents for claim in agent.held() if claim.key in self.world.keys
        ]
        assert len(holders) <= 1
        if holders:
            assert self.world.queue()[0] == holders[0].key

    @invariant()
    def tokens_only_grow(self) -> None:
        if hasattr(self, "world"):
            assert self.tokens == sorted(set(self.tokens))

    def teardown(self) -> None:
        """When all has been written and heard, the first of the queue holds it: no wake-up was lost."""
        if not hasattr(self, "world"):
            return
        for agent, claim in self.unwritten:
            agent.write(claim)
        for _ in range(3):
            for agent in self.agents:
                agent.hear()
                self._settle(agent)
                agent.confirm()
        queue = self.world.queue()
        held = [claim.key for agent in self.agents for claim in agent.held()]
        assert held == queue[:1]
        for agent in self.agents:
            for claim in agent.claims:
                assert claim.key in self.world.keys
                assert claim.subject == SUBJECT


Locking.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLocking = Locking.TestCase
