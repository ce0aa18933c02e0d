"""Nothing has two readings: what the ambassador passes on is what Node.js, NGINX and three of Python's servers read, to the byte.

Every message goes in by a connection of its own, which the client half-closes behind it. Then a probe follows on a
new one: it goes out on the upstream connection that the message has used, and finds what may have stayed there.
"""

from __future__ import annotations

import contextlib
import itertools
import socket
from random import Random
from typing import TYPE_CHECKING, NamedTuple

import pytest

import ambassador_witnesses as witnesses
from ambassador_running import listeners, start
from ambassador_smuggling import PASSED, REFUSED, mutated
from ambassador_witnesses import Seen, Witness
from instance import Host, wait_for
from pillion.http.codec import (
    PAUSED,
    CodecError,
    End,
    Limits,
    RequestHead,
    RequestParser,
    ResponseHead,
    ResponseParser,
)
from pillion.http.paths import BadPathError, normalise, split_target

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

NAMES = ("node", "nginx", "aiohttp", "http.server", "h11")
_BOUND_S = 40.0
# A repeated request would be seen twice, and an open circuit would hide what comes after.
_POLICY = 'retry = "off"\nbreaker = "off"\npool = { idle = "30s" }'
_probes = itertools.count()


class Answer(NamedTuple):
    """An answer as the client reads it; `reason` is the ambassador's, empty for one of the upstream."""

    status: int
    reason: str
    body: str


class World(NamedTuple):
    """The ambassador's local ports, and who stands behind each of them."""

    ports: dict[str, int]
    witnesses: dict[str, Witness]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """Every witness behind a port of its own."""
    root: Path = tmp_path_factory.mktemp("nginx")
    with contextlib.ExitStack() as stack:
        made = (
            witnesses.node(),
            witnesses.nginx(str(root)),
            witnesses.python_aiohttp(),
            witnesses.python_server(),
            witnesses.python_h11(),
        )
        found = {one.name: one for one in map(stack.enter_context, made)}
        assert tuple(found) == NAMES
        tables = (
            f'[ambassador.upstreams.{_key(n)}]\nurls = ["http://127.0.0.1:{w.port}"]\n{_POLICY}'
            for n, w in found.items()
        )
        host = stack.enter_context(Host())
        instance = start(host, '[agent]\nwait = "20s"\n' + "\n".join(tables))
        bound = listeners(instance)
        ports = {name: int(bound[f"upstream:{_key(name)}"].rpartition(":")[2]) for name in NAMES}
        yield World(ports, found)


@pytest.mark.parametrize("name", NAMES)
def test_messages_with_two_readings_are_not_passed_on(world: World, name: str) -> None:
    for case, data in REFUSED.items():
        with _told(case):
            answers = _exchange(world.ports[name], data)
            assert [a.reason for a in answers] == ["bad-request"]
            assert 400 <= answers[0].status < 600
            assert _seen(world, name) == []


@pytest.mark.parametrize("name", NAMES)
def test_messages_with_one_reading_are_read_so(world: World, name: str) -> None:
    for case, data in PASSED.items():
        with _told(case):
            _compare(world, name, data)


@pytest.mark.parametrize("name", NAMES)
def test_messages_that_went_wrong_are_refused_or_read_alike(world: World, name: str) -> None:
    random = Random(f"smuggling {name}")
    for _ in range(150):
        data = mutated(random)
        with _told(repr(data)):
            # An upstream may refuse what is right: a method that it does not know, for one.
            _compare(world, name, data, strict=False)


@pytest.mark.parametrize("name", ["node", "h11"])
def test_messages_that_come_in_pieces_are_read_alike(world: World, name: str) -> None:
    for case, data in PASSED.items():
        with _told(case):
            _compare(world, name, data, piece=7)


def _compare(world: World, name: str, data: bytes, *, piece: int = 0, strict: bool = True) -> None:
    """Send it; what the upstream's answers were to is what it must have seen, no more and no less."""
    read = _reading(data)
    answers = _exchange(world.ports[name], data, read, piece)
    assert len(answers) <= len(read) + 1, "more answers than requests"
    passed = []
    for wanted, answer in itertools.zip_longest(read, answers):
        if answer is None or answer.reason:
            continue
        assert answer.status == 200 or not strict
        assert wanted is not None
        if answer.status == 200:
            assert wanted.method == "HEAD" or answer.body == wanted.target, "another's answer"
            passed.append(wanted)
    # aiohttp puts methods in capitals.
    seen = _seen(world, name, strict=strict)
    assert [_capital(one) for one in seen] == [_capital(one) for one in passed]


def _seen(world: World, name: str, *, strict: bool = True) -> list[Seen]:
    """What the upstream has read by now, after a probe has found the connection clean."""
    target = f"/probe-{next(_probes)}"
    probe = b"GET %b HTTP/1.1\r\nHost: a\r\n\r\n" % target.encode()
    wanted = Seen("GET", target, "")
    assert _exchange(world.ports[name], probe, [wanted]) == [Answer(200, "", target)]
    seen: list[Seen] = []

    def probe_is_told() -> bool:
        told = world.witnesses[name].tell()
        assert not (strict and told.refused), "the upstream could not read what it was sent"
        seen.extend(told.seen)
        return seen[-1:] == [wanted]

    # NGINX writes its log when the answer is already on its way.
    wait_for("the probe has been seen", probe_is_told, state=lambda: seen)
    return seen[:-1]


def _capital(seen: Seen) -> Seen:
    return seen._replace(method=seen.method.upper())


def _reading(data: bytes) -> list[Seen]:
    """The requests that are complete, by our own codec; the target as it is to be sent."""
    parser = RequestParser(Limits())
    parser.receive(data)
    parser.receive_eof()
    found: list[Seen] = []
    head, body = None, b""
    with contextlib.suppress(CodecError):
        while True:
            event = parser.next_event()
            if isinstance(event, RequestHead):
                head, body = event, b""
            elif isinstance(event, bytes):
                body += event
            elif isinstance(event, End):
                assert head is not None
                found.append(Seen(head.method, _target(head.target), body.decode("latin-1")))
            else:
                assert event is PAUSED
                if parser.closed or (head is not None and not head.keep_alive):
                    break
                parser.next_message()
    return found


def _target(target: str) -> str:
    path, query = split_target(target)
    try:
        path = normalise(path)
    except BadPathError:
        return target
    return f"{path}?{query}" if query else path


def _exchange(
    port: int, data: bytes, read: list[Seen] | None = None, piece: int = 0
) -> list[Answer]:
    """Send, half-close, and read every answer until the end."""
    parser = ResponseParser(Limits())
    methods = [one.method for one in read or ()]
    with socket.create_connection(("127.0.0.1", port), _BOUND_S) as sock:
        if piece:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(ConnectionError):
            for at in range(0, len(data), piece or len(data)):
                sock.sendall(data[at : at + (piece or len(data))])
            sock.shutdown(socket.SHUT_WR)
        while chunk := sock.recv(65536):
            parser.receive(chunk)
    parser.receive_eof()
    answers: list[Answer] = []
    head, body = None, b""
    parser.expect(methods[0] if methods else "GET")
    while True:
        event = parser.next_event()
        if isinstance(event, ResponseHead):
            head, body = event, b""
        elif isinstance(event, bytes):
            body += event
        elif isinstance(event, End):
            assert head is not None
            reason = (head.headers.get(b"pillion-reason") or b"").decode()
            answers.append(Answer(head.status, reason, body.decode("latin-1")))
            parser.expect(methods[len(answers)] if len(answers) < len(methods) else "GET")
        elif parser.closed:
            return answers
        else:
            assert event is PAUSED
            parser.next_message()


@contextlib.contextmanager
def _told(case: str) -> Iterator[None]:
    try:
        yield
    except Exception as error:
        error.add_note(f"in the case {case}")
        raise


def _key(name: str) -> str:
    return name.replace(".", "-")
