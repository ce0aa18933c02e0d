"""What an OTLP receiver answers in protobuf: the two fields that matter, read without the protobuf runtime."""

from __future__ import annotations


def partial_success(data: bytes) -> tuple[int, str]:
    """Return the rejected records and the message of an export response, of logs or of traces; `ValueError` when it is none."""
    rejected, message = 0, ""
    for number, value in _fields(data):
        if number == 1 and isinstance(value, bytes):
            for inner, one in _fields(value):
                if inner == 1 and isinstance(one, int):
                    rejected = one
                elif inner == 2 and isinstance(one, bytes):
                    message = one.decode("utf-8", "backslashreplace")
    return rejected, message


def _fields(data: bytes) -> list[tuple[int, int | bytes]]:
    """The fields of a message by number: varints as numbers, lengths as bytes, fixed ones left out."""
    found: list[tuple[int, int | bytes]] = []
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        kind = tag & 7
        if kind == 0:
            value, at = _varint(data, at)
            found.append((tag >> 3, value))
        elif kind == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("a field that is cut short")
            found.append((tag >> 3, data[at : at + size]))
            at += size
        elif kind == 1 or kind == 5:
            at += 8 if kind == 1 else 4
        else:
            raise ValueError("not a protobuf message")
    return found


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 64:
        byte = data[at]
        at += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, at
        shift += 7
    raise ValueError("a number that is cut short")
