"""A proxy that somebody else runs: the pid file is believed only about the process that wrote it."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from instance import wait_for
from pillion.errors import PillionError
from pillion.proxies.files.site import Site
from pillion.proxies.nginx.driver import NginxDriver
from pillion.proxies.outside import Outside
from proxies_nginx import MAIN, Nginx, run

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def nginx() -> Iterator[Nginx]:
    """Somebody else's, with its pid and its log where its own file says."""
    with Nginx() as made:
        assert made.apply("one", {MAIN: made.text("one")}).ok
        made.site = Site("edge", made.site.directory, made.site.state, ours=False)
        yield made


def pid_file(nginx: Nginx) -> str:
    return os.path.join(nginx.site.state, "nginx.pid")


def outside(nginx: Nginx) -> Outside:
    return Outside("edge", "nginx", pid_file=pid_file(nginx))


def test_it_is_told_to_load_by_the_pid_in_its_file(nginx: Nginx) -> None:
    runner = outside(nginx)
    assert runner.running() == nginx.running()
    nginx.driver = NginxDriver(nginx.site, runner, proof=nginx.proof)
    assert nginx.apply("two", {MAIN: nginx.text("two")}).ok
    assert run(nginx.driver.status()).version == "two"


def test_what_it_says_is_read_in_the_log_that_its_configuration_names(nginx: Nginx) -> None:
    nginx.driver = NginxDriver(nginx.site, outside(nginx), proof=nginx.proof)
    log = f"error_log {nginx.root}/their.log;"
    zone = "limit_req_zone {} zone=a:1m rate=9r/s;"
    first = nginx.text("two", top=log, http=zone.format("$host"), server="limit_req zone=a;")
    assert nginx.apply("two", {MAIN: first}).ok
    second = first.replace("$host", "$uri").replace("200 two", "200 three")
    assert nginx.checked({MAIN: second}).ok
    verdict = nginx.apply("three", {MAIN: second})
    assert not verdict.ok
    assert 'limit_req "a" uses the "$uri" key' in verdict.reason


def test_a_check_of_theirs_leaves_their_pid_file_alone(nginx: Nginx) -> None:
    nginx.driver = NginxDriver(nginx.site, outside(nginx))
    text = nginx.text("two", top=f"pid {pid_file(nginx)};")
    before = os.stat(pid_file(nginx))
    assert nginx.checked({MAIN: text}).ok
    after = os.stat(pid_file(nginx))
    assert (before.st_ino, before.st_mtime_ns, before.st_size) == (
        after.st_ino,
        after.st_mtime_ns,
        after.st_size,
    )


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("", "holds no pid"),
        ("garbage\n", "holds no pid"),
        ("-1\n", "holds no pid"),
        ("0\n", "holds no pid"),
        ("1\n", "holds no pid"),
        ("99999999999\n", "holds no pid"),
        ("4194304\n", "is not there"),
    ],
)
def test_a_file_that_names_no_process(tmp_path: Path, content: str, why: str) -> None:
    path = tmp_path / "nginx.pid"
    path.write_text(content)
    runner = Outside("edge", "nginx", pid_file=str(path))
    assert runner.running() is None
    with pytest.raises(PillionError, match=why):
        run(runner.signal("HUP"))


def test_another_program_that_has_the_number_now_is_left_alone(tmp_path: Path) -> None:
    with subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE) as other:
        path = tmp_path / "nginx.pid"
        path.write_text(f"{other.pid}\n")
        runner = Outside("edge", "nginx", pid_file=str(path))
        with pytest.raises(PillionError, match=r"is python.*, not nginx"):
            run(runner.signal("HUP"))
        assert other.poll() is None
        other.communicate(b"\n")
        assert other.returncode == 0


def test_a_file_from_before_the_process_was_started_does_not_mean_it(nginx: Nginx) -> None:
    found = os.stat(pid_file(nginx))
    os.utime(pid_file(nginx), (found.st_mtime - 20, found.st_mtime - 20))
    with pytest.raises(PillionError, match="was started after that file was written"):
        run(outside(nginx).signal("HUP"))


def test_it_cannot_be_started_from_here(nginx: Nginx) -> None:
    nginx.kill()
    nginx.driver = NginxDriver(nginx.site, outside(nginx), proof=nginx.proof)
    verdict = run(nginx.driver.load())
    assert not verdict.ok
    assert verdict.passing
    assert "somebody else runs it" in verdict.reason


def test_a_command_stands_for_signal_and_start(tmp_path: Path) -> None:
    told = tmp_path / "told"
    runner = Outside("edge", "nginx", reload=("sh", "-c", f"echo told >> {told}"))
    run(runner.signal("HUP"))
    run(runner.start())
    wait_for("both are there", lambda: told.read_text() == "told\ntold\n")
    assert runner.running() is None


def test_a_command_that_fails_says_why() -> None:
    runner = Outside("edge", "nginx", reload=("sh", "-c", "echo no such unit; exit 5"))
    with pytest.raises(PillionError, match="sh ended with code 5: no such unit"):
        run(runner.signal("HUP"))
