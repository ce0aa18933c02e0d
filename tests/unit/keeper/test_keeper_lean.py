"""The keeper's start is lean because of what it does not import; nobody adds to that unseen."""

from __future__ import annotations

import os
import subprocess
import sys

SRC = os.path.join(os.path.dirname(__file__), "..", "..", "..", "src")
# What starts slowly, and what would make the keeper more than one lean interpreter.
UNWANTED = {
    "typing", "dataclasses", "asyncio", "threading", "subprocess", "shutil", "inspect", "argparse", "logging", "tempfile", "random",
    "tomllib", "contextlib", "msgspec", "uvloop", "pillion.settings", "pillion.cli.main",
    "enum", "re", "signal", "socket", "selectors", "json", "ctypes", "functools", "collections",
}  # fmt: skip


def test_the_keeper_imports_nothing_that_starts_slowly() -> None:
    code = f"import sys; sys.path.insert(0, {SRC!r}); import pillion.cli.entry, pillion.keeper.run; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    assert UNWANTED & set(done.stdout.split()) == set()
