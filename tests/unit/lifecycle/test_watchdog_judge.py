"""The judge in virtual time: near a limit for long enough, or without progress; a pause, a jump and a missing limit are no hang."""

from __future__ import annotations

import os
import resource
from typing import TYPE_CHECKING

import pytest

from pillion.lifecycle.watchdog import Judge, Sample, Wishes
from pillion.lifecycle.watchdog_measure import (
    all_held,
    cpu_seconds,
    descriptor_share,
    output_bytes,
    resident_bytes,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


def run(
    judge: Judge, sample: Callable[[float], Sample], seconds: float, start_s: float = 0.0
) -> tuple[float, str] | None:
    """Sample at the judge's interval; return when and why it took the app for hung."""
    now_s = start_s
    while now_s <= start_s + seconds:
        reason = judge.step(sample(now_s), now_s)
        if reason is not None:
            return now_s - start_s, reason
        now_s += judge.wishes.interval_s
    return None


def near(share: float | None) -> Callable[[float], Sample]:
    return lambda _: Sample(1, memory=share, descriptors=share)


@pytest.mark.parametrize("what", ["memory", "descriptors"])
def test_near_a_limit_for_long_enough_is_a_hang(what: str) -> None:
    judge = Judge(Wishes(**{what: 0.9}, sustained_s=60))
    found = run(judge, near(0.95), 300)
    assert found is not None
    assert 60 <= found[0] <= 60 + judge.wishes.interval_s
    assert found[1] == f"{what}: 95% of its limit, 90% or more for 60 s"


def test_a_peak_is_no_hang() -> None:
    judge = Judge(Wishes(memory=0.9, sustained_s=60))
    assert run(judge, lambda t: Sample(1, memory=0.99 if t % 50 < 40 else 0.5), 3600) is None


def test_below_is_no_hang() -> None:
    assert run(Judge(Wishes(memory=0.9, descriptors=0.9)), near(0.89), 3600) is None


def test_without_a_limit_there_is_nothing_to_be_near_to() -> None:
    assert run(Judge(Wishes(memory=0.9, descriptors=0.9)), near(None), 3600) is None


def test_what_is_said_once_is_said_again_only_after_the_time_anew() -> None:
    judge = Judge(Wishes(memory=0.9, sustained_s=60))
    first = run(judge, near(1.0), 300)
    assert first is not None
    again = run(judge, near(1.0), 300, start_s=first[0] + judge.wishes.interval_s)
    assert again is not None
    assert again[0] >= 60


def test_another_process_has_its_full_time() -> None:
    judge = Judge(Wishes(memory=0.9, sustained_s=60))
    assert run(judge, lambda t: Sample(int(t // 50), memory=1.0), 3600) is None


@pytest.mark.parametrize("pause_s", [61.0, 3600.0, 10**6])
def test_a_pause_is_no_time(pause_s: float) -> None:
    """Two samples with a pause between them: that the app was near before and after says nothing of the time between."""
    judge = Judge(Wishes(memory=0.9, progress_s=60, sustained_s=60))
    for number in range(5):
        sample = Sample(1, memory=1.0, cpu_s=1.0, output_bytes=1)
        assert judge.step(sample, number * pause_s) is None


def test_a_clock_that_goes_back_is_no_time() -> None:
    judge = Judge(Wishes(progress_s=60))
    for number in range(1000):
        assert judge.step(Sample(1, cpu_s=1.0, output_bytes=1), 1000.0 - number) is None


def still(cpu_s: float | None = 1.0, output: int | None = 10) -> Callable[[float], Sample]:
    return lambda _: Sample(1, cpu_s=cpu_s, output_bytes=output)


def test_neither_cpu_nor_output_is_a_hang() -> None:
    judge = Judge(Wishes(progress_s=300))
    found = run(judge, still(), 3600)
    assert found is not None
    assert 300 <= found[0] <= 300 + judge.wishes.interval_s
    assert found[1] == "no progress: no CPU time and no output for 300 s"


@pytest.mark.parametrize(
    "sample",
    [
        lambda t: Sample(1, cpu_s=t / 1000, output_bytes=10),
        lambda t: Sample(1, cpu_s=1.0, output_bytes=int(t)),
        lambda t: Sample(1, cpu_s=1.0 + (t % 200 > 100), output_bytes=None),
        lambda t: Sample(1, cpu_s=None, output_bytes=int(t // 250)),
        lambda t: Sample(1, cpu_s=1.0, output_bytes=1, stopped=True),
        lambda t: Sample(1, cpu_s=None, output_bytes=None),
        lambda t: Sample(int(t // 250), cpu_s=1.0, output_bytes=1),
    ],
    ids=["cpu", "output", "ended child", "output alone", "stopped", "no measure", "restarts"],
)
def test_progress_is_no_hang(sample: Callable[[float], Sample]) -> None:
    assert run(Judge(Wishes(progress_s=300)), sample, 7200) is None


def test_a_timer_that_ticks_is_no_progress() -> None:
    assert run(
        Judge(Wishes(progress_s=60)), lambda t: Sample(1, cpu_s=t * 1e-5, output_bytes=1), 600
    )


def test_after_a_stop_the_app_has_its_full_time() -> None:
    judge = Judge(Wishes(progress_s=60))
    found = run(judge, lambda t: Sample(1, cpu_s=1.0, output_bytes=1, stopped=30 < t < 500), 3600)
    assert found is not None
    assert found[0] >= 550


@pytest.mark.parametrize(
    ("wishes", "interval_s"),
    [
        (Wishes(progress_s=300), 30.0),
        (Wishes(memory=0.9, sustained_s=60), 10.0),
        (Wishes(memory=0.9, sustained_s=0), 0.5),
        (Wishes(descriptors=0.9, sustained_s=60, progress_s=6), 1.0),
    ],
)
def test_it_is_measured_slowly_but_often_enough(wishes: Wishes, interval_s: float) -> None:
    assert wishes.any
    assert wishes.interval_s == pytest.approx(interval_s)


def test_nothing_wished_is_nothing_measured() -> None:
    assert not Wishes().any


def test_this_process_can_be_measured() -> None:
    own = [os.getpid()]
    cpu_s, resident, share = cpu_seconds(own), resident_bytes(own), descriptor_share(own)
    assert cpu_s is not None
    assert cpu_s > 0
    assert resident is not None
    assert resident > 1 << 20
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    assert share == pytest.approx(len(os.listdir("/proc/self/fd")) / soft, abs=2 / soft)
    assert not all_held(own)


def test_who_is_gone_is_no_measure() -> None:
    gone = [2**22 + 1]
    assert cpu_seconds(gone) is resident_bytes(gone) is descriptor_share(gone) is None
    assert not all_held(gone)


def test_output_is_where_the_newest_segment_ends(tmp_path: Path) -> None:
    assert output_bytes(str(tmp_path)) is None
    (tmp_path / "stdout").mkdir()
    assert output_bytes(str(tmp_path)) == 0
    (tmp_path / "stdout" / f"{100:020}.seg").write_bytes(b"x" * 50)
    (tmp_path / "stdout" / f"{7:020}.seg").write_bytes(b"x" * 93)
    (tmp_path / "stdout" / "other").write_bytes(b"x" * 1000)
    assert output_bytes(str(tmp_path)) == 150
