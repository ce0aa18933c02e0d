"""A candidate beside the served files: whose it is, what it refuses, and that includes resolve in it."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

import pytest

from pillion.proxies.files.candidate import NEW_MODE, WHAT, clear, digest, write_candidate
from pillion.proxies.files.site import INSIDE, FilesError, Site

if TYPE_CHECKING:
    from pathlib import Path

MAIN = "nginx.conf"


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "conf").mkdir()
    return Site("edge", str(tmp_path / "conf"), str(tmp_path / "state"))


def put(site: Site, name: str, text: str) -> str:
    path = site.live(name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file:
        file.write(text)
    return path


def mode(path: str) -> int:
    return stat.S_IMODE(os.stat(path).st_mode)


def read(*parts: str) -> str:
    with open(os.path.join(*parts)) as file:
        return file.read()


def test_it_is_beside_the_served_files_which_stay_as_they_are(site: Site) -> None:
    put(site, MAIN, "old")
    made = write_candidate(site, MAIN, {MAIN: "new", "up.conf": "u"})
    assert made.directory == f"{site.directory}.candidate"
    assert made.digests == {MAIN: digest(b"new"), "up.conf": digest(b"u")}
    assert (read(made.directory, MAIN), read(made.directory, "up.conf")) == ("new", "u")
    assert read(site.live(MAIN)) == "old"
    assert os.listdir(site.directory) == [MAIN]


def test_a_replaced_file_keeps_owner_group_and_mode(site: Site) -> None:
    path = put(site, MAIN, "old")
    os.chmod(path, 0o604)
    os.chown(path, 12345, 23456)
    made = write_candidate(site, MAIN, {MAIN: "new"})
    found = os.stat(os.path.join(made.directory, MAIN))
    assert (found.st_uid, found.st_gid, stat.S_IMODE(found.st_mode)) == (12345, 23456, 0o604)


def test_a_new_file_is_for_the_group_of_its_directory_and_nobody_else(site: Site) -> None:
    os.chown(site.directory, -1, 23456)
    made = write_candidate(site, MAIN, {MAIN: "new"})
    found = os.stat(os.path.join(made.directory, MAIN))
    assert (found.st_gid, stat.S_IMODE(found.st_mode)) == (23456, NEW_MODE)


def test_nobody_else_gets_into_a_candidate(site: Site) -> None:
    assert mode(write_candidate(site, MAIN, {MAIN: "new"}).directory) == 0o700


def test_what_is_not_ours_is_there_by_a_link(site: Site) -> None:
    put(site, "mime.types", "types")
    put(site, "conf.d/theirs.conf", "theirs")
    put(site, "certs/pair.pem", "pem")
    os.symlink("mime.types", site.live("linked.types"))
    made = write_candidate(site, MAIN, {MAIN: "new", "conf.d/ours.conf": "ours"})
    assert read(made.directory, "mime.types") == "types"
    assert read(made.directory, "linked.types") == "types"
    assert read(made.directory, "certs/pair.pem") == "pem"
    assert read(made.directory, "conf.d/theirs.conf") == "theirs"
    assert read(made.directory, "conf.d/ours.conf") == "ours"
    assert os.listdir(os.path.join(site.directory, "conf.d")) == ["theirs.conf"]


def test_a_file_that_is_dropped_is_not_there(site: Site) -> None:
    put(site, "gone.conf", "old")
    made = write_candidate(site, MAIN, {MAIN: "new"}, dropped=["gone.conf"])
    assert os.listdir(made.directory) == [MAIN]


def test_an_earlier_candidate_is_replaced(site: Site) -> None:
    write_candidate(site, MAIN, {MAIN: "one", "more.conf": "1"})
    made = write_candidate(site, MAIN, {MAIN: "two"})
    assert os.listdir(made.directory) == [MAIN]


def test_where_the_parent_cannot_be_written_it_is_inside_and_out_of_sight(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(site, "mime.types", "types")
    monkeypatch.setattr(os, "access", lambda *_: False)
    made = write_candidate(site, MAIN, {MAIN: "new"})
    assert made.directory == os.path.join(site.directory, INSIDE, WHAT)
    # A candidate within a candidate would be a loop.
    assert sorted(os.listdir(made.directory)) == ["mime.types", MAIN]
    clear(site, WHAT)
    assert os.listdir(site.directory) == ["mime.types"]


@pytest.mark.parametrize(
    "name",
    ["/etc/passwd", "../up", "a/../../up", "a//b", "", ".", "a/.", f"{INSIDE}/x", "a\0b", "a/"],
)
def test_a_name_that_leads_elsewhere_is_refused(site: Site, name: str) -> None:
    with pytest.raises(FilesError, match="no file name below its directory"):
        write_candidate(site, MAIN, {MAIN: "new", name: "x"})
    assert not os.path.exists(f"{site.directory}.candidate")


def test_a_link_in_the_place_of_a_file_is_not_destroyed(site: Site, tmp_path: Path) -> None:
    (tmp_path / "theirs.conf").write_text("theirs")
    os.symlink(tmp_path / "theirs.conf", site.live(MAIN))
    with pytest.raises(FilesError, match=r"cannot replace .*nginx.conf for edge: it is a link to"):
        write_candidate(site, MAIN, {MAIN: "new"})
    assert not os.path.exists(f"{site.directory}.candidate")


def test_a_directory_in_the_place_of_a_file_is_not_destroyed(site: Site) -> None:
    os.mkdir(site.live(MAIN))
    with pytest.raises(FilesError, match="no plain file"):
        write_candidate(site, MAIN, {MAIN: "new"})


def test_a_folder_that_leads_elsewhere_is_refused(site: Site, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    os.symlink(tmp_path / "elsewhere", site.live("conf.d"))
    with pytest.raises(FilesError, match="leads to another place"):
        write_candidate(site, MAIN, {MAIN: "new", "conf.d/x.conf": "x"})


def test_a_name_cannot_be_a_file_and_a_folder(site: Site) -> None:
    with pytest.raises(FilesError, match="a file and a directory"):
        write_candidate(site, MAIN, {MAIN: "new", "a": "x", "a/b": "y"})


def test_somebody_elses_directory_has_to_be_there(tmp_path: Path) -> None:
    site = Site("edge", str(tmp_path / "missing"), str(tmp_path / "state"), ours=False)
    with pytest.raises(FilesError, match="there is no directory") as caught:
        write_candidate(site, MAIN, {MAIN: "new"})
    assert caught.value.passing


def test_the_main_file_has_to_be_among_them(site: Site) -> None:
    with pytest.raises(FilesError, match=r"main file nginx\.conf is not among"):
        write_candidate(site, MAIN, {"other.conf": "x"})


def test_many_files_beside_them_are_too_many(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pillion.proxies.files.candidate.MOST_SIBLINGS", 3)
    for number in range(4):
        put(site, f"{number}.conf", "")
    with pytest.raises(FilesError, match="more than 3 other files"):
        write_candidate(site, MAIN, {MAIN: "new"})


def test_too_many_files_are_refused(site: Site) -> None:
    files = {f"{number}.conf": "" for number in range(2000)}
    with pytest.raises(FilesError, match="are too many"):
        write_candidate(site, MAIN, {MAIN: "new", **files})
