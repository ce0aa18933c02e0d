"""A ring under any order of reads, writes, failures and deaths: every byte is delivered once, in order, or counted."""

from __future__ import annotations

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from ring_model import ROOM, Driver, Killed

from pillion.keeper.ring import BLOCK, DROP_NEWEST, DROP_OLDEST

lengths = st.one_of(st.integers(1, 300), st.integers(ROOM // 3, ROOM), st.just(ROOM))
# How many stores into the shared memory the process still lives to make; 0 is all.
deaths = st.one_of(st.just(0), st.integers(1, 4))


class RingMachine(RuleBasedStateMachine):
    driver: Driver

    @initialize(full=st.sampled_from([DROP_OLDEST, DROP_NEWEST, BLOCK]), slabs=st.integers(3, 5))
    def create(self, full: str, slabs: int) -> None:
        self.driver = Driver(full, slabs)

    @rule(length=lengths, left=deaths)
    def read(self, length: int, left: int) -> None:
        self.driver.ring.left = left
        try:
            self.driver.read(length)
        except Killed:
            self.driver.crash()
        self.driver.ring.left = 0

    @precondition(lambda self: self.driver.batch is None)
    @rule(left=deaths)
    def take(self, left: int) -> None:
        self.driver.ring.left = left
        try:
            self.driver.take()
        except Killed:
            self.driver.crash()
        self.driver.ring.left = 0

    @precondition(lambda self: self.driver.batch is not None)
    @rule(chunks=st.one_of(st.just(1 << 30), st.integers(0, 5)), left=deaths)
    def write(self, chunks: int, left: int) -> None:
        length = self.driver.write(chunks)
        self.driver.ring.left = left
        try:
            self.driver.release(length)
        except Killed:
            self.driver.crash()
        self.driver.ring.left = 0

    @rule()
    def crash(self) -> None:
        self.driver.crash()

    @invariant()
    def nothing_is_both_skipped_and_kept(self) -> None:
        assert self.driver.ring.dropped <= self.driver.ring.next_offset - sum(
            len(data) for _, data in self.driver.delivered
        )
        if self.driver.full == BLOCK:
            assert self.driver.ring.dropped == 0

    def teardown(self) -> None:
        if hasattr(self, "driver"):
            self.driver.check()
            if self.driver.full == DROP_NEWEST:
                assert self.driver.ring.dropped <= self.driver.skipped
            self.driver.close()


TestRing = RingMachine.TestCase
TestRing.settings = settings(
    max_examples=40,
    stateful_step_count=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow],
)
