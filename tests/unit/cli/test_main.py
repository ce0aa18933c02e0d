"""The door of the commands: which is imported, and how errors end."""

from __future__ import annotations

import sys
from types import ModuleType

import pytest

from pillion.cli import main as door
from pillion.errors import RefusedError, UnreachableError, UsageError


def run_raising(error: BaseException, monkeypatch: pytest.MonkeyPatch) -> int:
    """The exit code of a command that raises `error`."""
    module = ModuleType("raising")

    def run(_args: object) -> int:
        raise error

    vars(module).update(NAME="raising", SUMMARY="s", add_arguments=lambda _: None, run=run)
    monkeypatch.setitem(sys.modules, "raising", module)
    row = door.Command("raising", "raising", "raise an error")
    monkeypatch.setattr(door, "COMMANDS", (row,))
    return door.main(["raising"])


@pytest.mark.parametrize(
    ("error", "code", "text"),
    [
        (UsageError("cannot x; y"), 2, "pillion: cannot x; y\n"),
        (UnreachableError("cannot x; y"), 1, "pillion: cannot x; y\n"),
        (RefusedError(409, "Busy", "cannot x; y"), 1, "pillion: cannot x; y\n"),
        (RefusedError(409, "Busy"), 1, "pillion: Busy\n"),
        (
            PermissionError(13, "Permission denied", "/var/lib/x"),
            1,
            "pillion: cannot go on: /var/lib/x Permission denied; is it yours to read and write?\n",
        ),
        (KeyboardInterrupt(), 130, ""),
    ],
)
def test_errors_end_in_one_line_and_a_code(
    error: BaseException,
    code: int,
    text: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert run_raising(error, monkeypatch) == code
    assert capsys.readouterr().err == text


def test_a_bug_is_not_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ZeroDivisionError):
        run_raising(ZeroDivisionError(), monkeypatch)


def test_run_and_attach_are_only_described_here(capsys: pytest.CaptureFixture[str]) -> None:
    assert door.main(["run", "sleep"]) == 2
    assert "this is the door for the other commands" in capsys.readouterr().err
    text = door.build_parser().format_help()
    assert all(command.name in text and command.summary[:20] in text for command in door.COMMANDS)


def test_an_option_cannot_be_shortened(capsys: pytest.CaptureFixture[str]) -> None:
    """A shortened option would break when another with the same beginning is added."""
    assert door.main(["status", "--inst", "x"]) == 2
    assert "unrecognized arguments" in capsys.readouterr().err
