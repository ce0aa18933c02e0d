"""The agent's end of the stream of posted lines: hands messages to the scribe, and waits for room with a bound.

The keeper opens the stream and holds both ends, so that it outlives agents and scribes alike. A message is taken whole or
not at all, whoever else writes at the same time (another agent does during an upgrade).
"""

from __future__ import annotations

import asyncio
import socket
from typing import TYPE_CHECKING

from pillion.errors import RefusedError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.logs.posting import Message
    from pillion.model.stats import Stats

# Requests that may wait for room together; each holds its body meanwhile.
WAITING = 16
# For all messages of a request together: the scribe makes room within milliseconds, or is in trouble.
PATIENCE_S = 2.0


class Inlet:
    """One stream's inlet. `taken`, `taken_bytes` and `refused` count lines and bytes since the agent's start."""

    def __init__(self, descriptor: int) -> None:
        self._socket = socket.socket(fileno=descriptor)
        self._turn = asyncio.Lock()
        self._waiting = 0
        self.taken = 0
        self.taken_bytes = 0
        self.refused = 0

    async def put(self, messages: Sequence[Message], patience_s: float = PATIENCE_S) -> int:
        """Hand in `messages` in order; return how many lines were taken: all, or those of the first messages.

        Fewer than all when there was no room within `patience_s` seconds. Raises `RefusedError` 503 when too many
        requests wait for room already.
        """
        if self._waiting >= WAITING:
            self.refused += sum(message.lines for message in messages)
            detail = (
                f"cannot take this: {WAITING} requests wait for room in the spool; send it again"
            )
            raise RefusedError(503, "Service Unavailable", detail)
        self._waiting += 1
        lines = 0
        try:
            async with asyncio.timeout(patience_s), self._turn:
                for message in messages:
                    await self._send(message.data)
                    lines += message.lines
                    self.taken_bytes += len(message.data)
        except TimeoutError:
            pass  # what was taken is told
        finally:
            self._waiting -= 1
            self.taken += lines
            self.refused += sum(message.lines for message in messages) - lines
        return lines

    def stats(self) -> Stats:
        """The counts under their names in `/metrics`."""
        return {
            "posted_records_total": self.taken,
            "posted_bytes_total": self.taken_bytes,
            "posted_refused_records_total": self.refused,
        }

    def close(self) -> None:
        """Give the descriptor back."""
        self._socket.close()

    async def _send(self, data: bytes) -> None:
        while not self._try(data):
            loop = asyncio.get_running_loop()
            room: asyncio.Future[None] = loop.create_future()
            loop.add_writer(self._socket.fileno(), _wake, room)
            try:
                await room
            finally:
                loop.remove_writer(self._socket.fileno())

    def _try(self, data: bytes) -> bool:
        # The flag and not the mode: the mode is shared with every process that has this socket.
        try:
            self._socket.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return False
        return True


def _wake(room: asyncio.Future[None]) -> None:
    if not room.done():
        room.set_result(None)
