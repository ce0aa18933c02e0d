"""Whether the app's writes wait for a disk that hangs under whoever keeps its output."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING

from bench.disk import Disk
from bench.figure import PILLION, Figure, Row, Target
from bench.peers import CIRCUSD, SUPERVISORD, TINI
from bench.spool import held
from bench.workbench import Bench, wait_for
from bench.writing import LINE_BYTES, Writer, under_peer, under_pillion

if TYPE_CHECKING:
    from bench.writing import Host, Report

_RATE = 20_000
_FLOWING_BYTES = 256 * 1024
_TINI = f"{TINI}, output to a file"
_TARGET = Target(50)


def run(bench: Bench) -> list[Row]:
    """Let the disk hang under each of them in turn."""
    disk = Disk(bench)
    hang_s = bench.seconds(3, 1)
    longest: dict[str, list[float]] = {}
    lost: list[float] = []
    for number in range(bench.runs(3)):
        bench.say(f"round {number + 1}")
        for name in (PILLION, SUPERVISORD, CIRCUSD, _TINI):
            # What a peer does is certain to the millisecond; once shows it.
            if number and name != PILLION:
                continue
            report, missing = _hang(bench, disk, name, hang_s)
            longest.setdefault(name, []).append(report.longest_ms)
            if name == PILLION:
                lost.append(missing)
    note = f"the disk hangs for {hang_s:g} s"
    rows = [
        Row("longest write of the app", name, "ms", got, _TARGET if name == PILLION else None, note)
        for name, got in longest.items()
    ]
    rows.append(
        Row("lines missing afterwards", PILLION, "lines", lost, Target(0), "counted in the spool")
    )
    return rows


def _hang(bench: Bench, disk: Disk, name: str, hang_s: float) -> tuple[Report, float]:
    folder = f"{disk.path}/{bench.fresh('h').rpartition('/')[2]}"
    os.mkdir(folder)
    # It writes for some time after the disk has come back: what was held up must flow off.
    writer = Writer(bench, rate=_RATE, lines=int(_RATE * (hang_s + bench.seconds(2, 1))))
    if name == PILLION:
        host = under_pillion(bench, writer, folder, ["logs.mirror=false"])
    else:
        host = under_peer(bench, name.partition(",")[0], writer, folder)
    try:
        writer.wait_started()
        writer.begin()
        wait_for(lambda: _bytes_in(folder) > _FLOWING_BYTES, f"output on the disk under {name}")
        with disk.frozen(hang_s):
            time.sleep(hang_s)
        report = writer.report()
    finally:
        host.stop()
    return report, _missing(host, report)


def _missing(host: Host, report: Report) -> float:
    if host.instance is None:
        return 0.0
    (run,) = os.listdir(host.instance.spool)
    return report.lines - held(f"{host.instance.spool}/{run}/stdout").lines


def _bytes_in(folder: str) -> int:
    return sum(
        os.path.getsize(f"{where}/{name}")
        for where, _, names in os.walk(folder)
        for name in names
        if name.endswith((".seg", ".out"))
    )


FIGURE = Figure(
    name="disk-hang",
    says=f"The longest write of an app that prints {_RATE:,} lines of {LINE_BYTES} bytes a second while the disk under its output hangs.",
    target="no write of the app longer than 50 ms while the disk hangs for 3 s",
    run=run,
    peers=(TINI, SUPERVISORD, CIRCUSD),
    caveats=(
        "The disk is an ext4 image on a loop device, frozen and thawed (fsfreeze). It needs root.",
    ),
)
