"""The wire: messages whole or not at all, descriptors that leak nowhere, and a peer that can neither hang nor break us."""

from __future__ import annotations

import os
import socket
import threading
from typing import TYPE_CHECKING

import pytest

from pillion.keeper import wire
from pillion.keeper.wire import MAX_DESCRIPTORS, MAX_MESSAGE_BYTES, Channel, decode, encode

if TYPE_CHECKING:
    from collections.abc import Iterator

Pair = tuple[Channel, Channel]


@pytest.fixture
def pair() -> Iterator[Pair]:
    ours, theirs = (Channel(sock) for sock in wire.pair())
    yield ours, theirs
    ours.close()
    theirs.close()


def open_fds() -> int:
    return len(os.listdir("/proc/self/fd"))


def fill(channel: Channel) -> int:
    """Send until the socket is full; returns the messages that went."""
    sent = 0
    while not channel.waiting:
        channel.send({"op": "heartbeat", "n": sent, "pad": "x" * 10_000})
        sent += 1
    return sent


def test_both_ends_close_on_exec() -> None:
    ours, theirs = wire.pair()
    with ours, theirs:
        assert not os.get_inheritable(ours.fileno())
        assert not os.get_inheritable(theirs.fileno())


def test_messages_arrive_in_order(pair: Pair) -> None:
    for n in range(5):
        assert pair[0].send({"op": "x", "n": n})
    assert [m["n"] for m, _ in pair[1].receive()] == [0, 1, 2, 3, 4]
    assert pair[1].receive() == []
    assert not pair[1].closed


def test_a_message_of_the_largest_size_arrives(pair: Pair) -> None:
    text = "x" * (MAX_MESSAGE_BYTES - len(encode({"t": ""})))
    pair[0].send({"t": text})
    assert pair[1].receive() == [({"t": text}, [])]


def test_a_larger_one_is_refused() -> None:
    with pytest.raises(ValueError, match="cannot send a message of 131080 bytes"):
        encode({"t": "x" * MAX_MESSAGE_BYTES})


def test_a_full_socket_makes_messages_wait_in_order(pair: Pair) -> None:
    sent = fill(pair[0])
    assert pair[0].send({"n": sent})
    arrived = pair[1].receive()
    pair[0].flush()
    assert not pair[0].waiting
    arrived += pair[1].receive()
    assert [m["n"] for m, _ in arrived] == list(range(sent + 1))


def test_what_waits_is_bounded_and_what_is_refused_counted(pair: Pair) -> None:
    fill(pair[0])
    results = [pair[0].send({"op": "x"}) for _ in range(100)]
    assert results == [True] * 63 + [False] * 37
    assert pair[0].dropped == 37


def test_descriptors_travel_with_their_message(pair: Pair) -> None:
    read, write = os.pipe()
    pair[0].send({"op": "retire"}, [write])
    os.close(write)
    ((message, (theirs,)),) = pair[1].receive()
    os.write(theirs, b"hello")
    assert (message, os.read(read, 10)) == ({"op": "retire"}, b"hello")
    assert not os.get_inheritable(theirs), "it would leak into every child"
    os.close(theirs)
    os.close(read)


def test_descriptors_that_wait_are_kept_until_they_went(pair: Pair) -> None:
    fill(pair[0])
    before = open_fds()
    read, write = os.pipe()
    pair[0].send({"op": "retire"}, [write])
    os.close(write)
    pair[1].receive()
    pair[0].flush()
    ((_, (theirs,)),) = [m for m in pair[1].receive() if m[0].get("op") == "retire"]
    os.write(theirs, b"x")
    assert os.read(read, 1) == b"x"
    os.close(theirs)
    os.close(read)
    assert open_fds() == before


def test_closing_gives_back_what_waited() -> None:
    before = open_fds()
    ours, theirs = (Channel(sock) for sock in wire.pair())
    fill(ours)
    ours.send({"op": "retire"}, [0, 1])
    ours.close()
    theirs.close()
    assert open_fds() == before


def test_more_descriptors_than_fit_are_not_kept(pair: Pair) -> None:
    before = open_fds()
    socket.send_fds(pair[0].sock, [b"{}"], [0] * (MAX_DESCRIPTORS + 5))
    ((_, fds),) = pair[1].receive()
    assert len(fds) <= MAX_DESCRIPTORS
    for fd in fds:
        os.close(fd)
    assert open_fds() == before


@pytest.mark.parametrize(
    "data",
    [b"[]", b"7", b"null", b"{", b"\xff\xfe\x00", b"{}{}", b"[" * 50_000, b'{"n":' + b"9" * 5000],
)
def test_nonsense_is_passed_over(pair: Pair, data: bytes) -> None:
    assert decode(data) is None
    before = open_fds()
    socket.send_fds(pair[0].sock, [data], [0, 1])
    pair[0].send({"op": "ready"})
    assert pair[1].receive() == [({"op": "ready"}, [])]
    assert open_fds() == before


def test_an_oversized_message_is_passed_over(pair: Pair) -> None:
    pair[0].sock.send(b'{"t": "' + b"x" * MAX_MESSAGE_BYTES + b'"}')
    pair[0].send({"op": "ready"})
    assert pair[1].receive() == [({"op": "ready"}, [])]


def test_what_was_said_before_the_end_is_heard(pair: Pair) -> None:
    pair[0].send({"op": "retired"})
    pair[0].close()
    assert pair[1].receive() == [({"op": "retired"}, [])]
    assert pair[1].closed


def test_to_a_peer_that_is_gone_nothing_is_sent(pair: Pair) -> None:
    pair[1].close()
    assert not pair[0].send({"op": "x"})
    assert pair[0].closed
    assert not pair[0].send({"op": "x"})
    pair[0].flush()


def test_a_peer_that_never_stops_sending_does_not_hold_us(pair: Pair) -> None:
    stop = threading.Event()
    theirs = pair[0].sock
    theirs.setblocking(True)

    def flood() -> None:
        while not stop.is_set():
            theirs.send(b"nonsense")

    threads = [threading.Thread(target=flood) for _ in range(2)]
    for thread in threads:
        thread.start()
    for _ in range(20):
        pair[1].receive()
    stop.set()
    while any(thread.is_alive() for thread in threads):
        pair[1].receive()
        threads[0].join(0.01)
        threads[1].join(0.01)
