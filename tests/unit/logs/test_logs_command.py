"""`pillion logs`: its arguments, its choice of an instance, and its three ways of showing a record."""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from logs_spooling import START_NS, Spool
from pillion.cli import logs
from pillion.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path


def parsed(*argv: str) -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    logs.add_arguments(parser)
    return parser.parse_args(argv)


def shown(tmp_path: Path, *argv: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [
            sys.executable,
            "-c",
            f"import sys; from pillion.cli.main import main; sys.exit(main({['logs', *argv]!r}))",
        ],
        env={
            "PATH": os.environ["PATH"],
            "PILLION_STATE_DIR": str(tmp_path / "state"),
            "PILLION_RUNTIME_DIR": str(tmp_path / "run"),
        },
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )


def test_lines_as_they_were_when_piped(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "state" / "shop"))
    spool.write(b"plain\n\x1b[31mred\x1b[0m\n")
    spool.drop(10)
    spool.write(b"\nlast")
    answer = shown(tmp_path)
    assert answer.stdout == (
        "plain\n\x1b[31mred\x1b[0m\n"
        "-- 10 bytes of stdout were lost (dropped, and the 1 that follow up to the next line) --\nlast\n"
    )
    assert (answer.returncode, answer.stderr) == (0, "")


def test_json_for_programs(tmp_path: Path) -> None:
    Spool(str(tmp_path / "state" / "shop")).write(b'{"level":"warn","msg":"m","n":1}\n')
    (line,) = shown(tmp_path, "--json", "--instance", "shop").stdout.splitlines()
    record = json.loads(line)
    assert (record["stream"], record["offset"], record["level"], record["body"]) == (
        "stdout",
        0,
        "warn",
        "m",
    )
    assert record["attributes"] == {"n": 1}


def test_a_reader_that_has_seen_enough_is_no_error(tmp_path: Path) -> None:
    spool = Spool(str(tmp_path / "state" / "shop"))
    spool.write(b"x" * 100_000 + b"\n" + b"y\n" * 50_000)
    program = "import sys; from pillion.cli.main import main; sys.exit(main(['logs']))"
    with subprocess.Popen(
        [sys.executable, "-c", program],
        env={"PILLION_STATE_DIR": str(tmp_path / "state"), "PILLION_RUNTIME_DIR": str(tmp_path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.read(10)
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(30) == 0


@pytest.mark.parametrize(
    ("argv", "message"),
    [
        (("--level", "loud"), "cannot use --level loud"),
        (("--stream", "stdin"), "cannot read --stream stdin"),
        (("--since", "yesterday"), "cannot read --since yesterday"),
        (("-n", "-1"), "cannot show -1 lines"),
    ],
)
def test_bad_arguments_say_what_to_write(argv: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        logs.wanted_records(parsed(*argv), START_NS / 1e9)


def test_arguments_become_a_query() -> None:
    wanted = logs.wanted_records(
        parsed(
            "--since",
            "10m",
            "--until",
            "2026-11-22T15:15:26Z",
            "--level",
            "warn",
            "--stream",
            "stderr",
            "-n",
            "5",
        ),
        START_NS / 1e9,
    )
    assert wanted.since_ns == START_NS - 600 * 10**9
    assert (wanted.until_ns, wanted.severity, wanted.streams, wanted.limit) == (
        START_NS,
        13,
        ("stderr",),
        5,
    )
    assert logs.wanted_records(parsed("-f"), 0).limit == logs.FOLLOWED_LINES


def test_the_only_instance_that_ever_ran_is_meant(tmp_path: Path) -> None:
    state, runtime = str(tmp_path / "state"), str(tmp_path / "run")
    with pytest.raises(UsageError, match="cannot find any logs"):
        logs.chosen_name(None, {}, runtime, state)
    Spool(f"{state}/shop")
    assert logs.chosen_name(None, {}, runtime, state) == "shop"
    Spool(f"{state}/billing")
    with pytest.raises(UsageError, match="there are billing, shop; add --instance"):
        logs.chosen_name(None, {}, runtime, state)
    assert logs.chosen_name("billing", {}, runtime, state) == "billing"
    assert (
        logs.chosen_name(None, {"PILLION_SOCKET": "/run/pillion/x/api.sock"}, runtime, state) == "x"
    )
    with pytest.raises(UsageError, match="cannot find logs of 'gone'"):
        logs.chosen_name("gone", {}, runtime, state)
