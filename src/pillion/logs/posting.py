"""What an app posts instead of printing it: lines, checked and packed into messages that enter the spool whole.

Everything is checked before anything is handed in, so that a body with one wrong line leaves no trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.errors import RefusedError
from pillion.keeper.streams import MESSAGE_BYTES

if TYPE_CHECKING:
    from collections.abc import Iterable

# With its newline a line has to fit into one message.
LINE_BYTES = MESSAGE_BYTES - 1

_OBJECT = msgspec.json.Decoder(dict[str, msgspec.Raw])


class Message(msgspec.Struct, frozen=True):
    """Whole lines with their newlines, at most `MESSAGE_BYTES` of them together."""

    data: bytes
    lines: int


def text_lines(body: bytes) -> list[bytes]:
    """The lines of plain text, without their ends (`\\n` or `\\r\\n`); what follows the last newline is a line if it is any.

    Raises `RefusedError` 413 for a line of more than `LINE_BYTES`.
    """
    lines = [line.removesuffix(b"\r") for line in body.split(b"\n")]
    if not lines[-1]:
        lines.pop()
    for number, line in enumerate(lines, start=1):
        _check_length(number, line)
    return lines


def json_lines(body: bytes) -> list[bytes]:
    """The lines of NDJSON, each a JSON object; empty ones are left out, as the format lets a reader do.

    Raises `RefusedError`: 413 for a line of more than `LINE_BYTES`, 422 for one that is no JSON object.
    """
    lines = []
    for number, line in enumerate(body.split(b"\n"), start=1):
        stripped = line.strip(b" \t\r")
        if not stripped:
            continue
        _check_length(number, stripped)
        try:
            _OBJECT.decode(stripped)
        except msgspec.DecodeError as error:
            detail = f"cannot use line {number}: {error}; each line is one JSON object, and nothing was taken"
            raise RefusedError(422, "Unprocessable Content", detail) from error
        lines.append(stripped)
    return lines


def packed(lines: Iterable[bytes]) -> list[Message]:
    """`lines` in as few messages as hold them, in order."""
    messages: list[Message] = []
    parts: list[bytes] = []
    size = 0
    for line in lines:
        if size + len(line) + 1 > MESSAGE_BYTES:
            messages.append(Message(b"".join(parts), len(parts)))
            parts, size = [], 0
        parts.append(line + b"\n")
        size += len(line) + 1
    if parts:
        messages.append(Message(b"".join(parts), len(parts)))
    return messages


def _check_length(number: int, line: bytes) -> None:
    if len(line) > LINE_BYTES:
        detail = (
            f"cannot take line {number}: it has {len(line)} bytes, and {LINE_BYTES} are the most; "
            "nothing was taken"
        )
        raise RefusedError(413, "Content Too Large", detail)
