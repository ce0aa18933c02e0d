"""`POST /v1/logs`: the simple way for logs, for what cannot print, or should not to its stdout."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.api.answers import json_answer
from pillion.api.context import given
from pillion.api.problems import problem
from pillion.api.route import JSON_LINES, TEXT
from pillion.errors import RefusedError
from pillion.logs.posting import json_lines, packed, text_lines

if TYPE_CHECKING:
    from pillion.api.context import Context
    from pillion.http.server import Request, Response

BODY_BYTES = 1 << 20
MEDIA = (*JSON_LINES, TEXT)
# Where only a part was taken: the lines of it, from the first on.
TAKEN_FIELD = b"pillion-taken"
_RETRY_AFTER = b"1"


class Taken(msgspec.Struct, frozen=True):
    """How many records were taken: all that were sent."""

    records: int


async def post_logs(context: Context, request: Request, _values: tuple[str, ...]) -> Response:
    """Take lines into the spool; all are checked before the first is taken."""
    inlet = given(context.inlet)
    media = _media(request.headers.get(b"content-type"))
    body = await request.read(BODY_BYTES)
    if body and media not in MEDIA:
        raise RefusedError(
            415,
            "Unsupported Media Type",
            f"cannot read this body: send Content-Type: {MEDIA[0]} or {TEXT}",
        )
    lines = text_lines(body) if media == TEXT else json_lines(body)
    taken = await inlet.put(packed(lines))
    if taken == len(lines):
        return json_answer(Taken(taken), 202)
    return problem(
        503,
        f"cannot take more than {taken} of {len(lines)} records now: the spool has no room; "
        f"send them again from record {taken + 1} on",
        headers=[(b"retry-after", _RETRY_AFTER), (TAKEN_FIELD, b"%d" % taken)],
    )


def _media(content_type: bytes | None) -> str:
    return (content_type or b"").split(b";")[0].strip().lower().decode("latin-1")
