"""Counters of a component grow, whoever of its processes comes and goes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pillion.telemetry.process_reading import ProcessIo, ProcessReading, ProcessStat, Switches
from pillion.telemetry.process_totals import ProcessTotals, Totals


def process(
    pid: int, *, started: int = 1, user_s: float = 0.0, io: ProcessIo | None = None
) -> ProcessReading:
    stat = ProcessStat(pid, 1, "S", 0, 0, user_s, 0.0, 1, started, 0, 0)
    return ProcessReading(stat, io=io, switches=Switches(1, 1))


def test_one_that_ends_takes_nothing_with_it() -> None:
    totals = ProcessTotals()
    totals.take([process(1, user_s=1.0), process(2, user_s=5.0)])
    assert totals.totals.user_s == 6.0
    totals.take([process(1, user_s=1.5)])
    assert totals.totals.user_s == 6.5
    totals.take([])
    assert totals.totals.user_s == 6.5


def test_a_pid_that_is_used_again_is_another_process() -> None:
    totals = ProcessTotals()
    totals.take([process(7, started=1, user_s=5.0)])
    totals.take([process(7, started=2, user_s=1.0)])
    assert totals.totals.user_s == 6.0


def test_what_cannot_be_read_for_once_is_counted_once() -> None:
    totals = ProcessTotals()
    totals.take([process(1, io=ProcessIo(10, 0))])
    totals.take([process(1)])
    totals.take([process(1, io=ProcessIo(12, 0))])
    assert totals.totals.read_bytes == 12


def test_what_nobody_tells_is_not_zero() -> None:
    totals = ProcessTotals()
    assert totals.totals == Totals()
    totals.take([process(1)])
    assert totals.totals.read_bytes is None
    assert totals.totals.voluntary == 1


@given(
    st.lists(
        st.dictionaries(st.integers(1, 5), st.integers(0, 100), max_size=5), min_size=1, max_size=20
    )
)
def test_totals_never_shrink(looks: list[dict[int, int]]) -> None:
    totals = ProcessTotals()
    last = 0.0
    for look in looks:
        totals.take([process(pid, user_s=float(used)) for pid, used in look.items()])
        assert totals.totals.user_s is None or totals.totals.user_s >= last
        last = totals.totals.user_s or 0.0
        assert len(totals._before) == len(look)
