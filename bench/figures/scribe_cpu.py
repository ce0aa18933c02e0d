"""What it costs to take an app's output, at a rate that few apps reach."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.figure import PILLION, Figure, Row, Target
from bench.peers import CIRCUSD, SUPERVISORD
from bench.proc import activity
from bench.sampling import interleave
from bench.writing import LINE_BYTES, Writer, under_peer, under_pillion

if TYPE_CHECKING:
    from bench.workbench import Bench

_RATE = 200_000
_MIRRORED = f"{PILLION}: scribe, with mirror"
_ALONE = f"{PILLION}: scribe"
# "A few percent of a core" in the design, read strictly.
_TARGET = Target(5)


@dataclass(slots=True)
class _Taking:
    """One subject: every sample adds the rate that the writer came to."""

    bench: Bench
    name: str
    rates: dict[str, list[float]]

    def __call__(self) -> float:
        """CPU of who takes the output, in percent of a core at the full rate."""
        bench = self.bench
        seconds = bench.seconds(3, 1)
        writer = Writer(bench, rate=_RATE, lines=int(_RATE * seconds))
        folder = bench.fresh("o")
        if self.name in (_ALONE, _MIRRORED):
            settings = ["logs.mirror=false"] if self.name == _ALONE else []
            host = under_pillion(bench, writer, folder, settings)
        else:
            host = under_peer(bench, self.name, writer, folder)
        try:
            writer.wait_started()
            before = activity(host.pid)
            writer.begin()
            report = writer.report()
            # What is still in its pipe and its memory is work as well.
            time.sleep(0.3)
            spent = activity(host.pid) - before
        finally:
            host.stop()
        self.rates.setdefault(self.name, []).append(report.rate)
        return spent.cpu_ns / 1e9 / report.lines * _RATE * 100


def run(bench: Bench) -> list[Row]:
    """Measure each in turn; a slower writer is a writer that was held up."""
    rates: dict[str, list[float]] = {}
    subjects = {
        name: _Taking(bench, name, rates) for name in (_ALONE, _MIRRORED, SUPERVISORD, CIRCUSD)
    }
    samples = interleave(bench.runs(3), subjects)
    targets = {_ALONE: _TARGET}
    rows = [
        Row("CPU to take 200 k lines/s", name, "% of a core", got, targets.get(name))
        for name, got in samples.items()
    ]
    rows += [Row("rate that the app came to", name, "lines/s", rates[name]) for name in samples]
    return rows


FIGURE = Figure(
    name="scribe-cpu",
    says=f"CPU of whoever takes the output of an app that writes {_RATE:,} lines of {LINE_BYTES} bytes a second, one write(2) each.",
    target="a few percent of a core (section 1 of the design), read as at most 5 %",
    run=run,
    peers=(SUPERVISORD, CIRCUSD),
    caveats=(
        "CPU is counted per line, and told for the full rate: who did not keep up is not cheaper for it.",
        "The mirror goes to /dev/null.",
    ),
)
