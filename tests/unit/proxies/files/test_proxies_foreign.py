"""Edits by somebody else: found by content, told once each, also by the next agent."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import pytest

from pillion.proxies.files.candidate import digest, write_candidate
from pillion.proxies.files.foreign import Edit, Told, current, edits, shown
from pillion.proxies.files.moving import applied, finish, move
from pillion.proxies.files.site import Site

if TYPE_CHECKING:
    from pathlib import Path

    from pillion.proxies.files.intent import Intent


@pytest.fixture
def site(tmp_path: Path) -> Site:
    site = Site("edge", str(tmp_path / "conf"), str(tmp_path / "state"))
    made = write_candidate(site, "nginx.conf", {"nginx.conf": "ours", "up.conf": "ours too"})
    move(site, made, "one", "", 1.0)
    finish(site)
    return site


def written(site: Site) -> Intent:
    found = applied(site)
    assert found is not None
    return found


def edit(site: Site, name: str, text: str) -> None:
    with open(site.live(name), "w") as file:
        file.write(text)


def test_nothing_is_found_where_nothing_was_changed(site: Site) -> None:
    edit(site, "theirs.conf", "not ours")
    edit(site, "nginx.conf", "ours")
    assert edits(site, written(site)) == ()


def test_a_change_and_a_removal_are_found(site: Site) -> None:
    edit(site, "nginx.conf", "theirs")
    os.unlink(site.live("up.conf"))
    assert edits(site, written(site)) == (
        Edit("nginx.conf", digest(b"theirs")),
        Edit("up.conf", ""),
    )
    assert current(site, written(site).digests) == {"nginx.conf": "theirs"}


def test_a_directory_in_the_place_of_a_file_is_an_edit(site: Site) -> None:
    os.unlink(site.live("up.conf"))
    os.mkdir(site.live("up.conf"))
    assert edits(site, written(site)) == (Edit("up.conf", ""),)


def test_each_edit_is_told_once_also_by_the_next_agent(site: Site) -> None:
    told = Told(site)
    edit(site, "nginx.conf", "theirs")
    found = edits(site, written(site))
    assert told.news(found) == found
    assert told.news(found) == ()
    assert Told(site).news(found) == ()
    edit(site, "nginx.conf", "theirs again")
    more = edits(site, written(site))
    assert Told(site).news(more) == more


def test_an_edit_that_was_put_right_is_told_when_it_comes_again(site: Site) -> None:
    told = Told(site)
    edit(site, "nginx.conf", "theirs")
    found = edits(site, written(site))
    told.news(found)
    assert told.news(()) == ()
    assert not os.path.exists(site.edited)
    assert told.news(found) == found


def test_an_unreadable_note_costs_a_second_telling(site: Site) -> None:
    edit(site, "nginx.conf", "theirs")
    found = edits(site, written(site))
    Told(site).news(found)
    with open(site.edited, "w") as file:
        file.write("garbage")
    assert Told(site).news(found) == found


def test_what_an_edit_has_changed_is_shown_but_of_no_file_with_a_secret(site: Site) -> None:
    edit(site, "nginx.conf", "theirs\n")
    edit(site, "up.conf", "hunter2 theirs\n")
    found = edits(site, written(site))
    kept = {"nginx.conf": "ours\n", "up.conf": "*** ours\n"}
    assert shown(site, found, kept) == (
        "--- a/nginx.conf\n+++ b/nginx.conf\n@@ -1 +1 @@\n-ours\n+theirs\n"
    )
    assert shown(site, found, {}) == ""
    os.unlink(site.live("nginx.conf"))
    assert shown(site, edits(site, written(site)), kept).endswith(
        "+++ /dev/null\n@@ -1 +0,0 @@\n-ours\n"
    )
