"""Who is at the other end."""

from __future__ import annotations

from pillion.ambassador.peer import Peer


def test_leaving_is_told_once() -> None:
    told: list[int] = []
    peer = Peer("192.0.2.7", 80, gone=lambda: told.append(1))
    peer.left()
    peer.left()
    assert told == [1]
    Peer().left()


def test_a_peer_as_text() -> None:
    assert str(Peer("192.0.2.7", 80)) == "192.0.2.7:80"
    assert str(Peer("2001:db8::7", 80)) == "[2001:db8::7]:80"
    assert str(Peer()) == "unix"
