"""The shipper as a process, from a spool on disk to a real receiver."""

from __future__ import annotations

import json
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
    return f"""
[telemetry]
otlp = "{receiver.url}"
batch = {{ wait = "50ms" }}
{more}
"""


def bodies(receiver: Receiver, stream: str = "stdout") -> list[str]:
    return [one["body"] for one in receiver.records() if one["stream"] == stream]


@pytest.mark.parametrize("more", ["", 'protocol = "http/json"', 'compression = "none"'])
def test_lines_reach_the_receiver_with_what_they_tell(
    tmp_path: Path, receiver: Receiver, more: str
) -> None:
    with ShipperProcess(str(tmp_path), settings(receiver, more)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN)
        spool.write(b'plain\n2026-11-22T15:15:26.5Z ERROR no\n{"level":30,"msg":"pino","n":1}\nha')
        spool.write(b"lf\nb\xc3\xa4d \xff\n")
        shipper.start()
        wait_for(lambda: len(receiver.records()) == 5, "five records")
        assert shipper.stop() == 0
    plain, error, pino, half, bad = receiver.records()
    assert [one["body"] for one in (plain, half, bad)] == ["plain", "half", "bäd \\xff"]
    assert [one["offset"] for one in receiver.records()] == [0, 6, 38, 70, 75]
    assert (error["severity"], error["time_ns"]) == (17, 1_795_360_526_500_000_000)
    assert (pino["body"], pino["severity"]) == ("pino", 9)
    assert pino["attributes"] == {"log.iostream": "stdout", "n": 1}
    assert {(one["run"], one["stream"], one["scope"]) for one in receiver.records()} == {
        (RUN, "stdout", "pillion.app")
    }
    assert plain["resource"]["service.name"] == "shop"


def test_the_last_line_is_shipped_on_stop_even_unfinished(
    tmp_path: Path, receiver: Receiver
) -> None:
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN)
        spool.write(b"first\nla")
        shipper.start()
        wait_for(lambda: bodies(receiver) == ["first"], "the first line")
        spool.write(b"st words")
        assert shipper.stop() == 0
        assert bodies(receiver) == ["first", "last words"]
        assert shipper.positions() == {"stdout": spool.offset}
        # Nothing is shipped again.
        shipper.start()
        wait_for(lambda: shipper.heard("ready"), "ready")
        spool.write(b"more\n")
        wait_for(lambda: "more" in bodies(receiver), "what came later")
        assert bodies(receiver) == ["first", "last words", "more"]


def test_earlier_runs_go_first_and_a_loss_stands_in_its_place(
    tmp_path: Path, receiver: Receiver
) -> None:
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        for number in range(3):
            old = Spool(shipper.state_dir, run=f"20261121T00000{number}-aaaa")
            old.write(b"old %d\nunfinished %d" % (number, number))
        events = Spool(shipper.state_dir, run=RUN, stream="events")
        events.write(b'{"time":"2026-11-22T15:15:26Z","kind":"started","component":"app"}\n')
        spool = Spool(shipper.state_dir, run=RUN)
        spool.write(b"one\n")
        spool.drop(1000)
        spool.write(b"rest\ntwo\n")
        shipper.start()
        wait_for(lambda: "two" in bodies(receiver), "the newest line")
        wait_for(lambda: len(receiver.records()) == 10, "every record")
        assert shipper.stop() == 0
    old_runs = [one["body"] for one in receiver.records() if one["run"] != RUN]
    assert old_runs == [
        text for number in range(3) for text in (f"old {number}", f"unfinished {number}")
    ]
    stdout = [one for one in receiver.records() if one["run"] == RUN and one["stream"] == "stdout"]
    assert [one["body"] for one in stdout] == [
        "one",
        "1000 bytes of stdout were lost (dropped, and the 5 that follow up to the next line)",
        "two",
    ]
    assert stdout[1]["severity"] == 13
    assert stdout[1]["attributes"]["pillion.lost.bytes"] == 1000
    assert stdout[1]["attributes"]["pillion.lost.to"] == 1009
    (event,) = [one for one in receiver.records() if one["stream"] == "events"]
    assert event["scope"] == "pillion.events"


def test_a_passive_shipper_ships_nothing_until_promoted_and_waits_for_its_predecessor(
    tmp_path: Path, receiver: Receiver
) -> None:
    with (
        ShipperProcess(str(tmp_path), settings(receiver)) as old,
        ShipperProcess(str(tmp_path), settings(receiver)) as new,
    ):
        spool = Spool(old.state_dir, run=RUN)
        spool.write(b"0\n")
        old.start()
        wait_for(lambda: bodies(receiver) == ["0"], "the first line")
        new.start(passive=True)
        wait_for(lambda: new.heard("ready"), "the successor is ready")
        spool.write(b"1\n")
        wait_for(lambda: bodies(receiver) == ["0", "1"], "the old one ships on")
        # Promoted before the old one has ended: it has to wait for its positions.
        new.say("promote")
        spool.write(b"2\n")
        old.say("retire", drain_s=5.0)
        wait_for(lambda: old.heard("retired"), "retired")
        assert old.process is not None
        assert old.process.wait(5) == 0
        spool.write(b"3\n")
        wait_for(lambda: "3" in bodies(receiver), "the new one ships on")
        assert new.stop() == 0
        assert bodies(receiver) == ["0", "1", "2", "3"]


def test_log_files_are_followed_through_rename_truncation_and_restart(
    tmp_path: Path, receiver: Receiver
) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    current = logs / "app.log"
    more = f'[logs]\nfiles = ["{logs}/*.log"]\n'
    with ShipperProcess(str(tmp_path), settings(receiver, more)) as shipper:

        def found() -> list[str]:
            return [one["body"] for one in receiver.records()]

        current.write_text("a1\na2\n")
        shipper.start()
        wait_for(lambda: found() == ["a1", "a2"], "the first lines")
        with current.open("a") as writer:
            current.rename(logs / "app.log.1")
            writer.write("a3 after the rename\n")
        current.write_text("b1\n")
        wait_for(lambda: len(found()) == 4, "the rest of the old file, and the new one")
        assert sorted(found()[2:]) == ["a3 after the rename", "b1"]
        current.write_text("c1, a longer line after copytruncate\n")
        wait_for(lambda: len(found()) == 5, "the truncated file from its beginning")
        wait_for(lambda: '"files":{"' in positions_text(shipper), "a position of the file")
        assert shipper.stop() == 0
        # While we are away: more lines, then a rename out of the pattern's sight.
        with current.open("a") as writer:
            writer.write("c2 while away\n")
        current.rename(logs / "app.log.2")
        current.write_text("d1\n")
        shipper.start()
        wait_for(lambda: len(found()) == 7, "what came while away")
        assert sorted(found()[5:]) == ["c2 while away", "d1"]
        assert shipper.stop() == 0
        (record,) = [one for one in receiver.records() if one["body"] == "d1"]
        assert record["attributes"] == {"log.file.path": str(current), "log.file.name": "app.log"}


def positions_text(shipper: ShipperProcess) -> str:
    with open(f"{shipper.state_dir}/positions/otlp.json", encoding="utf-8") as file:
        return file.read()


def test_records_go_to_a_rotating_file_beside_the_receiver(
    tmp_path: Path, receiver: Receiver
) -> None:
    target = tmp_path / "out" / "shop.log"
    more = f'[logs]\nfile = {{ path = "{target}", size = "4K", keep = 50 }}\n'
    with ShipperProcess(str(tmp_path), settings(receiver, more)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN)
        for index in range(200):
            spool.write(b"line %03d\n" % index)
            if index == 100:
                shipper.start()
                wait_for(lambda: shipper.heard("ready"), "ready")
        wait_for(lambda: len(bodies(receiver)) == 200, "all at the receiver")
        wait_for(lambda: shipper.positions("file") == {"stdout": spool.offset}, "all in the file")
        assert shipper.stop() == 0
    # app.log.9 is older than app.log.8, and app.log is the newest.
    files = sorted(target.parent.iterdir(), key=lambda path: -int(path.name[9:] or 0))
    lines = [json.loads(line)["body"] for path in files for line in path.read_text().splitlines()]
    assert lines == [f"line {index:03d}" for index in range(200)]
    assert len(files) > 1


def test_multiline_records_are_joined_and_flushed_when_nothing_follows(
    tmp_path: Path, receiver: Receiver
) -> None:
    more = '[logs.multiline]\npattern = "^\\\\S"\ntimeout = "100ms"\n'
    with ShipperProcess(str(tmp_path), settings(receiver, more)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN)
        spool.write(b"Traceback:\n  one\n  two\nnext\n  last")
        spool.write(b" words\n")
        shipper.start()
        wait_for(lambda: len(bodies(receiver)) == 2, "both records")
        assert bodies(receiver) == ["Traceback:\n  one\n  two", "next\n  last words"]
        assert shipper.stop() == 0


def test_a_stop_right_after_the_start_still_ships_everything(
    tmp_path: Path, receiver: Receiver
) -> None:
    with ShipperProcess(str(tmp_path), settings(receiver)) as shipper:
        spool = Spool(shipper.state_dir, run=RUN)
        for index in range(20):
            spool.write(b"%d\n" % index)
        shipper.start()
        # It lies in the socket before the shipper has read anything.
        assert shipper.stop() == 0
        assert bodies(receiver) == [str(index) for index in range(20)]
        assert shipper.positions() == {"stdout": spool.offset}
