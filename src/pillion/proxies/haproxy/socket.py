"""HAProxy's command line sockets: one connection per batch, every answer bounded in bytes and in time.

The admin socket is spoken to in its interactive mode (management guide, section 9.3): one command, its answer, the next one, so that a
command that is refused stops those after it. The master's is asked one question per connection, since a reload closes them all.
"""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING

from pillion.errors import UnreachableError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

ANSWER_BYTES = 8 << 20
"""Of one answer; the state of 10,000 servers is about 1.5 MB."""
TIMEOUT_S = 2.0
_PROMPT = b"\n> "
_READ_BYTES = 64 * 1024


class Session:
    """An open interactive connection."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        address: str,
        timeout_s: float,
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._address = address
        self._timeout_s = timeout_s

    async def say(self, command: str) -> str:
        """The answer to one command, without white space around it. Raises `UnreachableError`."""
        if "\n" in command or "\r" in command or "\0" in command:
            raise UnreachableError("cannot say a command with a line feed in it; this is a bug")
        try:
            async with asyncio.timeout(self._timeout_s):
                self._writer.write(command.encode() + b"\n")
                await self._writer.drain()
                return (await self._answer()).strip()
        except TimeoutError as error:
            raise _silent(self._address, self._timeout_s) from error
        except OSError as error:
            raise _unreachable(self._address, error) from error

    async def _answer(self) -> str:
        answer = bytearray()
        while not answer.endswith(_PROMPT):
            piece = await self._reader.read(_READ_BYTES)
            if not piece:
                raise UnreachableError(
                    f"cannot read HAProxy's answer at {self._address}: it hung up"
                )
            answer += piece
            if len(answer) > ANSWER_BYTES:
                raise _too_long(self._address)
        return answer[: -len(_PROMPT)].decode(errors="replace")


class CommandSocket:
    """The address of a command line socket: `/path`, `unix@/path` or `host:port`; options after a comma are of no concern here."""

    def __init__(self, address: str, *, timeout_s: float = TIMEOUT_S) -> None:
        self.address = address
        self._timeout_s = timeout_s

    @contextlib.asynccontextmanager
    async def session(self) -> AsyncIterator[Session]:
        """An interactive connection for a batch of commands. Raises `UnreachableError`."""
        reader, writer = await self._connect()
        try:
            session = Session(reader, writer, self.address, self._timeout_s)
            await session.say("prompt")
            yield session
        finally:
            writer.transport.abort()

    async def ask(self, command: str, *, cut: bool = False) -> str:
        """The answer to one command on a connection of its own, to its end; with `cut` as much as came of it before the other end was gone.

        Raises `UnreachableError`.
        """
        reader, writer = await self._connect()
        answer = bytearray()
        try:
            async with asyncio.timeout(self._timeout_s):
                writer.write(command.encode() + b"\n")
                writer.write_eof()
                while piece := await reader.read(_READ_BYTES):
                    answer += piece
                    if len(answer) > ANSWER_BYTES:
                        raise _too_long(self.address)
        except TimeoutError as error:
            raise _silent(self.address, self._timeout_s) from error
        except OSError as error:
            if not cut:
                raise _unreachable(self.address, error) from error
        finally:
            writer.transport.abort()
        return answer.decode(errors="replace").strip()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        plain = self.address.partition(",")[0].removeprefix("unix@")
        try:
            async with asyncio.timeout(self._timeout_s):
                if plain.startswith("/"):
                    return await asyncio.open_unix_connection(plain)
                host, _, port = plain.removeprefix("ipv4@").removeprefix("ipv6@").rpartition(":")
                return await asyncio.open_connection(host.strip("[]") or "127.0.0.1", int(port))
        except TimeoutError as error:
            raise _silent(self.address, self._timeout_s) from error
        except (OSError, ValueError) as error:
            raise _unreachable(self.address, error) from error


def _silent(address: str, timeout_s: float) -> UnreachableError:
    return UnreachableError(
        f"cannot talk to HAProxy at {address}: no answer within {timeout_s:g} s"
    )


def _unreachable(address: str, error: Exception) -> UnreachableError:
    why = getattr(error, "strerror", None) or error
    return UnreachableError(f"cannot talk to HAProxy at {address}: {why}; is it running?")


def _too_long(address: str) -> UnreachableError:
    return UnreachableError(
        f"cannot read HAProxy's answer at {address}: more than {ANSWER_BYTES} bytes"
    )
