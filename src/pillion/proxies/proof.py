"""Asks the process that serves which version it serves, over a private Unix socket: neither a validator nor an exit code is believed instead.

One question is one connection and one HTTP/1.0 request (RFC 1945), so that each may be answered by another worker, and nothing is kept that the
process would have to wait for when it ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import stat
from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Callable

ASK_S = 1.0
"""For one question."""
MOST_BYTES = 4096
MOST_VERSION = 64

_REQUEST = b"GET /version HTTP/1.0\r\nHost: proof\r\nUser-Agent: pillion\r\n\r\n"
# A load takes some milliseconds, or, with many files, seconds: the waits grow.
_FIRST_WAIT_S = 0.004
_LAST_WAIT_S = 0.1
_GROWTH = 1.5
_LEAST_ASK_S = 0.05
_KIND = socket.SOCK_STREAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC


class Answer(msgspec.Struct, frozen=True):
    """`version` is what is served, "" when nobody said; `why` is then the reason, in one line."""

    version: str = ""
    why: str = ""


async def ask(path: str, timeout_s: float = ASK_S) -> Answer:
    """Ask at the socket `path` once, for at most `timeout_s` seconds. Raises nothing."""
    return (await _ask_at_once(path, 1, timeout_s))[0]


async def wait_for(
    path: str,
    version: str,
    timeout_s: float,
    *,
    at_once: int = 1,
    hopeless: Callable[[], str] = str,
    believed: Callable[[], bool] = lambda: True,
) -> Answer:
    """Ask until `version` is the answer, for at most `timeout_s` seconds, and return the last answer.

    `hopeless` says why it never will be, as soon as that is known: that is then the answer. `believed` is asked about the right answer: False when it may
    come from before the load, and it is asked for again. `at_once` questions are asked at the same time: the kernel gives a single one to the
    same worker again and again, which may be an old one.
    """
    loop = asyncio.get_running_loop()
    end = loop.time() + timeout_s
    wait_s = _FIRST_WAIT_S
    while True:
        bound_s = max(_LEAST_ASK_S, min(ASK_S, end - loop.time()))
        answers = await _ask_at_once(path, at_once, bound_s)
        answer = next((one for one in answers if one.version == version), answers[0])
        if answer.version == version:
            if believed():
                return answer
            answer = Answer(why=f"{version} is what it served before it was told to load")
        why = hopeless()
        if why:
            return Answer(why=why)
        left_s = end - loop.time()
        if left_s <= 0:
            return answer
        await asyncio.sleep(min(wait_s, left_s))
        wait_s = min(_LAST_WAIT_S, wait_s * _GROWTH)


def remove_dead_socket(path: str) -> bool:
    """Remove the socket at `path` when nobody listens on it, as a killed proxy leaves it: a new one could not bind it. True when it did.

    A connection to a live one is made and closed, which it does not mind. Does not wait. Raises `OSError` when it may not be removed.
    """
    try:
        if not stat.S_ISSOCK(os.lstat(path).st_mode):
            return False
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, _KIND) as probe:
        try:
            probe.connect(path)
        except ConnectionRefusedError:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(path)
            return True
        except OSError:
            return False
    return False


async def _ask_at_once(path: str, times: int, timeout_s: float) -> list[Answer]:
    """The answers to so many questions, at least one."""
    with contextlib.ExitStack() as clients:
        connected: list[socket.socket] = []
        try:
            for _ in range(times):
                client = clients.enter_context(socket.socket(socket.AF_UNIX, _KIND))
                # Connects at once or not at all (unix(7)): EAGAIN is a full backlog, and a reason to ask again later.
                client.connect(path)
                connected.append(client)
        except OSError as error:
            if not connected:
                return [Answer(why=f"{path}: {error.strerror or error}")]
        async with asyncio.TaskGroup() as group:
            asking = [group.create_task(_ask(path, one, timeout_s)) for one in connected]
        return [one.result() for one in asking]


async def _ask(path: str, client: socket.socket, timeout_s: float) -> Answer:
    try:
        async with asyncio.timeout(timeout_s):
            return _read(await _exchange(client))
    except TimeoutError:
        return Answer(why=f"{path} does not answer within {timeout_s:g} s")
    except OSError as error:
        return Answer(why=f"{path}: {error.strerror or error}")


async def _exchange(client: socket.socket) -> bytes:
    loop = asyncio.get_running_loop()
    await loop.sock_sendall(client, _REQUEST)
    received = b""
    while len(received) < MOST_BYTES:
        piece = await loop.sock_recv(client, MOST_BYTES - len(received))
        if not piece:
            break
        received += piece
    return received


def _read(received: bytes) -> Answer:
    head, end, body = received.partition(b"\r\n\r\n")
    status = head.split(b"\r\n", 1)[0].split(b" ")
    if not end or len(status) < 2 or not status[0].startswith(b"HTTP/1."):
        return Answer(why="the answer is no HTTP" if received else "closed without an answer")
    if status[1] != b"200":
        return Answer(why=f"the answer is {status[1][:3].decode(errors='replace')}, not 200")
    version = body.strip()
    if not version or len(version) > MOST_VERSION or not version.isascii():
        return Answer(why="the answer names no version")
    return Answer(version.decode())
