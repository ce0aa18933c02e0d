"""The shipper against SIGKILL, receivers that misbehave, full disks and damaged spools."""

from __future__ import annotations

import os
import random
import subprocess
import threading
from collections import Counter
from typing import TYPE_CHECKING

import pytest

from logs_spooling import Spool
from otlp_receiver import Receiver
from shipper_process import RUN, ShipperProcess, wait_for

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    with Receiver(str(tmp_path / "received.ndjson")) as running:
        yield running


def settings(receiver: Receiver, more: str = "") -> str:
    return f'[telemetry]\notlp = "{receiver.url}"\nbatch = {{ wait = "20ms" }}\n{more}\n'


def bodies(receiver: Receiver) -> list[str]:
    return [one["body"] for one in receiver.records()]


def counted(shipper: ShipperProcess, name: str) -> float:
    """What the last heartbeat counted for the receiver."""
    if shipper.keeper is not None:
        shipper.listen()
    found: float = shipper.stats.get(name, {}).get("sink", {}).get("otlp", 0)
    return found


class Writer(threading.Thread):
    """Numbered lines, about 20,000 a second, rolling every so often."""

    def __init__(self, spool: Spool) -> None:
        super().__init__()
        self.spool = spool
        self.lines = 0
        self.offsets: dict[int, str] = {}
        self.done = threading.Event()

    def run(self) -> None:
        part = b""
        while not self.done.wait(0.005):
            text = b"".join(
                b"line %07d\n" % number for number in range(self.lines, self.lines + 100)
            )
            self.lines += 100
            # Chunks end anywhere, as reads of a pipe do.
            data = part + text
            cut = len(data) - 5
            self.spool.write(data[:cut])
            part = data[cut:]
            if self.lines % 5000 == 0:
                self.spool.roll()
        self.spool.write(part)


def test_every_line_arrives_over_many_kills_and_positions_prove_the_duplicates(
    tmp_path: Path, receiver: Receiver
) -> None:
    random.seed(4)
    small = 'batch = { wait = "20ms", size = "16K" }'
    toml = f'[telemetry]\notlp = "{receiver.url}"\n{small}\n'
    with ShipperProcess(str(tmp_path), toml) as shipper:
        writer = Writer(Spool(shipper.state_dir, run=RUN))
        writer.start()
        at_kill: list[int] = []
        try:
            for _ in range(10):
                shipper.start()
                before = receiver.counts()["records"]
                wanted = before + random.randrange(1, 3000)
                wait_for(lambda wanted=wanted: receiver.counts()["records"] >= wanted, "progress")  # type: ignore[misc]
                shipper.kill()
                at_kill.append(shipper.positions().get("stdout", 0))
        finally:
            writer.done.set()
            writer.join()
        shipper.start()
        wait_for(lambda: shipper.positions().get("stdout") == writer.spool.offset, "every line", 30)
        assert shipper.stop() == 0
    assert set(bodies(receiver)) == {f"line {number:07d}" for number in range(writer.lines)}
    assert at_kill == sorted(at_kill)
    times = Counter(one["offset"] for one in receiver.records())
    for offset, count in times.items():
        allowed = sum(position <= offset for position in at_kill)
        assert count - 1 <= allowed, f"offset {offset} came {count} times"
    # The bytes of the stream are in the records' offsets: line n begins at 13 n.
    assert set(times) == {13 * number for number in range(writer.lines)}


def test_a_receiver_that_is_away_is_waited_for_and_said_once(
    tmp_path: Path, receiver: Receiver
) -> None:
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN)
        receiver.stop()
        spool.write(b"while away\n")
        shipper.start()
        wait_for(lambda: shipper.told("shipping-stalled"), "the stall is told")
        receiver.start()
        wait_for(lambda: bodies(receiver) == ["while away"], "what waited", 30)
        wait_for(lambda: shipper.told("shipping-resumed"), "that it goes on")
        spool.write(b"afterwards\n")
        wait_for(lambda: bodies(receiver) == ["while away", "afterwards"], "what came later")
        assert shipper.stop() == 0
        kinds = [event["kind"] for event in shipper.events]
        assert kinds == ["shipping-stalled", "shipping-resumed"]
        assert shipper.stats["log_retries_total"]["sink"]["otlp"] >= 1


@pytest.mark.parametrize("mode", ["hang", "unread", "reset"])
def test_a_receiver_that_does_not_answer_is_bounded_and_tried_again(
    tmp_path: Path, receiver: Receiver, mode: str
) -> None:
    with ShipperProcess(str(tmp_path), settings(receiver, 'timeout = "300ms"')) as shipper:
        spool = Spool(shipper.state_dir, run=RUN)
        for index in range(20):
            spool.write(b"%d " % index + b"x" * 100_000 + b"\n")
        receiver.set(mode)
        shipper.start()
        wait_for(lambda: receiver.counts()["refused"] >= 2, "two attempts")
        # Heartbeats go on: the loop never waits for a receiver.
        shipper.said.clear()
        wait_for(lambda: shipper.heard("heartbeat"), "a heartbeat")
        receiver.set("ok")
        wait_for(lambda: len({one["offset"] for one in receiver.records()}) == 20, "every line")
        assert shipper.stop() == 0
    assert [body.split()[0] for body in dict.fromkeys(bodies(receiver))] == [
        str(index) for index in range(20)
    ]


def test_what_may_be_retried_is_and_what_may_not_is_dropped_and_counted(
    tmp_path: Path, receiver: Receiver
) -> None:
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN)
        shipper.start()
        receiver.set("503", times=2, retry_after="0")
        spool.write(b"retried\n")
        wait_for(lambda: bodies(receiver) == ["retried"], "the retried line")
        receiver.set("400", times=1)
        spool.write(b"refused\n")
        wait_for(lambda: shipper.told("output-lost"), "the loss is told")
        receiver.set("partial:1", times=1)
        spool.write(b"partly\n")
        wait_for(lambda: "partly" in bodies(receiver), "the batch of which one was rejected")
        spool.write(b"taken\n")
        wait_for(lambda: "taken" in bodies(receiver), "the next line")
        wait_for(lambda: shipper.positions() == {"stdout": spool.offset}, "the position")
        wait_for(lambda: counted(shipper, "log_rejected_records_total") == 1, "the count")
        assert shipper.stop() == 0
    assert bodies(receiver) == ["retried", "partly", "taken"]
    assert [event["data"]["records"] for event in shipper.events] == [1, 1]
    assert "400" in shipper.events[0]["reason"]
    assert counted(shipper, "log_dropped_records_total") == 1
    assert counted(shipper, "log_retries_total") == 2


def test_a_stop_with_a_receiver_that_hangs_ends_in_time_and_loses_nothing(
    tmp_path: Path, receiver: Receiver
) -> None:
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN)
        spool.write(b"kept\n")
        receiver.set("hang")
        shipper.start()
        wait_for(lambda: receiver.counts()["refused"] >= 1, "an attempt")
        assert shipper.stop(grace_s=1.0) == 0
        assert shipper.positions() == {}
        receiver.set("ok")
        shipper.start()
        wait_for(lambda: bodies(receiver) == ["kept"], "the line")


def test_a_full_disk_under_the_positions_stops_no_shipping(
    tmp_path: Path, receiver: Receiver
) -> None:
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        positions = f"{shipper.state_dir}/positions"
        os.makedirs(positions)
        subprocess.run(
            ["mount", "-t", "tmpfs", "-o", "size=4k,nr_inodes=20", "tmpfs", positions], check=True
        )
        try:
            spool = Spool(shipper.state_dir, run=RUN)
            with open(f"{positions}/filler", "wb") as filler:
                filler.write(b"x" * 4096)
            shipper.start()
            spool.write(b"one\n")
            wait_for(lambda: shipper.told("failed"), "the full disk is told")
            spool.write(b"two\n")
            wait_for(lambda: bodies(receiver) == ["one", "two"], "both lines")
            os.unlink(f"{positions}/filler")
            wait_for(lambda: shipper.positions() == {"stdout": 8}, "the position, later")
            assert shipper.stop() == 0
        finally:
            shipper.close()
            subprocess.run(["umount", positions], check=True)
        assert [event["kind"] for event in shipper.events] == ["failed"]


def test_a_damaged_spool_loses_what_is_damaged_and_says_so(
    tmp_path: Path, receiver: Receiver
) -> None:
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN)
        for index in range(30):
            spool.write(b"line %02d\n" % index)
            if index in (9, 19):
                spool.roll()
        names = sorted(os.listdir(spool.directory))
        with open(f"{spool.directory}/{names[0]}", "r+b") as file:
            file.seek(32 + 3 * 40 + 35)
            file.write(b"#")  # in the payload of the fourth chunk
        os.truncate(f"{spool.directory}/{names[1]}", 32 + 5 * 40 + 7)
        os.makedirs(f"{shipper.state_dir}/spool/not-a-run/stdout")
        with open(f"{shipper.state_dir}/spool/not-a-run/stdout/{names[0]}", "wb") as file:
            file.write(os.urandom(1000))
        shipper.start()
        wait_for(lambda: "line 29" in bodies(receiver), "the last line")
        wait_for(lambda: shipper.told("output-lost"), "the damage is told")
        assert shipper.stop() == 0
    expected = {0, 1, 2, *range(5, 10), *range(10, 15), *range(21, 30)}
    shown = [body for body in bodies(receiver) if body.startswith("line")]
    assert shown == [f"line {index:02d}" for index in sorted(expected)]
    losses = [one for one in receiver.records() if "lost" in one["body"]]
    assert [
        (
            one["offset"],
            one["attributes"]["pillion.lost.bytes"],
            one["attributes"]["pillion.lost.why"],
        )
        for one in losses
    ] == [(24, 8, "damaged"), (120, 40, "damaged")]


def test_an_old_position_file_that_is_damaged_ships_everything_again(
    tmp_path: Path, receiver: Receiver
) -> None:
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        os.makedirs(f"{shipper.state_dir}/positions")
        with open(f"{shipper.state_dir}/positions/otlp.json", "wb") as file:
            file.write(b'{"v":1,"positions":{"2026')
        Spool(shipper.state_dir, run=RUN).write(b"again\n")
        shipper.start()
        wait_for(lambda: bodies(receiver) == ["again"], "the line")
        assert shipper.stop() == 0
        assert [event["kind"] for event in shipper.events] == ["failed"]
