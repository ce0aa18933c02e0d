"""Every command and every option is documented, has a summary, and can be asked for as JSON."""

from __future__ import annotations

import argparse
import importlib
import re
import subprocess
import sys
from pathlib import Path

import pytest

from pillion.cli.main import COMMANDS, ELSEWHERE, build_parser

DOCS = Path(__file__).parents[2] / "docs" / "commands.md"
# Commands about files, not about an instance, and the two that start one.
WITHOUT_INSTANCE = {"run", "attach", "init", "check", "schema", "completion"}

NAMES = [command.name for command in COMMANDS]
each_command = pytest.mark.parametrize("name", NAMES)


def parsers() -> dict[str, argparse.ArgumentParser]:
    parser = build_parser()
    (action,) = (a for a in parser._actions if isinstance(a, argparse._SubParsersAction))
    return dict(action.choices)


def section(name: str) -> str:
    found = re.search(
        rf"^## pillion {name}$(.*?)(?=^## |\Z)", DOCS.read_text(), re.MULTILINE | re.DOTALL
    )
    assert found is not None, f"docs/commands.md has no section for {name}"
    return found[1]


@each_command
def test_a_command_has_a_section(name: str) -> None:
    assert section(name).strip()


@each_command
def test_every_option_is_documented(name: str) -> None:
    common = {"--help", "--json", "--instance"}
    options = {
        option
        for action in parsers()[name]._actions
        for option in action.option_strings
        if option.startswith("--") and action.help != argparse.SUPPRESS
    }
    text = section(name)
    assert {option for option in options - common if option not in text} == set()


@pytest.mark.parametrize("name", [n for n in NAMES if n not in WITHOUT_INSTANCE])
def test_it_can_be_told_which_instance_and_asked_for_json(name: str) -> None:
    options = {o for action in parsers()[name]._actions for o in action.option_strings}
    assert {"--instance", "--json"} <= options


@pytest.mark.parametrize(
    "command", [c for c in COMMANDS if c.name not in ELSEWHERE], ids=lambda c: c.name
)
def test_the_table_agrees_with_the_module(command: object) -> None:
    assert isinstance(command, tuple)
    name, module_name, summary = command
    module = importlib.import_module(module_name)
    assert (name, summary) == (module.NAME, module.SUMMARY)
    assert callable(module.run)


def test_help_imports_no_command_and_a_command_no_other() -> None:
    code = (
        "import sys; from pillion.cli.main import main; main(sys.argv[1:]);"
        "print(*sorted(m for m in sys.modules if m.startswith(('pillion', 'msgspec', 'asyncio', 'uvloop'))))"
    )

    def loaded(*argv: str) -> set[str]:
        done = subprocess.run(
            [sys.executable, "-c", code, *argv], check=True, capture_output=True, text=True
        )
        return set(done.stdout.splitlines()[-1].split())

    modules = {command.module for command in COMMANDS}
    assert loaded("--help") & (modules | {"msgspec", "asyncio", "uvloop"}) == set()
    status = loaded("status", "--help")
    assert status & modules == {"pillion.cli.status"}
    # A command is short: it must not pay for what only the agent needs.
    assert status & {"asyncio", "uvloop"} == set()


def test_bad_usage_is_code_2_and_says_so(capfd: pytest.CaptureFixture[str]) -> None:
    from pillion.cli.main import main

    assert main(["nonsense"]) == 2
    assert main(["start"]) == 2
    assert main([]) == 0
    assert "usage: pillion" in capfd.readouterr().err
