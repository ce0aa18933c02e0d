"""The settings are parsed before every app that has any; what that imports is what the app waits for, and nobody adds to it unseen."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SRC = os.path.join(os.path.dirname(__file__), "..", "..", "..", "src")
SLOW = {
    "typing", "collections", "functools", "contextlib", "enum", "re", "json", "tomllib", "datetime", "warnings", "string",
    "inspect", "dataclasses", "argparse", "logging", "asyncio", "msgspec", "socket", "signal", "difflib", "shlex", "copy",
}  # fmt: skip


def loaded(path: str | None, *overrides: str) -> set[str]:
    """The modules of a process that has read the plan, as the keeper's child does."""
    code = (
        f"import sys; sys.path.insert(0, {SRC!r}); from pillion.cli.plan import read_plan;"
        f"read_plan({path!r}, {list(overrides)!r}); print(*sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


@pytest.mark.parametrize(
    "override",
    ["agent.wait=0s", "app.port=3000", 'app.restart="always"', "api.probe_listen=127.0.0.1:0"],
)
def test_what_is_said_by_set_needs_no_slow_module(override: str) -> None:
    command = 'app.command=["node", "server.js", "--say=\\u0022it\\u0022"]'
    assert loaded(None, override, command) & SLOW == set()


def test_a_file_needs_the_parser_of_toml_and_what_that_needs(tmp_path: object) -> None:
    path = f"{tmp_path}/pillion.toml"
    with open(path, "w") as file:
        file.write('[app]\ncommand = ["node"]\nstop_timeout = "3s"\n')
    slow = loaded(path) & SLOW
    assert "tomllib" in slow
    assert not slow & {"json", "inspect", "dataclasses", "argparse", "asyncio", "msgspec", "shlex"}
