"""The driver of nginx against a real one: what the check leaves alone, what a load and its failure say, and which workers are left."""

from __future__ import annotations

import os
import signal
import socket
import time
from functools import partial
from typing import TYPE_CHECKING

import pytest

from free_ports import free_port
from held import hold
from instance import wait_for
from pillion.proxies.nginx.workers import workers
from proxies_nginx import MAIN, Nginx, run

if TYPE_CHECKING:
    from collections.abc import Iterator


@pytest.fixture
def nginx() -> Iterator[Nginx]:
    with Nginx() as made:
        yield made


@pytest.fixture
def serving(nginx: Nginx) -> Nginx:
    assert nginx.apply("one", {MAIN: nginx.text("one")}).ok
    return nginx


def test_a_first_version_is_started_and_proved(serving: Nginx) -> None:
    assert serving.ask() == "one"
    status = run(serving.driver.status())
    assert (status.running, status.version, status.workers, status.old_workers) == (
        True,
        "one",
        1,
        0,
    )
    assert status.pid == serving.running()


def test_a_change_is_loaded_by_the_same_master(serving: Nginx) -> None:
    pid = serving.running()
    assert serving.apply("two", {MAIN: serving.text("two")}).ok
    wait_for("all workers serve it", lambda: serving.ask() == "two")
    assert serving.running() == pid


def test_a_load_of_the_same_version_is_proved_by_new_workers(serving: Nginx) -> None:
    pid = serving.running()
    assert pid is not None
    before = workers(pid).present
    assert serving.apply("one", {MAIN: serving.text("one")}).ok
    assert workers(pid).present - before


def test_without_a_proof_socket_new_workers_are_the_proof(nginx: Nginx) -> None:
    nginx.driver = type(nginx.driver)(nginx.site, nginx, words=nginx.words)
    text = nginx.text("one").replace(f"listen unix:{nginx.proof};", f"listen {free_port()};")
    assert nginx.apply("one", {MAIN: text}).ok
    assert nginx.apply("two", {MAIN: text.replace("one", "two")}).ok
    zone = "limit_req_zone $binary_remote_addr zone=a:1m rate=1r/s;"
    broken = nginx.apply(
        "bad", {MAIN: text.replace("access_log off;", f"limit_req zone=a; {zone}", 1)}
    )
    assert broken.ok
    other = zone.replace("binary_", "")
    broken = nginx.apply(
        "bad", {MAIN: text.replace("access_log off;", f"limit_req zone=a; {other}", 1)}
    )
    assert not broken.ok
    assert "previously it used" in broken.reason


def test_a_check_says_file_line_and_message(serving: Nginx) -> None:
    files = {MAIN: serving.text("two", server="include part.conf;"), "part.conf": "\n\nfrob on;\n"}
    verdict = serving.checked(files)
    assert not verdict.ok
    assert not verdict.passing
    assert [(one.file, one.line, one.message) for one in verdict.places] == [
        ("part.conf", 3, 'unknown directive "frob"')
    ]
    assert 'part.conf line 3: unknown directive "frob"' in verdict.reason
    assert serving.ask() == "one"


def test_a_check_sees_the_files_that_are_not_ours(serving: Nginx) -> None:
    with open(serving.site.live("extra.types"), "w") as file:
        file.write("types { text/html html; }\n")
    assert serving.checked({MAIN: serving.text("two", http="include extra.types;")}).ok


def test_a_check_that_would_look_at_the_served_files_is_refused(serving: Nginx) -> None:
    path = serving.site.live("part.conf")
    files = {MAIN: serving.text("two", server=f"include {path};"), "part.conf": "frob on;\n"}
    verdict = serving.checked(files)
    assert not verdict.ok
    assert "write part.conf" in verdict.reason
    assert verdict.places[0].file == MAIN


def test_a_check_leaves_the_running_one_alone(serving: Nginx) -> None:
    """It binds what is free and removes that again; it neither binds nor removes what is in use, nor writes pid and logs."""
    log = os.path.join(serving.root, "own.log")
    text = serving.text("two", top=f"error_log {log};")
    with open(log, "w") as file:
        file.write("as it was\n")
    pid_file = os.path.join(serving.site.state, "nginx.pid")
    before = os.stat(serving.proof), os.stat(pid_file), os.stat(log)
    new = os.path.join(serving.runtime, "new.sock")
    assert serving.checked(
        {MAIN: text.replace(f"listen 127.0.0.1:{serving.port};", f"listen unix:{new};")}
    ).ok
    assert not os.path.lexists(new)
    after = os.stat(serving.proof), os.stat(pid_file), os.stat(log)
    for old, now in zip(before, after, strict=True):
        assert (old.st_ino, old.st_mtime_ns, old.st_size) == (
            now.st_ino,
            now.st_mtime_ns,
            now.st_size,
        )
    assert serving.ask() == "one"
    assert run(serving.driver.status()).version == "one"


def test_a_zone_with_another_key_passes_the_check_and_fails_the_load(serving: Nginx) -> None:
    zone = "limit_req_zone {} zone=a:1m rate=9r/s;"
    first = serving.text("two", http=zone.format("$binary_remote_addr"), server="limit_req zone=a;")
    assert serving.apply("two", {MAIN: first}).ok
    second = serving.text("three", http=zone.format("$uri"), server="limit_req zone=a;")
    assert serving.checked({MAIN: second}).ok
    verdict = serving.apply("three", {MAIN: second})
    assert not verdict.ok
    assert not verdict.passing
    assert 'limit_req "a" uses the "$uri" key while previously it used' in verdict.reason
    assert "[emerg]" in verdict.output
    wait_for("the second version serves", lambda: serving.ask() == "two")
    # And what failed before is not held against the next one.
    assert serving.apply("four", {MAIN: first.replace("two", "four")}).ok


def test_a_taken_port_passes_the_check_fails_the_load_and_may_pass(serving: Nginx) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = serving.text("two", server=f"listen 127.0.0.1:{port};")
        assert serving.checked({MAIN: text}).ok
        verdict = serving.apply("two", {MAIN: text}, timeout_s=20)
    assert not verdict.ok
    assert verdict.passing
    assert f"bind() to 127.0.0.1:{port} failed (98: Address already in use)" in verdict.reason
    assert serving.ask() == "one"
    assert serving.apply("two", {MAIN: text}).ok


def test_a_name_that_nobody_knows_may_be_known_later(serving: Nginx) -> None:
    text = serving.text("two", server="location / { proxy_pass http://nobody.invalid/; }")
    verdict = serving.checked({MAIN: text})
    assert not verdict.ok
    assert verdict.passing
    assert "host not found in upstream" in verdict.reason


def test_a_program_that_is_not_there_is_said(serving: Nginx) -> None:
    driver = type(serving.driver)(serving.site, serving, program="/nowhere/nginx")
    verdict = run(driver.check(serving.site.directory))
    assert not verdict.ok
    assert "cannot run /nowhere/nginx" in verdict.reason


def test_old_workers_are_counted_and_told_apart_by_load(serving: Nginx) -> None:
    pid = serving.running()
    assert pid is not None
    clients = []
    try:
        for version in ("two", "three"):
            client = socket.create_connection(("127.0.0.1", serving.port), timeout=5)
            clients.append(client)
            # A request that is not finished keeps its worker.
            client.sendall(b"GET /served HTTP/1.1\r\nHost: x\r\n")
            wait_for("the worker has accepted it", lambda: _accepted(serving, len(clients)))
            # Loads that follow each other within a twentieth of a second pass for one.
            [present] = workers(pid).present
            wait_for("it is older than that", partial(_is_older, present))
            text = serving.text(version, top="worker_shutdown_timeout 60s;")
            assert serving.apply(version, {MAIN: text}).ok
            # Until then the next client could still be theirs.
            wait_for("it is old", lambda: len(workers(pid).old) == len(clients))
        found = workers(pid)
        assert found.old_loads == 2
        assert len(found.present) == 1
        status = run(serving.driver.status())
        assert (status.workers, status.old_workers, status.old_loads) == (1, 2, 2)
    finally:
        for client in clients:
            client.close()
    wait_for("they have ended", lambda: not workers(pid).old)


def test_nginx_that_dies_of_sigkill_leaves_a_socket_that_does_not_keep_it_from_starting(
    serving: Nginx,
) -> None:
    serving.kill()
    assert os.path.exists(serving.proof)
    assert run(serving.driver.status()).running is False

    async def again() -> bool:
        return (await serving.driver.load()).ok and (await serving.driver.prove("one", 10)).ok

    assert run(again())
    assert serving.ask() == "one"


def test_its_words_are_bounded(serving: Nginx) -> None:
    with open(serving.words, "a") as file:
        file.write("x" * (2 << 20))
    run(serving.driver.status())
    assert os.path.getsize(serving.words) == 0


def test_a_stopped_master_is_not_proved_and_a_later_try_succeeds(serving: Nginx) -> None:
    pid = serving.running()
    assert pid is not None
    hold(pid)
    try:
        verdict = serving.apply("two", {MAIN: serving.text("two")}, timeout_s=0.3)
    finally:
        os.kill(pid, signal.SIGCONT)
    assert not verdict.ok
    assert verdict.passing
    assert "serves one" in verdict.reason
    assert serving.apply("three", {MAIN: serving.text("three")}).ok


def _accepted(nginx: Nginx, count: int) -> bool:
    """Whether nobody waits in the backlog any more."""
    with open("/proc/net/tcp") as file:
        lines = [line.split() for line in file][1:]
    port = f":{nginx.port:04X}"
    mine = [line for line in lines if line[1].endswith(port)]
    listening = [line for line in mine if line[3] == "0A"]
    established = [line for line in mine if line[3] == "01" and int(line[9]) != 0]
    return all(line[4].endswith("00000000") for line in listening) and len(established) >= count


def _is_older(pid: int) -> bool:
    return _age_s(pid) > 0.1


def _age_s(pid: int) -> float:
    """For how long a process has been there (proc(5), stat, field 22)."""
    with open(f"/proc/{pid}/stat") as file:
        ticks = int(file.read().rpartition(")")[2].split()[19])
    return time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf("SC_CLK_TCK")
