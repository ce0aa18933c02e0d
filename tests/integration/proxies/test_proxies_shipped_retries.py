"""What a member was asked when it was killed is asked of another one by the shipped templates where that is safe, and of nobody where it is not."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from typing import TYPE_CHECKING

import pytest

from proxies_rendering import member
from proxies_serving import KINDS, Server, serving

if TYPE_CHECKING:
    from collections.abc import Iterator

    from pillion.proxies.templating.facts import ProxyKind
    from proxies_serving import Answer, Serving

both_kinds = pytest.mark.parametrize("kind", KINDS)
# Takes every request and answers none; says so, and is killed.
SILENT = """
import socket, sys
listener = socket.create_server(("127.0.0.1", 0), backlog=16)
print(listener.getsockname()[1], flush=True)
held = []
while True:
    peer, _ = listener.accept()
    held.append(peer)
    try:
        if peer.recv(65536):
            print("asked", flush=True)
    except ConnectionResetError:
        pass  # a check of HAProxy's ends so
"""


class Silent:
    """A member that is killed while requests are under way to it."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-c", SILENT], stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self._stdout = self._process.stdout
        self.port = int(self._stdout.readline())
        self.was_asked = False
        self._asked = threading.Thread(target=self._kill_when_asked)
        self._asked.start()

    def _kill_when_asked(self) -> None:
        self.was_asked = self._stdout.readline() == "asked\n"
        self._process.kill()

    def close(self) -> None:
        """End it in any case."""
        self._process.kill()
        self._process.wait(10)
        self._asked.join(10)
        self._stdout.close()


@contextlib.contextmanager
def silent() -> Iterator[Silent]:
    made = Silent()
    try:
        yield made
    finally:
        made.close()


def ask_until_it_was_asked(one: Silent, proxy: Serving, method: str) -> Answer:
    """The answer to the request that was under way to the silent one; each before it went to the other."""
    for _ in range(20):
        answer = proxy.get("/", method)
        if one.was_asked:
            return answer
        assert answer.status == 200
    raise AssertionError("the silent one was never asked")


@both_kinds
@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
def test_a_safe_request_is_answered_by_another_member(kind: ProxyKind, method: str) -> None:
    with silent() as dying, Server("b") as b:
        members = {"orders": (member("a", dying.port), b.member)}
        with serving(kind, "load-balancer", {"service": "orders"}, members) as proxy:
            answer = ask_until_it_was_asked(dying, proxy, method)
    assert answer.status == 200
    assert answer.body == ("" if method == "HEAD" else "b")


@both_kinds
@pytest.mark.parametrize("method", ["POST", "PATCH"])
def test_another_is_not_asked_twice(kind: ProxyKind, method: str) -> None:
    with silent() as dying, Server("b") as b:
        members = {"orders": (member("a", dying.port), b.member)}
        with serving(kind, "load-balancer", {"service": "orders"}, members) as proxy:
            answer = ask_until_it_was_asked(dying, proxy, method)
            before = len(b.seen)
            assert answer.status == 502
            # A request that reaches nobody is asked of another one whatever it is: the dead one refuses connections now.
            assert {proxy.get("/", method).status for _ in range(4)} == {200}
            assert len(b.seen) == before + 4


@both_kinds
def test_without_another_member_it_is_said(kind: ProxyKind) -> None:
    with silent() as dying:
        members = {"orders": (member("a", dying.port),)}
        with serving(kind, "load-balancer", {"service": "orders"}, members) as proxy:
            assert ask_until_it_was_asked(dying, proxy, "GET").status in (502, 503)
