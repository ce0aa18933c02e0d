"""A full disk, a directory that cannot be written, and an nginx that is killed: whatever happens, a good version serves, and it is said why the other does not."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
from typing import TYPE_CHECKING

import pytest

from failing_disk import Disk
from instance import wait_for
from pillion.proxies.files.candidate import write_candidate
from pillion.proxies.files.history import History
from pillion.proxies.files.moving import Standing, finish, move, recover, take_back
from pillion.proxies.files.site import FilesError, Site
from pillion.proxies.nginx.workers import workers
from proxies_nginx import MAIN, Nginx, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

ONE = {MAIN: "one" * 1000, "gone.conf": "only in one"}
TWO = {MAIN: "two" * 1000, "new.conf": "only in two" * 1000}


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Disk]:
    made = Disk(str(tmp_path), 4)
    yield made
    made.unmount()


@pytest.fixture
def site(disk: Disk) -> Site:
    site = Site("edge", f"{disk.path}/edge/conf", f"{disk.path}/edge")
    move(site, write_candidate(site, MAIN, ONE), "one", "", 1.0)
    finish(site)
    return site


@pytest.fixture
def nginx() -> Iterator[Nginx]:
    with Nginx() as made:
        assert made.apply("one", {MAIN: made.text("one")}).ok
        yield made


def served(site: Site) -> dict[str, str]:
    found: dict[str, str] = {}
    for name in os.listdir(site.directory):
        with open(site.live(name)) as file:
            found[name] = file.read()
    return found


def test_a_full_disk_refuses_the_candidate_and_may_pass(disk: Disk, site: Site) -> None:
    ballast = disk.fill()
    with pytest.raises(FilesError, match="No space left on device") as caught:
        write_candidate(site, MAIN, TWO)
    assert caught.value.passing
    assert served(site) == ONE
    assert recover(site) == Standing("one")
    os.unlink(ballast)
    move(site, write_candidate(site, MAIN, TWO), "two", "one", 2.0)
    finish(site)
    assert served(site) == TWO


def test_a_disk_that_fills_before_the_move_leaves_the_old_version(disk: Disk, site: Site) -> None:
    candidate = write_candidate(site, MAIN, TWO)
    ballast = disk.fill()
    with pytest.raises(FilesError, match="No space left on device"):
        move(site, candidate, "two", "one", 2.0)
    assert served(site) == ONE
    assert recover(site) == Standing("one")
    os.unlink(ballast)


@pytest.mark.parametrize("ahead", [True, False])
def test_a_disk_that_fills_after_the_move_stops_neither_way(
    disk: Disk, site: Site, ahead: bool
) -> None:
    move(site, write_candidate(site, MAIN, TWO), "two", "one", 2.0)
    disk.fill()
    if ahead:
        finish(site)
    else:
        assert take_back(site) == "one"
    assert served(site) == (TWO if ahead else ONE)
    assert recover(site) == Standing("two" if ahead else "one")


def test_a_killed_agent_is_followed_on_a_full_disk_too(disk: Disk, site: Site) -> None:
    move(site, write_candidate(site, MAIN, TWO), "two", "one", 2.0)
    os.replace(site.live(MAIN), f"{site.directory}.candidate/{MAIN}")
    disk.fill()
    assert recover(site) == Standing("one", unfinished="two")
    assert served(site) == TWO


def test_a_full_disk_costs_an_entry_of_the_history_and_no_other(disk: Disk, site: Site) -> None:
    history = History(site.history, 5)
    history.record("one", "", "applied", ONE, at_s=1.0)
    ballast = disk.fill()
    with pytest.raises(FilesError, match="cannot record a version in the history") as caught:
        history.record("two", "", "applied", TWO, at_s=2.0)
    assert caught.value.passing
    assert history.read("one") == ONE
    assert not history.damaged
    os.unlink(ballast)
    history.record("two", "", "applied", TWO, at_s=2.0)
    assert history.read("two") == TWO


def test_a_file_system_that_became_read_only_is_an_outcome(disk: Disk, site: Site) -> None:
    candidate = write_candidate(site, MAIN, TWO)
    disk.remount("ro")
    with pytest.raises(FilesError, match="Read-only file system"):
        write_candidate(site, MAIN, TWO)
    with pytest.raises(FilesError, match="Read-only file system") as caught:
        move(site, candidate, "two", "one", 2.0)
    assert caught.value.passing
    with pytest.raises(FilesError, match="Read-only file system"):
        History(site.history, 5).record("two", "", "refused", TWO, at_s=2.0)
    disk.remount("rw")
    assert served(site) == ONE


def test_a_directory_that_may_not_be_written_is_an_outcome(tmp_path: Path) -> None:
    """As a user that is not root, who is let in everywhere."""
    conf = tmp_path / "conf"
    conf.mkdir(mode=0o555)
    child = os.fork()
    if child == 0:
        code = 1
        try:
            os.setuid(65534)
            write_candidate(Site("edge", str(conf), str(tmp_path / "state")), MAIN, TWO)
        except FilesError as error:
            code = 0 if error.passing and os.strerror(errno.EACCES) in str(error) else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_a_master_killed_in_the_middle_of_a_reload_is_started_with_the_good_version(
    nginx: Nginx,
) -> None:
    """The zone's key has changed: no load of the second version ever succeeds in a master that had the first."""
    zone = "limit_req_zone {} zone=a:1m rate=9r/s;"
    good = nginx.text("two", http=zone.format("$host"), server="limit_req zone=a;")
    assert nginx.apply("two", {MAIN: good}).ok
    nginx.place("three", {MAIN: good.replace("$host", "$uri").replace("200 two", "200 three")})

    async def killed() -> bool:
        told = await nginx.driver.load()
        nginx.kill()
        return told.ok and (await nginx.driver.prove("three", 0.3)).ok

    assert not run(killed())
    assert take_back(nginx.site) == "two"

    async def returned() -> bool:
        return (await nginx.driver.load()).ok and (await nginx.driver.prove("two", 10)).ok

    assert run(returned())
    assert nginx.ask() == "two"


def test_reloads_and_kills_of_workers_end_at_the_version_that_was_asked_for(nginx: Nginx) -> None:
    for number in range(5):
        version = f"v{number}"
        nginx.place(version, {MAIN: nginx.text(version)})
        pid = nginx.running()
        assert pid is not None

        async def load_and_kill(pid: int, version: str) -> bool:
            told = await nginx.driver.load()
            for worker in workers(pid).present:
                os.kill(worker, signal.SIGKILL)
            return told.ok and (await nginx.driver.prove(version, 10)).ok

        assert run(load_and_kill(pid, version))
        finish(nginx.site)
    wait_for("everybody gets it", lambda: nginx.ask() == "v4")


def test_a_configuration_that_nobody_can_start_with_is_seen_at_once(nginx: Nginx) -> None:
    """Not by the time that a proof may take: nginx ends, and has said why."""
    nginx.kill()
    verdict = nginx.apply("bad", {MAIN: "events { frob on; }"}, timeout_s=60)
    assert not verdict.ok
    assert 'nginx.conf line 1: unknown directive "frob"' in verdict.reason


def test_ten_thousand_files_beside_it_are_linked(tmp_path: Path) -> None:
    site = Site("edge", str(tmp_path / "conf"), str(tmp_path / "state"))
    os.mkdir(site.directory)
    subprocess.run(["sh", "-c", "seq 10000 | xargs touch"], cwd=site.directory, check=True)
    made = write_candidate(site, MAIN, TWO)
    assert len(os.listdir(made.directory)) == 10_002
