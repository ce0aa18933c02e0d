"""When an app that still answers is taken for hung all the same: too near a limit for too long, or without any progress.

Pure: samples in, a reason or None out. What lies between two samples is counted only as far as samples were to be expected, so that a
paused container, a sleeping laptop or an agent that was away is no silence of the app's.
"""

from __future__ import annotations

import msgspec

# Less is no work: the tick of a timer, a signal handled.
CPU_PROGRESS_S = 0.01
_MIN_INTERVAL_S = 0.5
_MAX_INTERVAL_S = 30.0
# So many samples are taken within the shortest time that matters.
_SAMPLES = 6
# A gap of more intervals than this is counted as one interval: nobody has looked.
_GAP = 2.0


class Wishes(msgspec.Struct, frozen=True):
    """What is to be watched: shares of limits from 0 to 1 for `sustained_s`, and `progress_s`; None is off."""

    memory: float | None = None
    descriptors: float | None = None
    sustained_s: float = 60.0
    progress_s: float | None = None

    @property
    def any(self) -> bool:
        """Whether anything has to be measured at all."""
        return any(one is not None for one in (self.memory, self.descriptors, self.progress_s))

    @property
    def interval_s(self) -> float:
        """How often to measure: slow, but often enough to tell."""
        spans = [] if self.progress_s is None else [self.progress_s]
        if self.memory is not None or self.descriptors is not None:
            spans.append(self.sustained_s)
        return min(max(min(spans, default=0.0) / _SAMPLES, _MIN_INTERVAL_S), _MAX_INTERVAL_S)


class Sample(msgspec.Struct, frozen=True):
    """The app at one moment. `memory` and `descriptors` are shares of their limits, None where there is no limit or no measure.

    `cpu_s` and `output_bytes` only ever grow in one process's life, None where they cannot be measured. `stopped`: all of it is
    stopped, frozen or traced by someone, and does nothing because it may not.
    """

    pid: int
    memory: float | None = None
    descriptors: float | None = None
    cpu_s: float | None = None
    output_bytes: int | None = None
    stopped: bool = False


class Lasting:
    """For how long something has been so without a break, in observed seconds."""

    __slots__ = ("_so", "seconds")

    def __init__(self) -> None:
        self.seconds = 0.0
        self._so = False

    def observe(self, passed_s: float, *, so: bool) -> float:
        """Note whether it is so now, `passed_s` after the last look; return for how long it has been."""
        self.seconds = self.seconds + passed_s if so and self._so else 0.0
        self._so = so
        return self.seconds


class Judge:
    """The state machine over the samples of one app; `step` per sample, `reset` when there is no app."""

    def __init__(self, wishes: Wishes) -> None:
        self.wishes = wishes
        self.reset()

    def reset(self) -> None:
        """Forget everything: another process, or none."""
        self._pid: int | None = None
        self._at_s = 0.0
        self._memory = Lasting()
        self._descriptors = Lasting()
        self._quiet_s = 0.0
        self._cpu_s: float | None = None
        self._output_bytes: int | None = None

    def step(self, sample: Sample, now_s: float) -> str | None:
        """Take a sample at `now_s` (monotonic seconds); return why the app is hung, or None."""
        if sample.pid != self._pid:
            self.reset()
            self._pid, self._at_s = sample.pid, now_s
            self._cpu_s, self._output_bytes = sample.cpu_s, sample.output_bytes
        passed_s = max(0.0, now_s - self._at_s)
        interval_s = self.wishes.interval_s
        if passed_s > interval_s * _GAP:
            passed_s = interval_s
        self._at_s = now_s
        return (
            self._near("memory", self.wishes.memory, sample.memory, self._memory, passed_s)
            or self._near(
                "descriptors",
                self.wishes.descriptors,
                sample.descriptors,
                self._descriptors,
                passed_s,
            )
            or self._stands_still(sample, passed_s)
        )

    def _near(
        self, what: str, most: float | None, share: float | None, lasting: Lasting, passed_s: float
    ) -> str | None:
        if most is None or share is None:
            return None
        over = share >= most
        if lasting.observe(passed_s, so=over) < self.wishes.sustained_s or not over:
            return None
        lasting.observe(0.0, so=False)
        return f"{what}: {share:.0%} of its limit, {most:.0%} or more for {self.wishes.sustained_s:g} s"

    def _stands_still(self, sample: Sample, passed_s: float) -> str | None:
        progress_s = self.wishes.progress_s
        if progress_s is None or (sample.cpu_s is None and sample.output_bytes is None):
            return None
        if self._has_moved(sample):
            self._cpu_s, self._output_bytes = sample.cpu_s, sample.output_bytes
            self._quiet_s = 0.0
            return None
        if sample.stopped:
            # Somebody holds it: that is neither progress nor a hang, and afterwards it has its full time.
            self._quiet_s = 0.0
            return None
        self._quiet_s += passed_s
        if self._quiet_s < progress_s:
            return None
        self._quiet_s = 0.0
        return f"no progress: no CPU time and no output for {progress_s:g} s"

    def _has_moved(self, sample: Sample) -> bool:
        if _known(sample.output_bytes) != _known(self._output_bytes):
            return True
        before, now = self._cpu_s, sample.cpu_s
        if before is None or now is None:
            return before is not now
        # Less than before: a process of it has ended, and took its time along.
        return now - before >= CPU_PROGRESS_S or now < before


def _known(value: int | None) -> int:
    return -1 if value is None else value
