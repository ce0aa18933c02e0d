"""Files moved in and back: what is in place after each way through, also over what an earlier agent has left."""

from __future__ import annotations

import os
import shutil
from typing import TYPE_CHECKING

import pytest

from pillion.proxies.files.candidate import write_candidate
from pillion.proxies.files.moving import Standing, applied, finish, move, recover, take_back
from pillion.proxies.files.site import FilesError, Site

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "nginx.conf"
ONE = {MAIN: "one", "gone.conf": "only in one"}
TWO = {MAIN: "two", "new.conf": "only in two"}


@pytest.fixture
def site(tmp_path: Path) -> Site:
    """With version one applied, and a file that is not ours."""
    site = Site("edge", str(tmp_path / "conf"), str(tmp_path / "state"))
    begin(site, "one", ONE)
    finish(site)
    (tmp_path / "conf" / "theirs").write_text("theirs")
    return site


def begin(site: Site, version: str, files: dict[str, str]) -> None:
    last = applied(site)
    move(site, write_candidate(site, MAIN, files), version, last.version if last else "", 1.0)


def served(site: Site) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in os.listdir(site.directory):
        with open(site.live(name)) as file:
            found[name] = file.read()
    found.pop("theirs", None)
    return found


def leftovers(site: Site) -> set[str]:
    parent = os.path.dirname(site.directory)
    return {*os.listdir(parent)} - {"conf", "state"} | {*os.listdir(site.state)} - {"applied.json"}


def test_a_version_is_moved_in_and_finished(site: Site) -> None:
    begin(site, "two", TWO)
    assert served(site) == TWO
    assert recover(site) == Standing("one", unfinished="two")
    finish(site)
    assert recover(site) == Standing("two")
    assert not leftovers(site)
    written = applied(site)
    assert written is not None
    assert (written.version, written.previous, written.order) == ("two", "one", ("new.conf", MAIN))


def test_a_version_that_fails_is_taken_back_whole(site: Site) -> None:
    before = os.stat(site.live(MAIN)).st_ino
    begin(site, "two", TWO)
    assert take_back(site) == "one"
    assert served(site) == ONE
    assert os.stat(site.live(MAIN)).st_ino == before
    assert recover(site) == Standing("one")
    assert not leftovers(site)


def test_the_first_version_taken_back_leaves_what_was_there_before(tmp_path: Path) -> None:
    site = Site("edge", str(tmp_path / "conf"), str(tmp_path / "state"))
    (tmp_path / "conf").mkdir()
    (tmp_path / "conf" / MAIN).write_text("by hand")
    begin(site, "one", ONE)
    assert take_back(site) == ""
    assert served(site) == {MAIN: "by hand"}


def test_taking_back_is_done_once(site: Site) -> None:
    begin(site, "two", TWO)
    take_back(site)
    assert take_back(site) == "one"
    assert served(site) == ONE


def test_an_intent_whose_files_are_all_there_is_finished(site: Site) -> None:
    begin(site, "two", TWO)
    # As if the agent had been killed before the last move.
    os.replace(site.live(MAIN), f"{site.directory}.candidate/{MAIN}")
    assert recover(site) == Standing("one", unfinished="two")
    assert served(site) == TWO


def test_an_intent_whose_files_were_damaged_is_taken_back(site: Site) -> None:
    begin(site, "two", TWO)
    os.unlink(site.live("new.conf"))
    assert recover(site) == Standing("one", returned="two")
    assert served(site) == ONE


def test_an_intent_with_a_changed_candidate_is_taken_back(site: Site) -> None:
    begin(site, "two", TWO)
    os.unlink(site.live(MAIN))
    with open(f"{site.directory}.candidate/{MAIN}", "w") as file:
        file.write("neither")
    assert recover(site) == Standing("one", returned="two")
    assert served(site) == ONE


def test_what_was_kept_may_be_gone_when_the_history_has_it(site: Site) -> None:
    begin(site, "two", TWO)
    shutil.rmtree(f"{site.directory}.previous")
    with pytest.raises(FilesError, match=r"cannot take .*gone\.conf of edge back"):
        take_back(site)
    with pytest.raises(FilesError):
        recover(site)
    assert recover(site, ONE) == Standing("one", returned="two")
    assert served(site) == ONE


def test_an_unreadable_intent_is_put_aside(site: Site) -> None:
    with open(site.intent, "w") as file:
        file.write('{"version": 7')
    assert recover(site) == Standing("one")
    assert os.path.exists(f"{site.intent}.damaged")
    assert served(site) == ONE


def test_an_intent_of_a_later_format_is_put_aside(site: Site) -> None:
    begin(site, "two", TWO)
    with open(site.intent) as file:
        text = file.read()
    with open(site.intent, "w") as file:
        file.write(text.replace('"v":1', '"v":2'))
    assert recover(site) == Standing("one")
    assert os.path.exists(f"{site.intent}.damaged")


def test_files_without_hard_links_are_copied_with_all_that_they_have(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chmod(site.live(MAIN), 0o604)

    def no_link(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_link)
    begin(site, "two", TWO)
    take_back(site)
    assert served(site) == ONE
    assert os.stat(site.live(MAIN)).st_mode & 0o777 == 0o604


def test_a_version_of_the_same_files_is_a_version(site: Site) -> None:
    begin(site, "again", ONE)
    assert recover(site) == Standing("one", unfinished="again")
    assert take_back(site) == "one"
    assert served(site) == ONE
    assert not leftovers(site)
