# ruff: noqa: ERA001 # the next line is for Cython
# cython: annotation_typing=False
"""OTLP log requests in protobuf, written field by field: the runtime's objects would cost ten times the record.

opentelemetry/proto/collector/logs/v1/logs_service.proto and logs/v1/logs.proto, version 1; a property test decodes
what this writes with the official classes. Fields are tagged by number and wire type; the tags are spelled out below.
"""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING

from pillion.logs import raw
from pillion.logs.facts import Facts
from pillion.logs.lines import Line, Loss
from pillion.logs.losses import loss_facts

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from pillion.logs.lines import Item
    from pillion.logs.recognise import Recogniser
    from pillion.logs.sinks import Groups

CONTENT_TYPE = "application/x-protobuf"

_DEEPEST = 8
_MOST_ATTRIBUTES = 128

_DOUBLE = struct.Struct("<Bd").pack
_FIXED32 = struct.Struct("<BI").pack


# Room for records at first; what one more record may need beside its own bytes is its tag and its length.
_ROOM_BYTES = 16 * 1024
_FRAME_BYTES = 16
# pillion.offset as KeyValue{key, AnyValue{int_value}} but for the number, with the two lengths that depend on it.
_OFFSET = b"\x32\x00\x0a\x0epillion.offset\x12\x00\x18"


class ProtobufRecords:
    """The `log_records` of one ScopeLogs; `attributes` are those that all of its records have.

    `stream` is the stream's name, for what is said of its losses. Records are written into a buffer that is kept from
    batch to batch: memory that is given back and asked for again costs more than what is written into it.
    """

    def __init__(self, attributes: Mapping[str, object], stream: str) -> None:
        self._stream = stream
        constant = [_field(0x32, key_value(key, value)) for key, value in attributes.items()]
        self._constant = b"".join(constant) + _OFFSET
        self._buffer = bytearray(_ROOM_BYTES)
        # The attributes of one record, whose size has to be known before it is written.
        self._own = bytearray(_FRAME_BYTES)
        self._own_size = 0
        self.size = 0
        self.count = 0

    def take(self) -> memoryview:
        """Return the records as they stand in a ScopeLogs, and begin anew.

        What is returned is there until the next record is added.
        """
        buffer = self._buffer
        taken = memoryview(buffer)[: self.size]
        if len(buffer) > _ROOM_BYTES and self.size < len(buffer) // 8:
            # A burst is over.
            self._buffer = bytearray(_ROOM_BYTES)
        if len(self._own) > _ROOM_BYTES:
            self._own = bytearray(_FRAME_BYTES)
        self.size = self.count = 0
        return taken

    def fill(
        self, items: Sequence[Item], at: int, recogniser: Recogniser, size: int, count: int
    ) -> int:
        """Encode `items` from `at` on until there are `size` bytes or `count` records; return where it ended."""
        end = len(items)
        facts = Facts(b"")
        while at < end and self.size < size and self.count < count:
            item = items[at]
            at += 1
            if isinstance(item, Line):
                line = item
                recogniser.read(facts, line.data, line.time_ns)
                self.add(facts, line.offset, line.time_ns, line.cut)
            elif isinstance(item, Loss):
                self.add(loss_facts(self._stream, item), item.offset, item.time_ns, False)
        return at

    def add(self, facts: Facts, offset: int, time_ns: int, cut: bool) -> None:
        """Append the record of what was recognised in the line at `offset`, which arrived at `time_ns`."""
        body = facts.body if raw.is_ascii(facts.body) else valid_utf8(facts.body)
        level = facts.level
        if len(level) > 64 or not raw.is_ascii(level):
            level = valid_utf8(level[:64])
        size = len(body)
        value_size = 1 + raw.varint_size(size) + size
        record_size = self._record_size(facts, level, offset, cut, value_size)
        attributes = facts.attributes
        if attributes:
            self._write_own(attributes)
            record_size += self._own_size
        at = self.size
        room = at + record_size + _FRAME_BYTES
        if room > len(self._buffer):
            self._grow(room)
        buffer = self._buffer
        data = buffer
        data[at] = 0x12
        at = raw.put_varint(data, at + 1, record_size)
        end = at + record_size
        if facts.time_ns:
            data[at] = 0x09
            at = raw.put_fixed64(data, at + 1, facts.time_ns)
        data[at] = 0x59
        at = raw.put_fixed64(data, at + 1, time_ns)
        if facts.severity:
            data[at] = 0x10
            data[at + 1] = facts.severity
            at += 2
        if level:
            data[at] = 0x1A
            at = raw.put_varint(data, at + 1, len(level))
            at = raw.put(data, at, level)
        data[at] = 0x2A
        at = raw.put_varint(data, at + 1, value_size)
        data[at] = 0x0A
        at = raw.put_varint(data, at + 1, size)
        at = raw.put(data, at, body)
        at = raw.put(data, at, self._constant)
        length = raw.varint_size(offset)
        data[at - 20] = 19 + length
        data[at - 2] = 1 + length
        at = raw.put_varint(data, at, offset)
        if cut:
            at = raw.put(data, at, _CUT)
        if attributes:
            at = raw.put_part(data, at, self._own, self._own_size)
        if facts.trace:
            if facts.flags:
                at = raw.put(data, at, _FIXED32(0x45, facts.flags))
            at = raw.put(data, at, b"\x4a\x10")
            at = raw.put(data, at, facts.trace)
            if facts.span:
                at = raw.put(data, at, b"\x52\x08")
                at = raw.put(data, at, facts.span)
        assert at == end, "a record is not as long as was said"
        self.size = at
        self.count += 1

    def _record_size(
        self, facts: Facts, level: bytes, offset: int, cut: bool, value_size: int
    ) -> int:
        """The record's size but for the attributes of its own."""
        size = 18 if facts.time_ns else 9
        if facts.severity:
            size += 2
        if level:
            size += 1 + raw.varint_size(len(level)) + len(level)
        size += 1 + raw.varint_size(value_size) + value_size
        size += len(self._constant) + raw.varint_size(offset)
        if cut:
            size += len(_CUT)
        if facts.trace:
            size += 2 + len(facts.trace)
            if facts.flags:
                size += 5
            if facts.span:
                size += 2 + len(facts.span)
        return size

    def _write_own(self, attributes: Mapping[str, object]) -> None:
        """Write the attributes of one record, and how many of them were left out."""
        at = 0
        count = 0
        for key, value in attributes.items():
            if count == _MOST_ATTRIBUTES:
                # The room that was made for the last one reaches.
                own = self._own
                data = own
                data[at] = 0x38
                at = raw.put_varint(data, at + 1, len(attributes) - count)
                break
            count += 1  # noqa: SIM113 # compiled, this is a C number
            name = key
            name_size = raw.text_size(name)
            if name_size < 0:
                name = _encodable(name)
                name_size = raw.text_size(name)
            # Text is what most values are; it is written without a bytes object for each of the messages around it.
            text = ""
            other = b""
            size = 0
            if isinstance(value, str):
                text = value
                size = raw.text_size(text)
                if size < 0:
                    text = _encodable(text)
                    size = raw.text_size(text)
                value_size = 1 + raw.varint_size(size) + size
            else:
                other = _any(value, 0)
                value_size = len(other)
            pair_size = (
                2
                + raw.varint_size(name_size)
                + name_size
                + raw.varint_size(value_size)
                + value_size
            )
            room = at + pair_size + 2 * _FRAME_BYTES
            if room > len(self._own):
                grown = bytearray(2 * room)
                grown[:at] = self._own[:at]
                self._own = grown
            own = self._own
            data = own
            data[at] = 0x32
            at = raw.put_varint(data, at + 1, pair_size)
            data[at] = 0x0A
            at = raw.put_varint(data, at + 1, name_size)
            at = raw.put_text(data, at, name)
            data[at] = 0x12
            at = raw.put_varint(data, at + 1, value_size)
            if isinstance(value, str):
                data[at] = 0x0A
                at = raw.put_varint(data, at + 1, size)
                at = raw.put_text(data, at, text)
            else:
                at = raw.put(data, at, other)
        self._own_size = at

    def _grow(self, room: int) -> None:
        """Make the buffer at least `room` bytes long."""
        buffer = bytearray(max(room, len(self._buffer) + len(self._buffer) // 2))
        buffer[: self.size] = self._buffer[: self.size]
        self._buffer = buffer


def put_varint(data: bytearray, value: int) -> None:
    """Append a non-negative `value` below 2**63 as a varint."""
    while value > 127:
        data.append(value & 127 | 128)
        value >>= 7
    data.append(value)


def valid_utf8(data: bytes) -> bytes:
    """Return `data` as valid UTF-8: what is not becomes `\\xNN`, so that nothing is guessed or lost."""
    try:
        data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("utf-8", "backslashreplace").encode()
    return data


def _field(tag: int, data: bytes) -> bytes:
    return _head(tag, len(data)) + data


def _head(tag: int, size: int) -> bytes:
    """What stands before `size` bytes of a field."""
    out = bytearray()
    out.append(tag)
    put_varint(out, size)
    return bytes(out)


def _text(value: str) -> bytes:
    try:
        return value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair
        return value.encode("utf-8", "backslashreplace")


def key_value(key: str, value: object) -> bytes:
    """Return a KeyValue message."""
    return _field(0x0A, _text(key)) + _field(0x12, _any(value, 0))


def _any(value: object, depth: int) -> bytes:
    """An AnyValue message; None is an AnyValue without a value."""
    if isinstance(value, str):
        return _field(0x0A, _text(value))
    if value is None:
        return b""
    if isinstance(value, bool):
        return b"\x10\x01" if value else b"\x10\x00"
    if isinstance(value, int):
        if not -(1 << 63) <= value < 1 << 63:
            return _field(0x0A, str(value).encode())
        out = bytearray(b"\x18")
        if value >= 0:
            put_varint(out, value)
        else:
            # Ten bytes of two's complement: nine groups of seven bits and the sign.
            for _ in range(9):
                out.append(value & 127 | 128)
                value >>= 7
            out.append(1)
        return bytes(out)
    if isinstance(value, float):
        return bytes(_DOUBLE(0x21, value))
    if isinstance(value, bytes):
        return _field(0x3A, value)
    if depth < _DEEPEST and isinstance(value, list):
        return _field(0x2A, b"".join([_field(0x0A, _any(one, depth + 1)) for one in value]))
    if depth < _DEEPEST and isinstance(value, dict):
        return _field(
            0x32,
            b"".join(
                [
                    _field(0x0A, _field(0x0A, _text(str(key))) + _field(0x12, _any(one, depth + 1)))
                    for key, one in value.items()
                ]
            ),
        )
    return _field(0x0A, _text(str(value)))


def _encodable(text: str) -> str:
    """Return `text` with what UTF-8 cannot have, a half of a surrogate pair, as `\\udNNN`."""
    return text.encode("utf-8", "backslashreplace").decode()


def request(groups: Groups) -> list[bytes | memoryview]:
    """Return an ExportLogsServiceRequest in pieces, one behind the other.

    `groups` are for each resource its attributes, its scopes' names and their records, which are not copied.
    """
    pieces: list[bytes | memoryview] = []
    for resource, scopes in groups:
        attributes = [_field(0x0A, key_value(key, value)) for key, value in resource.items()]
        inside: list[bytes | memoryview] = [_field(0x0A, b"".join(attributes))]
        for name, records in scopes:
            scope = _field(0x0A, _field(0x0A, _text(name)))
            inside += [_head(0x12, len(scope) + len(records)), scope, records]
        pieces.append(_head(0x0A, sum([len(piece) for piece in inside])))
        pieces += inside
    return pieces


_CUT = _field(0x32, key_value("pillion.cut", True))
