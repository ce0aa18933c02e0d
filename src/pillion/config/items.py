"""A value as it is kept in memory: encoded once when it arrives, so that reading it is a look-up."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import msgspec

from pillion.errors import RefusedError

if TYPE_CHECKING:
    from pillion.model.event import Json

DEPTH = 64
"""How deep a value may be nested: what every client's parser can still read."""

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(rb"[\[\]{}]")

_encoder = msgspec.json.Encoder()


class Item:
    """One key of one layer at one revision.

    `body` is the JSON object that answers carry, `etag` its ETag. `omitted` says why the value is not held; then the
    body has none. `created` is the revision of the first write since the key was absent. `head` is for whoever answers
    with it: header lines that are made once.
    """

    __slots__ = (
        "_end",
        "_start",
        "body",
        "created",
        "etag",
        "etag_field",
        "head",
        "key",
        "layer",
        "omitted",
        "revision",
        "time_s",
        "writer",
    )

    def __init__(
        self,
        key: str,
        layer: str,
        value: bytes,
        revision: int,
        *,
        created: int,
        time_s: float = 0.0,
        writer: str = "",
        omitted: str = "",
    ) -> None:
        self.key = key
        self.layer = layer
        self.revision = revision
        self.created = created
        self.time_s = time_s
        self.writer = writer
        self.omitted = omitted
        head = b'{"key":' + _encoder.encode(key)
        tail = b',"revision":%d,"layer":"%s"}' % (revision, layer.encode())
        if omitted:
            self._start = self._end = 0
            self.body = head + b',"omitted":' + _encoder.encode(omitted) + tail
        else:
            head += b',"value":'
            self._start = len(head)
            self._end = self._start + len(value)
            self.body = head + value + tail
        self.etag = etag_of(layer, revision)
        self.etag_field = (b"etag", self.etag)
        self.head = b""

    @property
    def value(self) -> bytes:
        """The value as JSON; empty when it is omitted."""
        return self.body[self._start : self._end]

    def __repr__(self) -> str:
        """For tests and traces; the value is not shown."""
        return f"<{self.key} {self.layer}:{self.revision}>"


def etag_of(layer: str, revision: int) -> bytes:
    """The entity tag of a key's value in `layer` at `revision` (RFC 9110 section 8.8.3)."""
    return b'"%s:%d"' % (layer.encode(), revision)


def deleted_body(key: str, layer: str, revision: int) -> bytes:
    """What a watcher is told about a key that is gone."""
    return b'{"key":%s,"revision":%d,"layer":"%s"}' % (
        _encoder.encode(key),
        revision,
        layer.encode(),
    )


def read_value(raw: bytes) -> bytes:
    """The JSON of `raw` without needless white space, its numbers as they were written.

    Raises `RefusedError`: 400 when it is no JSON, 422 when it is nested too deeply or holds a number that cannot be
    read back.
    """
    if _depth(raw) > DEPTH:
        raise RefusedError(
            422, "Unprocessable Content", f"cannot keep this value: nested deeper than {DEPTH}"
        )
    try:
        msgspec.json.decode(raw)
        return msgspec.json.format(raw, indent=-1)
    except msgspec.ValidationError as error:
        raise RefusedError(
            422, "Unprocessable Content", f"cannot keep this value: {error}"
        ) from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise RefusedError(
            400, "Bad Request", f"cannot read this value as JSON: {error}"
        ) from error


def problem_with(raw: bytes) -> str:
    """Why `raw` from the store cannot be given to anybody; empty when it can."""
    if _depth(raw) > DEPTH:
        return "nested too deeply"
    try:
        msgspec.json.decode(raw)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return "not JSON"
    return ""


def decoded(value: bytes) -> Json:
    """The value as Python has it."""
    found: Json = msgspec.json.decode(value)
    return found


def _depth(raw: bytes) -> int:
    """How deeply arrays and objects are nested; 0 when it cannot be too deep."""
    if raw.count(b"[") + raw.count(b"{") <= DEPTH:
        return 0
    depth = deepest = 0
    for bracket in _BRACKET.findall(_STRING.sub(b"", raw)):
        if bracket in b"[{":
            depth += 1
            deepest = max(deepest, depth)
        else:
            depth -= 1
    return deepest
