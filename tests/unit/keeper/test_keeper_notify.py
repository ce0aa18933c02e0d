"""The sd_notify socket: real datagrams, with credentials and descriptors, from programs that may say anything."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING

import pytest

from pillion.keeper import notify
from pillion.keeper.notify import Heard, State, parse, receive

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path


def test_a_datagram_is_assignments_line_by_line() -> None:
    assert parse(b"READY=1\nSTATUS=a=b c\n\nnonsense\n=x\nX=") == {
        "READY": "1",
        "STATUS": "a=b c",
        "X": "",
    }


def test_bytes_that_are_no_utf8_stay_readable() -> None:
    assert parse(b"STATUS=\xff!") == {"STATUS": "\\xff!"}


def test_ready_and_reloading_follow_each_other() -> None:
    state = State()
    assert state.update({"READY": "1"})
    assert state.update({"RELOADING": "1"})
    assert state.ready
    assert state.reloading
    assert state.update({"READY": "1"})
    assert not state.reloading


def test_a_heartbeat_changes_nothing_but_its_count() -> None:
    state = State()
    assert not state.update({"WATCHDOG": "1"})
    assert not state.update({"WATCHDOG": "1"})
    assert (state.beats, state.trigger) == (2, False)


def test_an_app_can_call_for_its_own_restart() -> None:
    state = State()
    state.update({"WATCHDOG": "trigger"})
    assert (state.trigger, state.beats) == (True, 0)


def test_what_is_said_twice_is_no_change() -> None:
    state = State()
    assert state.update({"STATUS": "busy", "STOPPING": "1", "MAINPID": "77"})
    assert not state.update({"STATUS": "busy", "STOPPING": "1", "MAINPID": "77"})
    assert (state.status, state.stopping, state.main_pid) == ("busy", True, 77)


def test_a_status_is_bounded() -> None:
    state = State()
    state.update({"STATUS": "x" * 10_000})
    assert len(state.status) == 512


@pytest.mark.parametrize("text", ["", "x", "-1", "1.0", "\u00b2", "\u0664\u0662", "9" * 5000])
def test_what_is_no_pid_is_passed_over(text: str) -> None:
    state = State()
    assert not state.update({"MAINPID": text})
    assert state.main_pid is None


def test_a_status_shows_nothing_that_moves_a_terminal() -> None:
    state = State()
    state.update({"STATUS": "up\x1b[2J\x07 \u202etxt"})
    assert state.status == "up\ufffd[2J\ufffd \ufffdtxt"


def test_a_reload_has_its_time() -> None:
    state = State()
    assert state.update({"RELOADING": "1", "MONOTONIC_USEC": "123456"})
    assert (state.reloading, state.reload_usec) == (True, 123456)
    assert state.update({"READY": "1"})
    assert not state.reloading


@pytest.mark.parametrize(
    ("usec", "seconds"),
    [("2500000", 2.5), ("0", 0.0), (str(2**64 - 1), 0.0), ("-1", None), ("x", None), ("", None)],
)
def test_a_watchdog_is_changed_at_run_time(usec: str, seconds: float | None) -> None:
    state = State()
    assert not state.update({"WATCHDOG_USEC": usec})
    assert state.watchdog_s == seconds


@pytest.mark.parametrize(
    ("usec", "seconds"),
    [("5000000", 5.0), ("0", None), (str(10**19), 86400.0), ("9" * 40, None)],
)
def test_an_extension_is_bounded(usec: str, seconds: float | None) -> None:
    state = State()
    state.update({"EXTEND_TIMEOUT_USEC": usec})
    assert state.extend_s == seconds


def test_what_an_app_says_of_its_failure_is_kept() -> None:
    state = State()
    assert state.update({"ERRNO": "2", "EXIT_STATUS": "70", "BUSERROR": "org.example.Bad"})
    assert state.failure() == (
        "ERRNO=2 (No such file or directory), EXIT_STATUS=70, BUSERROR=org.example.Bad"
    )


def test_a_failure_that_is_none_is_passed_over() -> None:
    state = State()
    assert not state.update({"ERRNO": "many", "EXIT_STATUS": "256", "BUSERROR": ""})
    assert state.failure() == ""


def test_access_is_narrowed_by_words_that_there_are() -> None:
    state = State()
    assert not state.update({"NOTIFYACCESS": "everyone"})
    assert state.update({"NOTIFYACCESS": "main"})
    assert state.access == "main"


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    path = f"{tmp_path}/notify.sock"
    server = notify.bind(path, 0o640)
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    client.connect(path)
    yield server, client
    server.close()
    client.close()


def anyone(_pid: int) -> bool:
    return True


def read(
    server: socket.socket,
    state: State | None = None,
    accept: Callable[[int], bool] = anyone,
    heard: Heard | None = None,
    own: Callable[[int], bool] = anyone,
) -> bool:
    return receive(server, accept, state or State(), heard or Heard(), own=own)


def test_the_socket_takes_the_place_of_a_predecessors(tmp_path: Path) -> None:
    path = f"{tmp_path}/notify.sock"
    notify.bind(path, 0o666).close()
    notify.bind(path, 0o640).close()
    assert os.stat(path).st_mode & 0o777 == 0o640


def test_all_datagrams_are_read_at_once(sockets: tuple[socket.socket, socket.socket]) -> None:
    server, client = sockets
    for text in (b"WATCHDOG=1", b"STATUS=one", b"STATUS=two\nREADY=1"):
        client.send(text)
    state = State()
    assert read(server, state)
    assert (state.beats, state.status, state.ready) == (1, "two", True)


def test_nothing_to_read_is_no_change(sockets: tuple[socket.socket, socket.socket]) -> None:
    assert not read(sockets[0])


def test_the_sender_is_known(sockets: tuple[socket.socket, socket.socket]) -> None:
    server, client = sockets
    asked = []

    def accept(pid: int) -> bool:
        asked.append(pid)
        return False

    client.send(b"READY=1")
    state, heard = State(), Heard()
    assert not read(server, state, accept, heard)
    assert asked == [os.getpid()]
    assert not state.ready
    assert heard.foreign == 1


def test_the_sender_may_be_another_process(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    server, client = sockets
    pid = os.fork()
    if pid == 0:
        client.send(b"READY=1")
        os._exit(0)
    os.waitpid(pid, 0)
    asked: list[int] = []
    read(server, accept=lambda pid: not asked.append(pid))
    assert asked in ([pid], [])


@pytest.mark.parametrize("admitted", [True, False])
def test_a_barrier_is_answered_by_closing_its_descriptor(
    sockets: tuple[socket.socket, socket.socket], admitted: bool
) -> None:
    server, client = sockets
    end, write = os.pipe()
    socket.send_fds(client, [b"BARRIER=1"], [write])
    os.close(write)
    poll = select.poll()
    poll.register(end, select.POLLIN)
    assert poll.poll(0) == [], "answered before it was read"
    read(server, accept=lambda _: admitted)
    assert poll.poll(5000) == [(end, select.POLLHUP)]
    os.close(end)


def test_no_descriptor_stays(sockets: tuple[socket.socket, socket.socket]) -> None:
    server, client = sockets
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        socket.send_fds(client, [b"FDSTORE=1"], [0] * 60)
        read(server)
    assert len(os.listdir("/proc/self/fd")) == before


@pytest.mark.parametrize("abstract", [False, True])
def test_what_we_say_to_the_manager_above_arrives(tmp_path: Path, abstract: bool) -> None:
    address = f"@pillion-test-{os.getpid()}" if abstract else f"{tmp_path}/outer.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as outer:
        outer.bind(address.replace("@", "\0", 1))
        notify.tell(address, "READY=1")
        assert outer.recv(100) == b"READY=1"


def test_a_manager_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        notify.tell(f"{tmp_path}/absent.sock", "READY=1")


def test_a_flood_is_read_in_parts(sockets: tuple[socket.socket, socket.socket]) -> None:
    server, client = sockets
    sent = 0
    state = State()
    for _ in range(1000):
        try:
            client.send(b"WATCHDOG=1")
            sent += 1
        except BlockingIOError:
            before = state.beats
            read(server, state)
            assert 0 < state.beats - before <= 64
    while state.beats < sent:
        read(server, state)


def test_what_is_too_long_is_refused_as_a_whole(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    server, client = sockets
    client.send(b"READY=1\nSTATUS=" + b"x" * 20_000)
    state, heard = State(), Heard()
    assert not read(server, state, heard=heard)
    assert (heard.truncated, state.ready) == (1, False)


@pytest.mark.parametrize("garbage", [b"", b"\0" * 100, b"=\n==\n", b"\xff" * 50, b"READY"])
def test_garbage_is_counted_and_harmless(
    sockets: tuple[socket.socket, socket.socket], garbage: bytes
) -> None:
    server, client = sockets
    client.send(garbage)
    state, heard = State(), Heard()
    assert not read(server, state, heard=heard)
    assert heard.malformed == 1


def test_a_main_pid_is_one_of_the_apps(sockets: tuple[socket.socket, socket.socket]) -> None:
    server, client = sockets
    client.send(b"MAINPID=1\nSTATUS=mine")
    client.send(b"MAINPID=77")
    state, heard = State(), Heard()
    assert read(server, state, heard=heard, own=lambda pid: pid == 77)
    assert (state.main_pid, state.status, heard.foreign) == (77, "mine", 1)


def test_descriptors_to_store_are_refused_and_counted(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    server, client = sockets
    socket.send_fds(client, [b"FDSTORE=1\nFDNAME=x"], [0, 0])
    state, heard = State(), Heard()
    read(server, state, heard=heard)
    assert (state.store, heard.refused_fds) == (True, 2)
