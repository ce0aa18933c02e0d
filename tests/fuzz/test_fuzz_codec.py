"""The coverage-guided fuzzer, for a bounded time: a few seconds with every run, minutes under `soak`.

A finding fails the test with the input and the line that shows it again.
"""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

_PROGRAM = os.path.join(os.path.dirname(__file__), "fuzz_codec.py")
# What the seeds alone reach is above this: less means that the fuzzer does not see the sources.
_SHARE = {"request": 0.6, "answer": 0.45, "prelude": 0.85}


def _fuzz(target: str, folder: Path, *, seconds: int, seed: int) -> None:
    command = [sys.executable, _PROGRAM, target, "--crashes", str(folder)]
    command += ["--seconds", str(seconds), "--seed", str(seed)]
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=seconds + 90, check=False
    )
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stdout}{done.stderr}"
    summary = json.loads(done.stdout)
    assert summary["share"] >= _SHARE[target], summary
    assert summary["corpus"] >= 10, summary


@pytest.mark.parametrize("target", sorted(_SHARE))
def test_no_bytes_break_what_reads_them(target: str, tmp_path: Path) -> None:
    _fuzz(target, tmp_path, seconds=5, seed=0)


@pytest.mark.soak
@pytest.mark.timeout(600)
@pytest.mark.parametrize("target", sorted(_SHARE))
def test_no_bytes_break_what_reads_them_in_minutes(target: str, tmp_path: Path) -> None:
    # Another seed every day, and the message of a failure names it.
    _fuzz(target, tmp_path, seconds=300, seed=int(time.time() // 86400))
