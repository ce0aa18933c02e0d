"""What is owed to an app survives the agent that owes it, and not the app."""

from __future__ import annotations

import pytest

from pillion.config.projection_pending import Pending
from pillion.settings.config import ConfigFile

HUP = ConfigFile(path="a.json", key="a", signal="HUP")
RELOAD = ConfigFile(path="b.json", key="b", command=("nginx", "-s", "reload"))
QUIET = ConfigFile(path="c.json", key="c")


def owed(pid: int = 7) -> Pending:
    pending = Pending()
    pending.meet(pid)
    for file in (HUP, RELOAD, HUP, QUIET):
        pending.add(file)
    return pending


def test_each_signal_and_command_once() -> None:
    pending = owed()
    assert (list(pending.signals), list(pending.commands)) == (["HUP"], [RELOAD.command])
    pending.meet(7)
    assert pending
    pending.clear()
    assert not pending


@pytest.mark.parametrize("pid", [0, 8])
def test_a_new_process_is_owed_nothing(pid: int) -> None:
    pending = owed()
    pending.meet(pid)
    assert not pending


def test_an_app_that_does_not_run_is_owed_nothing() -> None:
    assert not owed(0)


def test_a_successor_takes_over_what_was_left_undone() -> None:
    note = owed().note("run-1", QUIET)
    pending = Pending()
    pending.meet(7)
    pending.recall(note, "run-1")
    assert (list(pending.signals), list(pending.commands)) == (["HUP"], [RELOAD.command])


@pytest.mark.parametrize(("pid", "run"), [(8, "run-1"), (7, "run-2"), (0, "run-1")])
def test_what_was_owed_to_another_process_is_forgotten(pid: int, run: str) -> None:
    note = owed().note("run-1", QUIET)
    pending = Pending()
    pending.meet(pid)
    pending.recall(note, run)
    assert not pending


@pytest.mark.parametrize(
    "note", [b"", b"{", b"null", b'{"run":1}', b'{"run":"r","pid":"7"}', b"\xff" * 99]
)
def test_a_note_that_cannot_be_read_is_none(note: bytes) -> None:
    pending = Pending()
    pending.meet(7)
    pending.recall(note, "r")
    assert not pending


def test_what_is_noted_for_a_file_is_not_owed_before_the_file_has_changed() -> None:
    pending = Pending()
    pending.meet(7)
    assert pending.note("r", QUIET) == b""
    note = pending.note("r", HUP)
    assert not pending
    successor = Pending()
    successor.meet(7)
    successor.recall(note, "r")
    assert list(successor.signals) == ["HUP"]
