"""Whatever the disk, the terminal or the receiver does, the app's writes stay short and every loss is counted to the byte."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from typing import TYPE_CHECKING, Any

import pytest

from instance import wait_for
from otlp_receiver import Receiver

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from instance import Host, Instance

WRITER = os.path.join(
    os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))), "paced_writer.py"
)
RATE = 20_000
LONG_S = 60
"""For longer than all that happens to the writer takes on a busy machine; it is told to end."""
LONGEST_MS = 50


class Disk:
    """A small ext4 file system of our own, whose writes can be made to hang."""

    def __init__(self, root: str, megabytes: int) -> None:
        self.image, self.path = os.path.join(root, "disk.img"), os.path.join(root, "disk")
        with open(self.image, "wb") as file:
            file.truncate(megabytes << 20)
        subprocess.run(["mkfs.ext4", "-q", "-O", "^has_journal", self.image], check=True)
        os.mkdir(self.path)
        subprocess.run(["mount", "-o", "loop", self.image, self.path], check=True)
        self._frozen = False

    def freeze(self, seconds: float) -> None:
        """Let every write hang for a time; the thaw comes from a process of its own, whatever happens to us."""
        thaw = subprocess.Popen(["sh", "-c", f"sleep {seconds}; exec fsfreeze -u {self.path}"])
        subprocess.run(["fsfreeze", "-f", self.path], check=True)
        assert thaw.wait(seconds + 10) == 0

    def close(self) -> None:
        """Unmount; what is still busy goes when it is closed."""
        subprocess.run(["umount", "-l", self.path], check=True)


@pytest.fixture
def disk(host: Host) -> Iterator[Disk]:
    made = Disk(host.root, 200)
    host.state = os.path.join(made.path, "state")
    try:
        yield made
    finally:
        for instance in host.instances:
            instance.close()
        made.close()


def writer(host: Host, seconds: float, rate: int = RATE, **options: Any) -> tuple[Instance, str]:
    """Start the paced writer; returns the instance and where its report will be."""
    report = os.path.join(host.root, "report")
    return host.run(sys.executable, WRITER, str(rate), str(seconds), report, **options), report


def read_report(path: str) -> dict[str, float]:
    """Return what the writer said of itself."""
    with open(path) as file:
        report: dict[str, float] = json.load(file)
    return report


def check_complete(instance: Instance, report: dict[str, float]) -> None:
    """Every line is in the spool, once, in order."""
    data = instance.spooled("stdout")
    assert len(data) == report["bytes"]
    numbers = [int(line.split()[1]) for line in data.splitlines()]
    assert numbers == list(range(int(report["lines"])))


def check_accounted(instance: Instance, report: dict[str, float]) -> int:
    """What is in the spool and the gaps between add up to what was written; returns the bytes lost."""
    expected = lost = held = 0
    for offset, data in instance.chunks("stdout"):
        lost += offset - expected
        held += len(data)
        expected = offset + len(data)
    assert held + lost == expected
    assert expected == report["bytes"]
    return lost


def ended(instance: Instance) -> None:
    """Have the writer write no more, and wait for the end of it all."""
    os.kill(instance.component("app")["pid"], signal.SIGTERM)
    assert instance.wait(60) == 0


def test_a_disk_that_hangs_costs_the_app_nothing(host: Host, disk: Disk) -> None:
    with open(os.devnull, "wb") as null:
        instance, path = writer(host, LONG_S, stdout=null)
        wait_for("lines are in the spool", lambda: len(instance.spooled("stdout")) > 100_000)
        disk.freeze(3)
        ended(instance)
    report = read_report(path)
    assert report["longest_ms"] < LONGEST_MS
    check_complete(instance, report)


def test_what_a_full_ring_drops_is_counted_to_the_byte(host: Host, disk: Disk) -> None:
    with open(os.devnull, "wb") as null:
        instance, path = writer(
            host, LONG_S, rate=40_000, stdout=null, overrides=['logs.spool.ring="1M"']
        )
        wait_for("lines are in the spool", lambda: len(instance.spooled("stdout")) > 100_000)
        disk.freeze(2)
        dropped = wait_for(
            "the loss is known", lambda: instance.component("scribe")["stats"]["dropped_bytes"]
        )
        assert dropped["stdout"] > 0
        ended(instance)
    report = read_report(path)
    assert report["longest_ms"] < LONGEST_MS
    lost = check_accounted(instance, report)
    assert lost > 0
    told = [e for e in instance.events() if e["kind"] == "output-lost"]
    losses = [e["data"]["stdout"] for e in told if "stdout" in e.get("data", {})]
    assert losses[-1:] == [lost], told


def test_dropping_the_newest_keeps_what_was_there(host: Host, disk: Disk) -> None:
    with open(os.devnull, "wb") as null:
        instance, path = writer(
            host,
            LONG_S,
            rate=40_000,
            stdout=null,
            overrides=['logs.spool.ring="1M"', 'logs.spool.full="drop_newest"'],
        )
        wait_for("lines are in the spool", lambda: len(instance.spooled("stdout")) > 100_000)
        disk.freeze(2)
        size = len(instance.spooled("stdout"))
        # More than the ring holds: what was lost is followed by what was not.
        wait_for("the spool goes on", lambda: len(instance.spooled("stdout")) > size + (2 << 20))
        ended(instance)
    report = read_report(path)
    assert check_accounted(instance, report) > 0


def test_blocking_loses_nothing(host: Host, disk: Disk) -> None:
    with open(os.devnull, "wb") as null:
        instance, path = writer(
            host,
            LONG_S,
            rate=40_000,
            stdout=null,
            overrides=['logs.spool.ring="1M"', 'logs.spool.full="block"'],
        )
        wait_for("lines are in the spool", lambda: len(instance.spooled("stdout")) > 100_000)
        disk.freeze(2)
        ended(instance)
    check_complete(instance, read_report(path))


def test_a_full_disk_costs_the_app_nothing_and_the_spool_goes_on_when_there_is_room(
    host: Host, disk: Disk
) -> None:
    filler = os.path.join(disk.path, "filler")
    with open(os.devnull, "wb") as null:
        instance, path = writer(host, LONG_S, stdout=null, overrides=['logs.spool.ring="1M"'])
        wait_for("lines are in the spool", lambda: len(instance.spooled("stdout")) > 100_000)
        subprocess.run(
            ["dd", "if=/dev/zero", f"of={filler}", "bs=64k"], check=False, capture_output=True
        )
        wait_for(
            "the scribe says so",
            lambda: "No space left" in json.dumps(instance.component("scribe").get("stats", {})),
        )
        size = len(instance.spooled("stdout"))
        os.unlink(filler)
        wait_for("the spool goes on", lambda: len(instance.spooled("stdout")) > size + 100_000)
        ended(instance)
    report = read_report(path)
    assert report["longest_ms"] < LONGEST_MS
    check_accounted(instance, report)


def test_the_quota_drops_the_oldest_segments_whole(host: Host) -> None:
    with open(os.devnull, "wb") as null:
        instance, path = writer(
            host,
            5,
            rate=60_000,
            stdout=null,
            overrides=['logs.spool.size="4M"', 'logs.spool.ring="2M"'],
        )
        assert instance.wait(30) == 0
    report = read_report(path)
    assert report["bytes"] > 8 << 20
    chunks = list(instance.chunks("stdout"))
    assert sum(len(data) for _, data in chunks) < 6 << 20
    # One gap, at the start: what is left is whole and reaches to the end.
    first = chunks[0][0]
    assert first + sum(len(data) for _, data in chunks) == report["bytes"]


def test_a_terminal_that_stops_reading_costs_the_app_nothing(host: Host) -> None:
    read, write = os.pipe()
    instance, path = writer(host, 3, stdout=write)
    os.close(write)
    assert instance.wait(30) == 0
    os.close(read)
    report = read_report(path)
    assert report["longest_ms"] < LONGEST_MS
    check_complete(instance, report)


def test_what_a_slow_terminal_is_not_shown_is_announced_in_its_place(host: Host) -> None:
    read, write = os.pipe()
    instance, path = writer(host, 4, rate=60_000, stdout=write)
    os.close(write)
    wait_for("the mirror is far behind", lambda: len(instance.spooled("stdout")) > 8 << 20)
    seen = bytearray()

    def drain() -> None:
        while data := os.read(read, 1 << 16):
            seen.extend(data)

    thread = threading.Thread(target=drain)
    thread.start()
    assert instance.wait(30) == 0
    thread.join(10)
    os.close(read)
    report = read_report(path)
    lines = bytes(seen).split(b"\n")
    losses = [int(line.split()[1]) for line in lines if line.startswith(b"[pillion:")]
    assert losses
    shown = sum(len(line) + 1 for line in lines if line.startswith(b"line "))
    assert shown + sum(losses) == report["bytes"]
    assert all(line.startswith((b"line ", b"[pillion: ")) for line in lines if line)


def test_a_receiver_that_stops_reading_costs_the_app_nothing(host: Host, tmp_path: Path) -> None:
    with (
        Receiver(str(tmp_path / "records"), "--mode", "hang") as receiver,
        open(os.devnull, "wb") as null,
    ):
        instance, path = writer(
            host,
            3,
            stdout=null,
            overrides=[f'telemetry.otlp="{receiver.url}"', 'telemetry.timeout="1s"'],
        )
        time.sleep(3.5)  # the span of the fault itself
        receiver.set("ok")
        assert instance.wait(60) == 0
    report = read_report(path)
    assert report["longest_ms"] < LONGEST_MS
    check_complete(instance, report)
