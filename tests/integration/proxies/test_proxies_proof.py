"""The question for the version, to servers that answer it and to those that do anything else."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from typing import TYPE_CHECKING

import pytest

from pillion.proxies.proof import Answer, ask, remove_dead_socket, wait_for

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

OK = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\n\r\n"


@pytest.fixture
def path(tmp_path: Path) -> str:
    return str(tmp_path / "proof")


@contextlib.asynccontextmanager
async def server(path: str, answer: Callable[[], bytes | None]) -> AsyncIterator[None]:
    """Answers each connection; None: it is silent until the other side closes."""

    serving: set[asyncio.Task[None] | None] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.add(asyncio.current_task())
        await reader.readuntil(b"\r\n\r\n")
        data = answer()
        if data is None:
            await reader.read()
        with contextlib.suppress(OSError):
            writer.write(data or b"")
            await writer.drain()
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()

    running = await asyncio.start_unix_server(serve, path)
    async with running:
        yield
        await asyncio.gather(*filter(None, serving))


def asked(path: str, answer: bytes | None, timeout_s: float = 5.0) -> Answer:
    async def go() -> Answer:
        async with server(path, lambda: answer):
            return await ask(path, timeout_s)

    return asyncio.run(go())


def test_a_version_is_read(path: str) -> None:
    assert asked(path, OK + b"3f2a9c0d11e4b7a6\n") == Answer("3f2a9c0d11e4b7a6")


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "closed without an answer"),
        (b"\0" * 5000, "the answer is no HTTP"),
        (b"HTTP/1.1 200 OK\r\n", "the answer is no HTTP"),
        (b"HTTP/1.1\r\n\r\nx", "the answer is no HTTP"),
        (b"HTTP/1.1 503 No\r\n\r\nabc", "the answer is 503, not 200"),
        (OK, "the answer names no version"),
        (OK + "é".encode(), "the answer names no version"),
        (OK + b"x" * 65, "the answer names no version"),
        (OK + b"x" * 10_000_000, "the answer names no version"),
    ],
)
def test_what_is_no_version(path: str, answer: bytes, why: str) -> None:
    assert asked(path, answer) == Answer(why=why)


def test_who_is_silent_is_waited_for_no_longer_than_said(path: str) -> None:
    assert "does not answer within 0.05 s" in asked(path, None, 0.05).why


def test_nobody_there(path: str) -> None:
    assert "No such file" in asyncio.run(ask(path)).why


def test_a_full_backlog_is_a_reason_to_ask_again(path: str) -> None:
    with socket.socket(socket.AF_UNIX) as listener, contextlib.ExitStack() as clients:
        listener.bind(path)
        listener.listen(0)
        for _ in range(8):
            client = clients.enter_context(socket.socket(socket.AF_UNIX))
            client.setblocking(False)
            with contextlib.suppress(BlockingIOError):
                client.connect(path)
        answer = asyncio.run(ask(path, 0.2))
        assert answer.version == ""
        assert answer.why


def test_it_is_asked_until_the_new_version_answers(path: str) -> None:
    answers = iter([b"", OK + b"old", None, OK + b"old", OK + b"new"])

    async def go() -> Answer:
        async with server(path, lambda: next(answers)):
            return await wait_for(path, "new", 20)

    assert asyncio.run(go()) == Answer("new")


def test_it_is_asked_until_the_answer_is_believed(path: str) -> None:
    believed = iter([False, False, True])

    async def go() -> Answer:
        async with server(path, lambda: OK + b"new"):
            return await wait_for(path, "new", 20, believed=lambda: next(believed))

    assert asyncio.run(go()) == Answer("new")
    assert next(believed, None) is None


def test_questions_at_the_same_time_reach_more_than_one_worker(path: str) -> None:
    """As long as there is one connection the old worker has it; a second one beside it goes to the new one."""
    both = asyncio.Event()
    busy = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy
        busy += 1
        version = b"old" if busy == 1 else b"new"
        if busy == 2:
            both.set()
        await reader.readuntil(b"\r\n\r\n")
        await both.wait()
        writer.write(OK + version)
        writer.close()
        await writer.wait_closed()

    async def go() -> Answer:
        async with await asyncio.start_unix_server(serve, path):
            return await wait_for(path, "new", 20, at_once=2)

    assert asyncio.run(go()) == Answer("new")


def test_it_is_asked_no_more_once_there_is_no_hope(path: str) -> None:
    async def go() -> Answer:
        async with server(path, lambda: OK + b"old"):
            return await wait_for(path, "new", 60, hopeless=lambda: "it said so")

    assert asyncio.run(go()) == Answer(why="it said so")


def test_the_last_answer_is_told_when_the_time_is_over(path: str) -> None:
    async def go() -> Answer:
        async with server(path, lambda: OK + b"old"):
            return await wait_for(path, "new", 0.05)

    assert asyncio.run(go()) == Answer("old")


def test_only_a_dead_socket_is_removed(path: str, tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(path)
        listener.listen()
        assert not remove_dead_socket(path)
        assert os.path.exists(path)
    assert remove_dead_socket(path)
    assert not os.path.exists(path)
    assert not remove_dead_socket(path)
    (tmp_path / "file").write_text("")
    assert not remove_dead_socket(str(tmp_path / "file"))
    assert (tmp_path / "file").exists()
