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


class ProblemAnswer(Response):
    """The answer for an error, which is told its place last: whoever refuses does not know the request."""

    __slots__ = ("problem",)

    def __init__(self, problem: Problem, fields: Sequence[tuple[bytes, bytes]]) -> None:
        super().__init__(problem.status, fields, _encoder.encode(problem))
        self.problem = problem

    def locate(self, path: str) -> None:
        """Name the request's path as the problem's `instance` (RFC 9457 section 3.1.5)."""
        self.problem = msgspec.structs.replace(self.problem, instance=path[:256])
        self.body = _encoder.encode(self.problem)


def problem(
    status: int,
    detail: str,
    *,
    title: str = "",
    headers: Sequence[tuple[bytes, bytes]] = (),
    problems: Sequence[str] = (),
) -> ProblemAnswer:
    """The answer for an error; `title` is the status's own phrase unless given."""
    body = Problem(
        type="about:blank",
        title=title or title_of(status),
        status=status,
        detail=detail,
        problems=list(problems),
    )
    # The type is always there: RFC 9457 lets it be left out, but programs look for it.
    fields = [(b"content-type", CONTENT_TYPE), (b"cache-control", b"no-store"), *headers]
    return ProblemAnswer(body, fields)


def refusal(error: RefusedError) -> Response:
    """The keeper's no as an answer of ours."""
    status = error.status if 400 <= error.status <= 599 else 500
    return problem(status, error.detail or error.title, title=error.title)
