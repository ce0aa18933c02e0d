"""One instance on this host: claimed once, named apart, kept on a disk, and told who is in the way."""

from __future__ import annotations

import json
import os
import socket
import stat
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from pillion.keeper import instance, places, tree
from pillion.keeper.holder import holder, listening_inodes
from pillion.keeper.instance import Busy, claim, empty_leftovers, new_run, parse_address
from pillion.keeper.launch import Failure

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from pillion.keeper.instance import Instance

BOUND_S = 40.0
NOBODY = 65534


@pytest.fixture(autouse=True)
def roots(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PILLION_RUNTIME_DIR", f"{tmp_path}/run")
    monkeypatch.setenv("PILLION_STATE_DIR", f"{tmp_path}/state")
    yield
    # A refused start ends the process, and with it its locks; here that is on us.
    for name in os.listdir("/proc/self/fd"):
        try:
            if os.readlink(f"/proc/self/fd/{name}").startswith(f"{tmp_path}/"):
                os.close(int(name))
        except FileNotFoundError:
            continue


@pytest.fixture
def bound() -> Iterator[Callable[..., Instance]]:
    made: list[Instance] = []

    def bind(name: str = "shop", *, app_uid: int | None = None, **api: str | None) -> Instance:
        one = claim(name, exact=False)
        made.append(one)
        one.bind({"listen": None, "probe_listen": None, **api}, app_uid=app_uid)  # type: ignore[typeddict-item]
        return one

    yield bind
    for one in made:
        for sock in one.sockets.values():
            sock.close()


def test_a_claim_makes_directories_for_us_alone(tmp_path: Path) -> None:
    one = claim("shop", exact=True)
    assert (one.runtime_dir, one.state_dir) == (f"{tmp_path}/run/shop", f"{tmp_path}/state/shop")
    for directory in (one.runtime_dir, one.state_dir):
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    assert places.is_running(one.runtime_dir)


def test_a_second_claim_is_refused_with_the_pid_of_the_first() -> None:
    first = claim("shop", exact=True)
    first.describe({})
    with pytest.raises(Busy) as caught:
        claim("shop", exact=True)
    assert str(caught.value) == (
        f"cannot start instance shop: it is running already (keeper pid {os.getpid()}); "
        "choose another --name or stop it"
    )
    assert caught.value.code == 1


def test_a_claim_is_refused_before_the_first_has_described_itself() -> None:
    claim("shop", exact=True)
    with pytest.raises(Busy, match="keeper pid unknown"):
        claim("shop", exact=True)


def test_a_name_that_was_derived_gets_a_number() -> None:
    assert [claim("shop", exact=False).name for _ in range(3)] == ["shop", "shop-2", "shop-3"]


def test_a_number_that_is_free_again_is_taken_again() -> None:
    claim("shop", exact=False)
    second = claim("shop", exact=False)
    claim("shop", exact=False)
    os.close(second.lock)
    os.close(second.guard)
    assert claim("shop", exact=False).name == "shop-2"


def test_many_that_start_at_once_get_names_of_their_own() -> None:
    names: list[str] = []
    threads = [
        threading.Thread(target=lambda: names.append(claim("shop", exact=False).name))
        for _ in range(20)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(BOUND_S)
    assert len(set(names)) == 20


def test_a_lock_on_a_directory_that_was_removed_meanwhile_locks_nothing() -> None:
    """The keeper before us may remove its directory between our opening of its lock and our taking it."""
    first = claim("shop", exact=True)
    holding: list[Instance] = []
    os.close(first.guard)
    first.release()
    holding.append(claim("shop", exact=True))
    assert places.is_running(holding[0].runtime_dir)


def test_run_ids_sort_by_time_and_differ() -> None:
    runs = [new_run() for _ in range(100)]
    assert len(set(runs)) == 100
    assert all(len(run) == 22 and run[8] == "T" and run[15] == "-" for run in runs)


def test_a_state_directory_in_memory_is_refused(
    small_disk: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_disk(1 << 20)
    monkeypatch.setenv("PILLION_STATE_DIR", f"{disk}/state")
    with pytest.raises(Failure) as caught:
        claim("shop", exact=True)
    assert str(caught.value) == (
        f"cannot keep the spool in {disk}/state/shop: it is in memory (tmpfs); "
        "set PILLION_STATE_DIR to a disk"
    )


def test_a_runtime_directory_in_memory_is_welcome(
    small_disk: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = small_disk(1 << 20)
    monkeypatch.setenv("PILLION_RUNTIME_DIR", f"{disk}/run")
    one = claim("shop", exact=True)
    os.close(one.lock)
    os.close(one.guard)


@pytest.mark.parametrize("variable", ["PILLION_RUNTIME_DIR", "PILLION_STATE_DIR"])
def test_a_directory_that_cannot_be_made_is_named_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv(variable, f"{tmp_path}/file")
    with pytest.raises(Failure) as caught:
        claim("shop", exact=True)
    assert str(caught.value) == (
        f"cannot make {tmp_path}/file/shop: Not a directory; set {variable} to a directory of yours"
    )


@pytest.mark.parametrize(
    ("variable", "place"), [("PILLION_RUNTIME_DIR", "run"), ("PILLION_STATE_DIR", "state")]
)
def test_a_directory_of_another_user_is_refused(tmp_path: Path, variable: str, place: str) -> None:
    directory = tmp_path / place / "shop"
    directory.mkdir(parents=True)
    os.chown(directory, NOBODY, NOBODY)
    with pytest.raises(Failure) as caught:
        claim("shop", exact=True)
    assert str(caught.value) == (
        f"cannot use {directory}: it belongs to uid {NOBODY}; remove it or set {variable}"
    )


def test_a_directory_that_someone_else_made_above_ours_in_tmp_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its owner could put a directory of his own in the place of ours."""
    everyones = tmp_path / "tmp"
    everyones.mkdir()
    everyones.chmod(0o1777)
    planted = everyones / "pillion-0"
    planted.mkdir()
    os.chown(planted, NOBODY, NOBODY)
    monkeypatch.setenv("PILLION_RUNTIME_DIR", str(planted))
    with pytest.raises(Failure, match=f"cannot use {planted}: it belongs to uid {NOBODY}"):
        claim("shop", exact=True)


def test_a_volume_of_another_user_is_no_such_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What a container has mounted often belongs to a user of the host's."""
    volume = tmp_path / "volume"
    volume.mkdir()
    os.chown(volume, NOBODY, NOBODY)
    monkeypatch.setenv("PILLION_STATE_DIR", str(volume))
    assert claim("shop", exact=True).state_dir == f"{volume}/shop"


def test_the_next_start_waits_for_the_scribe_of_the_one_before(
    capfd: pytest.CaptureFixture[str],
) -> None:
    first = claim("shop", exact=True)
    os.close(first.lock)
    claimed: list[Instance] = []
    thread = threading.Thread(target=lambda: claimed.append(claim("shop", exact=True)))
    thread.start()
    err = ""
    while "waiting for the run before" not in err:
        assert thread.is_alive()
        thread.join(0.01)
        err += capfd.readouterr().err
    assert claimed == []
    os.close(first.guard)
    thread.join(BOUND_S)
    assert [one.name for one in claimed] == ["shop"]


def test_what_a_killed_run_left_without_groups_is_found_by_its_mark(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    run = new_run()
    code = "import os, signal\nprint(flush=True)\nos.setsid() if os.fork() else 0\nsignal.pause()"
    left = [
        subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", code],
            env={tree.MARK: run, **extra},
            stdout=subprocess.PIPE,
        )
        for extra in ({}, {tree.ROLE_MARK: "{}"})
    ]
    for process in left:
        assert process.stdout is not None
        process.stdout.readline()
    instance.write_atomically(
        f"{tmp_path}/instance.json", json.dumps({"run": run, "groups": [f"{tmp_path}/absent"]})
    )
    assert len(empty_leftovers(str(tmp_path))) == 2
    for process in left:
        assert process.wait(BOUND_S) == -9
        assert process.stdout is not None
        process.stdout.close()
    assert tree.marked_pids(run) + tree.marked_pids(run, sidecar=True) == []
    assert os.listdir(tmp_path) == []
    assert "pillion: ended what run" in capfd.readouterr().err


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"run": 1}', '{"run": "x", "groups": 3}'])
def test_a_description_that_cannot_be_read_leaves_nothing_to_empty(
    tmp_path: Path, text: str
) -> None:
    (tmp_path / "instance.json").write_text(text)
    assert empty_leftovers(str(tmp_path)) == []


def test_an_end_that_was_orderly_leaves_nothing_to_empty(tmp_path: Path) -> None:
    assert empty_leftovers(str(tmp_path)) == []


def test_every_socket_is_bound_once(bound: Callable[..., Instance]) -> None:
    one = bound(listen="127.0.0.1:0", probe_listen="[::1]:0")
    assert set(one.sockets) == {"api_unix", "keeper", "notify", "api_tcp", "probe"}
    assert one.url == f"http://127.0.0.1:{one.sockets['api_tcp'].getsockname()[1]}"
    assert one.sockets["probe"].family == socket.AF_INET6
    modes = {
        name: stat.S_IMODE(os.stat(one.path(name)).st_mode) for name in os.listdir(one.runtime_dir)
    }
    assert set(modes.values()) == {0o600}
    assert set(modes) == {
        "lock",
        "guard.lock",
        "api.sock",
        "keeper.sock",
        "notify.sock",
        "token",
        "operator.token",
    }


def test_without_a_tcp_address_there_is_no_url(bound: Callable[..., Instance]) -> None:
    assert bound().url is None


def test_an_app_of_another_user_reaches_its_sockets_and_not_the_operators(
    bound: Callable[..., Instance],
) -> None:
    one = bound(app_uid=NOBODY)
    modes = {
        name: stat.S_IMODE(os.stat(one.path(name)).st_mode)
        for name in ("api.sock", "notify.sock", "keeper.sock", "token")
    }
    assert modes == {"api.sock": 0o666, "notify.sock": 0o666, "keeper.sock": 0o600, "token": 0o600}


def test_tokens_are_long_and_differ(bound: Callable[..., Instance]) -> None:
    one, other = bound(), bound()
    tokens = {one.token, one.operator_token, other.token, other.operator_token}
    assert len(tokens) == 4
    assert all(len(token) == 48 for token in tokens)
    with open(one.path("token")) as file:
        assert file.read() == one.token


def test_an_address_in_use_names_who_holds_it(bound: Callable[..., Instance]) -> None:
    code = (
        "import socket, sys\ns = socket.create_server(('127.0.0.1', 0))\n"
        "print(s.getsockname()[1], flush=True)\nsys.stdin.readline()"
    )
    other = subprocess.Popen(
        [sys.executable, "-I", "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert other.stdout is not None
    port = int(other.stdout.readline())
    with open(f"/proc/{other.pid}/comm") as file:
        name = file.read().strip()
    with pytest.raises(Failure) as caught:
        bound(listen=f"127.0.0.1:{port}")
    other.communicate(timeout=BOUND_S)
    assert str(caught.value) == (
        f"cannot listen on 127.0.0.1:{port}: already in use by pid {other.pid} ({name}); "
        "set api.listen or stop it"
    )


def test_the_setting_of_the_address_is_the_one_named(bound: Callable[..., Instance]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Failure, match=r"set api\.probe_listen or stop it"):
            bound(probe_listen=address)


def test_an_address_that_is_not_ours_is_told_as_such(bound: Callable[..., Instance]) -> None:
    with pytest.raises(Failure) as caught:
        bound(listen="192.0.2.1:80")
    assert str(caught.value) == (
        "cannot listen on 192.0.2.1:80: Cannot assign requested address; set api.listen"
    )


def test_a_path_that_is_too_long_for_a_socket_is_told_with_its_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, bound: Callable[..., Instance]
) -> None:
    monkeypatch.setenv("PILLION_RUNTIME_DIR", f"{tmp_path}/{'x' * 100}")
    with pytest.raises(Failure, match=r"107 bytes at most.*set PILLION_RUNTIME_DIR to a shorter"):
        bound()


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("127.0.0.1:80", ("127.0.0.1", 80)),
        (":0", ("127.0.0.1", 0)),
        ("[::1]:65535", ("::1", 65535)),
        ("localhost:8080", ("localhost", 8080)),
    ],
)
def test_an_address_is_host_and_port(text: str, expected: tuple[str, int]) -> None:
    assert parse_address(text) == expected


@pytest.mark.parametrize("text", ["", "80", "host", "host:", "host:x", "host:65536", "host:-1"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"no host:port|invalid literal"):
        parse_address(text)


def test_a_description_holds_what_others_find_us_by(bound: Callable[..., Instance]) -> None:
    one = bound(listen="127.0.0.1:0")
    one.describe({"version": "1"})
    with open(one.path("instance.json")) as file:
        facts = json.load(file)
    assert facts["keeper"]["pid"] == os.getpid()
    assert facts["keeper"]["start_ticks"] > 0
    assert (facts["v"], facts["name"], facts["run"], facts["url"], facts["version"]) == (
        1,
        "shop",
        one.run,
        one.url,
        "1",
    )
    assert places.instances() == ["shop"]


def test_a_release_removes_the_runtime_directory(bound: Callable[..., Instance]) -> None:
    one = bound()
    one.release()
    assert not os.path.exists(one.runtime_dir)
    assert os.path.exists(one.state_dir)


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path: Path) -> None:
    path = f"{tmp_path}/x.json"
    instance.write_atomically(path, "one")
    kept = os.open(path, os.O_RDONLY)
    instance.write_atomically(path, "two")
    assert os.read(kept, 10) == b"one"
    os.close(kept)
    assert os.listdir(tmp_path) == ["x.json"]
    assert stat.S_IMODE(os.stat(path).st_mode) == 0o600


def test_nobody_holds_a_port_that_is_free() -> None:
    with socket.create_server(("127.0.0.1", 0)) as sock:
        port = sock.getsockname()[1]
        found = holder(port)
        assert found is not None
        assert found.startswith(f"pid {os.getpid()} (")
    assert holder(port) is None


def test_only_who_listens_holds_a_port() -> None:
    line = "   0: 0100007F:1F90 00000000:0000 {} 00000000:00000000 00:00000000 00000000 0 0 777 1 x"
    table = "header\n" + "\n".join(line.format(state) for state in ("0A", "01"))
    assert listening_inodes(8080, table) == {"777"}
    assert listening_inodes(8081, table) == set()
    assert listening_inodes(8080, "header\n" + line.format("01")) == set()
