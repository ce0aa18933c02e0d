"""The sd_notify socket: real datagrams, with credentials and descriptors, from programs that may say anything."""

from __future__ import annotations

import os
import select
import socket
from typing import TYPE_CHECKING

import pytest

from pillion.keeper import notify
from pillion.keeper.notify import State, parse

if TYPE_CHECKING:
    from collections.abc import Iterator
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


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[tuple[socket.socket, socket.socket]]:
    path = f"{tmp_path}/notify.sock"
    server = notify.bind(path, 0o640)
    client = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
    client.connect(path)
    yield server, client
    server.close()
    client.close()


def anyone(_pid: int, _uid: int) -> bool:
    return True


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
    assert notify.receive(server, anyone, state)
    assert (state.beats, state.status, state.ready) == (1, "two", True)


def test_nothing_to_read_is_no_change(sockets: tuple[socket.socket, socket.socket]) -> None:
    assert not notify.receive(sockets[0], anyone, State())


def test_the_sender_is_known(sockets: tuple[socket.socket, socket.socket]) -> None:
    server, client = sockets
    asked = []

    def accept(pid: int, uid: int) -> bool:
        asked.append((pid, uid))
        return False

    client.send(b"READY=1")
    state = State()
    assert not notify.receive(server, accept, state)
    assert asked == [(os.getpid(), os.getuid())]
    assert not state.ready


def test_the_sender_may_be_another_process(
    sockets: tuple[socket.socket, socket.socket],
) -> None:
    server, client = sockets
    pid = os.fork()
    if pid == 0:
        client.send(b"READY=1")
        os._exit(0)
    os.waitpid(pid, 0)
    asked = []
    notify.receive(server, lambda p, u: bool(asked.append((p, u))), State())
    assert asked[0][0] in (pid, 0)


@pytest.mark.parametrize("admitted", [True, False])
def test_a_barrier_is_answered_by_closing_its_descriptor(
    sockets: tuple[socket.socket, socket.socket], admitted: bool
) -> None:
    server, client = sockets
    read, write = os.pipe()
    socket.send_fds(client, [b"BARRIER=1"], [write])
    os.close(write)
    poll = select.poll()
    poll.register(read, select.POLLIN)
    assert poll.poll(0) == [], "answered before it was read"
    notify.receive(server, lambda *_: admitted, State())
    assert poll.poll(5000) == [(read, select.POLLHUP)]
    os.close(read)


def test_no_descriptor_stays(sockets: tuple[socket.socket, socket.socket]) -> None:
    server, client = sockets
    before = len(os.listdir("/proc/self/fd"))
    for _ in range(5):
        socket.send_fds(client, [b"FDSTORE=1"], [0] * 60)
        notify.receive(server, anyone, State())
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
