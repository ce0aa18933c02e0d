"""Answers that succeed: JSON in one piece."""

from __future__ import annotations

import msgspec

from pillion.http.server import Response

_encoder = msgspec.json.Encoder()

# What is told is true now: nothing between us and the reader may keep it.
JSON_FIELDS = ((b"content-type", b"application/json"), (b"cache-control", b"no-store"))


def json_answer(value: object, status: int = 200) -> Response:
    """`value` as JSON."""
    return Response(status, JSON_FIELDS, _encoder.encode(value))
