"""Every error of the API as problem details (RFC 9457), with the fields that its kind promises."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from pillion.http.problem import CONTENT_TYPE, title_of
from pillion.http.server import Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pillion.errors import RefusedError

Fields = "Sequence[tuple[bytes, bytes]]"


class Problem(msgspec.Struct, frozen=True, omit_defaults=True, kw_only=True):
    """The body of every error (RFC 9457 section 3); `problems` lists each one where there are several."""

    type: str
    title: str
    status: int
    detail: str
    instance: str | None = None
    problems: list[str] = []


_encoder = msgspec.json.Encoder()


def problem(
    status: int,
    detail: str,
    *,
    title: str = "",
    headers: Sequence[tuple[bytes, bytes]] = (),
    problems: Sequence[str] = (),
    instance: str | None = None,
) -> Response:
    """The answer for an error; `title` is the status's own phrase unless given."""
    body = Problem(
        type="about:blank",
        title=title or title_of(status),
        status=status,
        detail=detail,
        instance=instance,
        problems=list(problems),
    )
    # The type is always there: RFC 9457 lets it be left out, but programs look for it.
    fields = [(b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store"), *headers]
    return Response(status, fields, _encoder.encode(body))


def refusal(error: RefusedError) -> Response:
    """The keeper's no as an answer of ours."""
    status = error.status if 400 <= error.status <= 599 else 500
    return problem(status, error.detail or error.title, title=error.title)
